use std::fmt::Write as _;

use super::*;
use crate::read::ManifestReader;
use crate::state::PodId;

const STATE: &str = "
{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: x, labels: {app: a, pod-template-hash: '1'}}, status: {podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: b, namespace: x, labels: {app: b}}, status: {podIPs: [{ip: 10.0.0.2}, {ip: 'fd00::2'}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: c, namespace: yy, labels: {}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: h, namespace: yy}, spec: {hostNetwork: true}, status: {podIP: 192.168.0.1}}
---
";
const PODS: [&str; 4] = ["x/a", "x/b", "yy/c", "yy/h"];

fn policy(namespace: &str, name: &str, selector: &str) -> String {
    let spec = format!("{{podSelector: {selector}, policyTypes: [Ingress, Egress]}}");
    format!(
        "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: {name}, namespace: {namespace}}}, spec: {spec}}}\n---\n"
    )
}

fn deny_all() -> String {
    let rule = |peers| format!("[{{action: Deny, {peers}: [{{namespaces: {{}}}}]}}]");
    format!(
        "{{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {{name: deny}}, spec: {{tier: Admin, priority: 5, subject: {{namespaces: {{}}}}, ingress: {}, egress: {}}}}}\n---\n",
        rule("from"),
        rule("to")
    )
}

fn compiled(policies: &str) -> Compiled {
    let mut reader = ManifestReader::new("default");
    reader.add("a.yaml", STATE);
    reader.add("b.yaml", policies);
    let read = reader.finish();
    assert!(!read.diagnostics.has_errors(), "{}\n{policies}", read.diagnostics);
    Compiled::new(read.policies, read.state).unwrap()
}

fn pod(compiled: &Compiled, name: &str) -> PodId {
    compiled.state().pods().find(|(_, pod)| pod.to_string() == name).unwrap().0
}

/// The advice of a side as a policy of its own: a rule is put where it says, behind the selector of the near Pod.
fn as_policy(number: usize, direction: Direction, near: &str, yaml: &str) -> String {
    let list = direction.rules();
    let indented = |by: usize| {
        yaml.lines().fold(String::new(), |mut all, line| {
            let _ = writeln!(all, "{:by$}{line}", "");
            all
        })
    };
    if yaml.starts_with("apiVersion") {
        return format!("{}---\n", yaml.replace("metadata: {name: ", &format!("metadata: {{name: r{number}-")));
    }
    if yaml.starts_with("- action") {
        return format!(
            "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {{name: r{number}}}\nspec:\n  tier: Admin\n  priority: 1\n  subject: {{namespaces: {{}}}}\n  {list}:\n{}---\n",
            indented(4)
        );
    }
    let (namespace, name) = near.split_once('/').unwrap();
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: r{number}, namespace: {namespace}}}\nspec:\n  podSelector: {{matchLabels: {{app: {name}}}}}\n  policyTypes: [{}]\n  {list}:\n{}---\n",
        direction.name(),
        indented(4)
    )
}

#[test]
fn who_does_what_is_advised_gets_the_connection_and_nothing_else() {
    let sets = [
        policy("x", "all", "{}"),
        policy("x", "a", "{matchLabels: {app: a}}")
            + &policy("x", "b", "{matchLabels: {app: b}}")
            + &policy("yy", "all", "{}"),
        deny_all(),
        deny_all() + &policy("x", "all", "{}"),
    ];
    for set in sets {
        for (from, to) in PODS.iter().flat_map(|from| PODS.map(|to| (*from, to))).filter(|(from, to)| from != to) {
            let mut policies = set.clone();
            // A tier after the other: what one no longer denies, the next may.
            for round in 0..3 {
                let compiled = compiled(&policies);
                let ends = (Endpoint::Pod(pod(&compiled, from), None), Endpoint::Pod(pod(&compiled, to), None));
                let explanation = compiled.explain(ends.0, ends.1, Protocol::Udp, 53);
                if explanation.verdict.is_allowed() {
                    break;
                }
                assert!(round < 2, "{from} to {to} with\n{policies}\nis {explanation:?}");
                for (number, side) in explanation.sides.iter().enumerate().filter(|(_, s)| !s.decision.is_allowed()) {
                    let near = if side.direction == Direction::Egress { from } else { to };
                    let yaml = &side.remedy.as_ref().unwrap().yaml;
                    policies += &as_policy(round * 2 + number, side.direction, near, yaml);
                }
            }
            let before = compiled(&set);
            let after = compiled(&policies);
            for (a, b) in PODS.iter().flat_map(|a| PODS.map(|b| (*a, b))).filter(|pair| *pair != (from, to)) {
                let allowed = |c: &Compiled| c.allowed(Endpoint::Pod(pod(c, a), None), Endpoint::Pod(pod(c, b), None));
                // Who has no labels cannot be named alone: a rule for one of a namespace is for all.
                let alike = [a, b]
                    .iter()
                    .zip([from, to])
                    .all(|(x, y)| **x == *y || (x.starts_with("yy/") && y.starts_with("yy/")));
                assert!(alike || allowed(&after).without(&allowed(&before)).is_empty(), "{a} to {b} with\n{policies}");
            }
        }
    }
}

#[test]
fn rules_that_do_not_match_say_why() {
    let set = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: b, namespace: x}, spec: {podSelector: {matchLabels: {app: b}}, ingress: [{from: [{podSelector: {matchLabels: {app: a}}}], ports: [{port: 80}]}, {from: [{podSelector: {matchLabels: {app: z}}}]}]}}";
    let compiled = compiled(set);
    let ends = (Endpoint::Pod(pod(&compiled, "x/a"), None), Endpoint::Pod(pod(&compiled, "x/b"), None));
    let [egress, ingress] = compiled.explain(ends.0, ends.1, Protocol::Tcp, 443).sides;
    assert_eq!((egress.decision, egress.remedy), (Decision::NotSelected, None));
    let why: Vec<Why> = ingress.missed.into_iter().map(|missed| missed.why).collect();
    assert_eq!(why, [Why::OtherPorts(only(Protocol::Tcp, 80)), Why::OtherPeers]);
}
