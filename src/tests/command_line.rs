//! The command line as a user meets it: files in, whole output compared.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed test ends in a panic")]

use std::fs;
use std::process::{Command, Output};

use tempfile::TempDir;

mod net;

const POLICY: &str = "\
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: no-host-network
spec:
  matchConstraints:
    resourceRules:
      - {apiGroups: [''], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [pods]}
  validations:
    - expression: '!object.spec.?hostNetwork.orValue(false)'
      reason: Forbidden
      message: host network is not for you
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: everywhere
spec:
  policyName: no-host-network
  validationActions: [Deny]
";

const BAD: &str = "{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {hostNetwork: true, containers: [{name: web, image: web}]}}";
const GOOD: &str = "{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {containers: [{name: web, image: web}]}}";

fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn stockade(dir: &TempDir, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_stockade")).args(args).current_dir(dir.path()).output().unwrap()
}

fn shown(output: &Output) -> String {
    format!(
        "exit {}\n{}{}",
        output.status.code().unwrap(),
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout)
    )
}

#[test]
fn check_names_the_file_the_rule_and_exits_with_1() {
    let dir = folder(&[("p.yaml", POLICY), ("a/bad.yaml", BAD), ("a/good.yaml", GOOD)]);
    insta::assert_snapshot!(shown(&stockade(&dir, &["check", "-p", "p.yaml", "a"])), @r"
    exit 1
    a/bad.yaml:1: Pod web
      deny    no-host-network
              host network is not for you
              validations[0] at p.yaml:10

    2 objects judged: 1 refused, 0 with warnings
    ");
}

#[test]
fn check_of_good_objects_exits_with_0() {
    let dir = folder(&[("p.yaml", POLICY), ("good.yaml", GOOD)]);
    insta::assert_snapshot!(shown(&stockade(&dir, &["check", "-p", "p.yaml", "good.yaml"])), @r"
    exit 0
    1 object judged: 0 refused, 0 with warnings
    ");
}

#[test]
fn check_without_policies_says_how_to_name_some_and_exits_with_2() {
    let dir = folder(&[("good.yaml", GOOD)]);
    insta::assert_snapshot!(shown(&stockade(&dir, &["check", "good.yaml"])), @r"
    exit 2
    error: no policies: name some with --policies PATH, or use --pod-security LEVEL
    ");
}

#[test]
fn check_of_nothing_and_check_by_nothing_are_faults_and_not_clean() {
    let dir = folder(&[("p.yaml", POLICY), ("good.yaml", GOOD), ("empty.yaml", "# nothing\n"), ("q/README.md", "")]);
    let nothing = stockade(&dir, &["check", "-p", "p.yaml", "empty.yaml"]);
    let by_nothing = stockade(&dir, &["check", "-p", "q", "good.yaml"]);
    insta::assert_snapshot!(shown(&nothing) + &shown(&by_nothing), @r"
    exit 2
    error: nothing to judge: the files hold no object
    exit 2
    warning: folder holds no *.yaml, *.yml or *.json
     --> q
    error: no policies in what --policies names: nothing would be judged
    ");
}

#[test]
fn an_object_without_a_name_is_passed_over_beside_policies_and_a_fault_in_the_cluster_state() {
    let kustomization = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [p.yaml]\n";
    let dir = folder(&[
        ("p/p.yaml", POLICY),
        ("p/kustomization.yaml", kustomization),
        ("good.yaml", GOOD),
        ("state/pods.yaml", "---\napiVersion: v1\nkind: Pod\nmetadata: {generateName: web-}\n"),
    ]);
    let args = ["review", "-p", "p", "--object", "good.yaml"];
    let without = stockade(&dir, &args);
    let with = stockade(&dir, &[&args[..], &["--cluster-state", "state"]].concat());
    insta::assert_snapshot!(shown(&without) + &shown(&with), @r"
    exit 0
    allowed
    exit 2
    error: state/pods.yaml:2: an object that exists needs metadata.name
    ");
}

#[test]
fn review_prints_one_decision_as_json() {
    let dir = folder(&[("p.yaml", POLICY), ("bad.yaml", BAD)]);
    let output = stockade(&dir, &["review", "-p", "p.yaml", "--object", "bad.yaml", "-o", "json"]);
    let decision: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), decision),
        (
            Some(1),
            serde_json::json!({
                "allowed": false,
                "status": {
                    "code": 403,
                    "reason": "Forbidden",
                    "message": "ValidatingAdmissionPolicy 'no-host-network' with binding 'everywhere' denied request: host network is not for you",
                },
                "warnings": [],
                "auditAnnotations": {},
                "patch": [],
                "findings": [{
                    "policy": "no-host-network",
                    "binding": "everywhere",
                    "rule": "validations[0]",
                    "action": "Deny",
                    "result": "fail",
                    "message": "host network is not for you",
                    "trace": "p.yaml:10",
                }],
            })
        )
    );
}

#[test]
fn review_of_a_deletion_judges_the_old_object_alone() {
    let dir = folder(&[("p.yaml", POLICY), ("bad.yaml", BAD)]);
    let output = stockade(&dir, &["review", "-p", "p.yaml", "--object", "bad.yaml", "--operation", "DELETE"]);
    insta::assert_snapshot!(shown(&output), @r"
    exit 0
    allowed
    ");
}

#[test]
fn a_policy_without_cases_or_readme_fails_its_test() {
    let dir = folder(&[("net/no-host-network/policy.yaml", POLICY), ("net/no-host-network/fail/bad.yaml", BAD)]);
    insta::assert_snapshot!(shown(&stockade(&dir, &["test", "."])), @r"
    exit 1
    FAIL  ./net/no-host-network 1 cases
            no README.md: say what the policy wants, why, and how to fix an object it refuses
            no case that passes: add one to pass/ or test.yaml

    1 passed, 2 failed
    ");
}

#[test]
fn a_case_that_comes_out_otherwise_is_shown_with_what_came_out() {
    let dir = folder(&[
        ("p/policy.yaml", POLICY),
        ("p/README.md", "why"),
        ("p/pass/bad.yaml", BAD),
        ("p/fail/good.yaml", GOOD),
    ]);
    insta::assert_snapshot!(shown(&stockade(&dir, &["test", "p"])), @r"
    exit 1
    FAIL  p 2 cases
          pass/bad.yaml
            expected to be admitted without a word, got refused
              no-host-network validations[0]: host network is not for you
          fail/good.yaml
            expected to be refused, warned about or noted, got admitted

    0 passed, 2 failed
    ");
}

#[test]
fn a_pod_security_level_that_does_not_exist_is_refused() {
    let dir = folder(&[("good.yaml", GOOD)]);
    let output = stockade(&dir, &["check", "--pod-security", "strict", "good.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("\"strict\" is no level: use privileged, baseline or restricted"), "{text}");
}

#[test]
fn control_characters_of_a_manifest_do_not_reach_the_terminal() {
    let evil = BAD.replace("name: web}, spec", "name: \"we\\e[31mb\"}, spec");
    let dir = folder(&[("p.yaml", POLICY), ("evil.yaml", &evil)]);
    let output = stockade(&dir, &["check", "-p", "p.yaml", "evil.yaml"]);
    assert!(!output.stdout.contains(&0x1b), "{}", shown(&output));
}

#[test]
fn certificates_are_minted_once_and_inspected() {
    let dir = folder(&[]);
    let minted = stockade(&dir, &["certs", "mint", "c"]);
    let again = stockade(&dir, &["certs", "mint", "c"]);
    insta::assert_snapshot!(shown(&minted) + &shown(&again), @r"
    exit 0
    c/tls.crt: minted
    exit 0
    c/tls.crt: already there
    ");
    let inspected = stockade(&dir, &["certs", "inspect", "c"]);
    let text = String::from_utf8(inspected.stdout).unwrap();
    assert!(text.contains("localhost, 127.0.0.1, ::1"), "{text}");
}

#[test]
fn certificates_of_flows_are_issued_by_one_authority_that_stays() {
    let dir = folder(&[]);
    let read = |name: &str| fs::read_to_string(dir.path().join("flows-tls").join(name)).unwrap();
    insta::assert_snapshot!(shown(&stockade(&dir, &["certs", "flows"])), @r"
    exit 0
    flows-tls/agent/tls.crt: new certificate of node agents
    flows-tls/client/tls.crt: new certificate of stockade net flows
    ");
    let (authority, agent) = (read("ca.crt"), read("agent/tls.crt"));
    assert_eq!([read("agent/ca.crt"), read("client/ca.crt")], [authority.clone(), authority.clone()]);
    let names = |end: &str| {
        let mut names: Vec<_> = fs::read_dir(dir.path().join("flows-tls").join(end)).unwrap().collect();
        names.sort_by_key(|entry| entry.as_ref().unwrap().file_name());
        names.into_iter().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    // What goes into a Secret cannot sign.
    assert_eq!(
        ["agent", "client"].map(names),
        [(); 2].map(|()| ["ca.crt", "tls.crt", "tls.key"].map(str::to_owned).to_vec())
    );
    let said = |end: &str| String::from_utf8(stockade(&dir, &["certs", "inspect", end]).stdout).unwrap();
    let (of_agent, of_client) = (said("flows-tls/agent"), said("flows-tls/client"));
    assert!(of_agent.contains("names       stockade-agent\n"), "{of_agent}");
    assert!(of_client.contains("subject     CN=stockade net flows\n"), "{of_client}");
    assert_eq!(stockade(&dir, &["certs", "flows"]).status.code(), Some(0));
    assert_eq!((read("ca.crt"), read("agent/tls.crt") == agent), (authority, false));
}

#[test]
fn audit_judges_a_dump_counts_by_policy_and_namespace_and_exits_with_1() {
    let list = r#"{"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "shop"}, "spec": {"hostNetwork": true}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "b", "namespace": "shop"}, "spec": {}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "bank"}}]}"#;
    let pods =
        "apiVersion: v1\nkind: PodList\nitems:\n- {metadata: {name: d, namespace: bank}, spec: {hostNetwork: true}}\n";
    let user = POLICY
        .replace("no-host-network", "no-mallory")
        .replace("everywhere", "all")
        .replace("'!object.spec.?hostNetwork.orValue(false)'", "request.userInfo.username != 'mallory'");
    let dir = folder(&[("p.yaml", POLICY), ("u.yaml", &user), ("dump/a.json", list), ("dump/b.yaml", pods)]);
    insta::assert_snapshot!(shown(&stockade(&dir, &["audit", "-p", "p.yaml", "-p", "u.yaml", "--from", "dump"])), @r"
    exit 1
    dump/a.json: Pod shop/a
      fail    no-host-network
              host network is not for you

    dump/b.yaml: Pod bank/d
      fail    no-host-network
              host network is not for you

    POLICY               FAIL     WARN    ERROR     SKIP
    no-host-network         2        0        0        0

    NAMESPACE      FAIL     WARN    ERROR     SKIP
    bank              1        0        0        0
    shop              1        0        0        0

    policy no-mallory not judged: requester
    4 objects judged: 2 fail, 0 warn, 0 error, 0 skip, 1 pass
    ");
}

#[test]
fn audit_lists_exceptions_those_that_are_not_needed_first() {
    let pod = |name: &str, host: bool| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{hostNetwork: {host}}}\n---\n"
        )
    };
    let exception = |name: &str, pod: &str, expires: &str| {
        format!(
            "apiVersion: stockade.dev/v1alpha1\nkind: PolicyException\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  \
             policies: [{{name: no-host-network}}]\n  resources: [{{names: [{pod}]}}]\n  reason: r\n  owner: o\n  expires: \
             '{expires}'\n---\n"
        )
    };
    let (later, over) = ("2099-01-01T00:00:00Z", "2026-01-01T00:00:00Z");
    let exceptions = exception("a", "agent", later) + &exception("b", "other", later) + &exception("c", "agent", over);
    let dir = folder(&[
        ("p/p.yaml", POLICY),
        ("p/e.yaml", &exceptions),
        ("dump/pods.yaml", &(pod("agent", true) + &pod("other", false))),
    ]);
    insta::assert_snapshot!(shown(&stockade(&dir, &["audit", "-p", "p", "--from", "dump"])), @r"
    exit 0
    warning: spec.expires: has expired: it waives nothing
      --> p/e.yaml:29:12
       |
    29 |   expires: '2026-01-01T00:00:00Z'
       |            ^^^^^^^^^^^^^^^^^^^^^^
    dump/pods.yaml: Pod shop/agent
      skip    no-host-network
              host network is not for you

    dump/pods.yaml: Pod shop/other
      skip    no-host-network
              passes without the exception

    POLICY               FAIL     WARN    ERROR     SKIP
    no-host-network         0        0        0        2

    EXCEPTION      FAIL     PASS
    shop/b            0        1  waives nothing
    shop/c            0        0  waives nothing  expired
    shop/a            1        0

    2 objects judged: 0 fail, 0 warn, 0 error, 2 skip, 0 pass
    ");
}
