//! Whole configurations of small sets.

use bumpalo::Bump;
use serde_json::{Value, json};
use stockade_cel::Symbols;
use stockade_cel::document::from_json;
use stockade_engine::essentials::{BOOT, OWN_GROUP, OWN_KINDS};
use stockade_engine::{Request, RequestBuilder};
use stockade_policy::compile::{Options, UnboundPolicy, compile};
use stockade_policy::sources::PolicySources;

use super::*;

/// A policy that denies, without its bindings.
fn policy(name: &str, constraints: &str, more: &str) -> String {
    format!(
        "---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: {{name: {name}}}\n\
         spec:\n  matchConstraints: {constraints}\n  validations: [{{expression: 'true'}}]\n{more}"
    )
}

fn binding(policy: &str, actions: &str, more: &str) -> String {
    format!(
        "---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\n\
         metadata: {{name: {policy}-{}}}\nspec: {{policyName: {policy}, validationActions: {actions}{more}}}\n",
        actions.to_lowercase().trim_matches(['[', ']'])
    )
}

fn rule(groups: &str, resources: &str, operations: &str) -> String {
    format!("{{apiGroups: [{groups}], apiVersions: ['*'], operations: [{operations}], resources: [{resources}]}}")
}

fn rules(rules: &[String]) -> String {
    format!("{{resourceRules: [{}]}}", rules.join(", "))
}

fn settings() -> Settings {
    let address = Address::Service { namespace: "stockade-system".to_owned(), name: "stockade".to_owned() };
    Settings::new(address, "stockade-system".to_owned())
}

fn of(text: &str) -> Configurations {
    let mut sources = PolicySources::default();
    sources.add("p.yaml", text, true);
    let options = Options { unbound: UnboundPolicy::BindEverywhereDeny, type_check: false, ..Options::default() };
    let compiled = compile(&sources, options).unwrap_or_else(|faults| panic!("{faults}"));
    Configurations::of(&compiled.set, &settings(), b"pem")
}

/// An entry a line: name, failure policy, selectors, rules, conditions.
fn shown(configurations: &Configurations) -> Vec<String> {
    let list = |v: &Value| {
        let items: Vec<&str> = v.as_array().unwrap().iter().map(|i| i.as_str().unwrap()).collect();
        items.join(",")
    };
    let mut lines = Vec::new();
    for configuration in [json!(configurations.validating), json!(configurations.mutating)] {
        for w in configuration["webhooks"].as_array().unwrap() {
            let name = w["name"].as_str().unwrap().strip_suffix(".stockade.dev").unwrap();
            let mut line = format!("{name} {}", w["failurePolicy"].as_str().unwrap());
            for selector in ["namespaceSelector", "objectSelector"] {
                for r in w[selector]["matchExpressions"].as_array().into_iter().flatten() {
                    let key = r["key"].as_str().unwrap().replace("kubernetes.io/metadata.name", "name");
                    line += &format!(" [{key} {} {}]", r["operator"].as_str().unwrap(), list(&r["values"]));
                }
            }
            for r in w["rules"].as_array().unwrap() {
                let parts = ["operations", "apiGroups", "apiVersions", "resources"].map(|k| list(&r[k]));
                line += &format!(" | {} of {}/{} {}", parts[0], parts[1], parts[2], parts[3]);
            }
            for c in w["matchConditions"].as_array().into_iter().flatten() {
                line += &format!(" !{}", c["name"].as_str().unwrap());
            }
            lines.push(line);
        }
    }
    lines
}

const USER: &str = "[name NotIn kube-node-lease,kube-public,kube-system,stockade-system]";
const SYSTEM: &str = "[name In kube-node-lease,kube-public,kube-system]";
const OWN: &str =
    "own Fail | CREATE,UPDATE of stockade.dev/* admissionpolicies,imagepolicies,namespacegroups,policyexceptions";

#[test]
fn an_empty_set_asks_about_the_own_kinds_alone() {
    assert_eq!(shown(&of("")), [OWN]);
}

#[test]
fn an_entry_is_written_with_every_field_that_the_api_server_would_default() {
    let pods = policy("pods", &rules(&[rule("''", "pods", "CREATE")]), "");
    let validating = json!(of(&pods).validating);
    let want = json!({
        "name": "validate.stockade.dev",
        "admissionReviewVersions": ["v1"],
        "clientConfig": {
            "caBundle": "cGVt",
            "service": { "name": "stockade", "namespace": "stockade-system", "path": "/validate", "port": 443 },
        },
        "failurePolicy": "Fail",
        "matchPolicy": "Equivalent",
        "namespaceSelector": { "matchExpressions": [{
            "key": "kubernetes.io/metadata.name", "operator": "NotIn",
            "values": ["kube-node-lease", "kube-public", "kube-system", "stockade-system"],
        }] },
        "objectSelector": {},
        "rules": [{
            "operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["*"], "resources": ["pods"],
            "scope": "Namespaced",
        }],
        "sideEffects": "NoneOnDryRun",
        "timeoutSeconds": 5,
    });
    assert_eq!(validating["webhooks"][0], want);
    assert_eq!(validating["webhooks"][1]["timeoutSeconds"], 2);
    assert_eq!(
        validating["metadata"],
        json!({ "name": "stockade", "labels": { "app.kubernetes.io/name": "stockade" } })
    );
}

#[test]
fn named_resources_are_asked_about_without_conditions_in_the_entries_of_their_scope() {
    let text = policy(
        "a",
        &rules(&[rule("''", "pods, pods/exec", "CREATE, CONNECT"), rule("apps", "deployments", "CREATE, CONNECT")]),
        "",
    ) + &policy("b", &rules(&[rule("''", "namespaces", "DELETE")]), "");
    assert_eq!(
        shown(&of(&text)),
        [
            format!(
                "validate Fail {USER} | CREATE,CONNECT of apps/* deployments | CREATE,CONNECT of /* pods,pods/exec"
            ),
            "validate-cluster Fail [name NotIn stockade-system] | DELETE of /* namespaces !api-server".to_owned(),
            format!(
                "validate-system Ignore {SYSTEM} | CREATE,CONNECT of apps/* deployments | CREATE,CONNECT of /* pods,pods/exec"
            ),
            OWN.to_owned(),
        ]
    );
}

#[test]
fn what_only_policies_judge_that_refuse_nothing_without_an_answer_fails_open() {
    let text = policy("strict", &rules(&[rule("''", "pods", "CREATE")]), "")
        + &policy("warns", &rules(&[rule("''", "pods", "CREATE, UPDATE"), rule("''", "services", "CREATE")]), "")
        + &binding("warns", "[Warn]", "")
        + &policy("ignores", &rules(&[rule("''", "configmaps", "CREATE")]), "  failurePolicy: Ignore\n");
    assert_eq!(
        shown(&of(&text)),
        [
            format!("validate Fail {USER} | CREATE of /* pods"),
            format!("validate-ignore Ignore {USER} | CREATE of /* configmaps,services | UPDATE of /* pods !api-server"),
            format!(
                "validate-system Ignore {SYSTEM} | CREATE of /* configmaps,services | CREATE,UPDATE of /* pods !api-server"
            ),
            OWN.to_owned(),
        ]
    );
}

#[test]
fn a_wildcard_that_fails_open_leaves_what_fails_closed_to_the_other_entry() {
    let text = policy("strict", &rules(&[rule("''", "pods, nodes", "CREATE")]), "")
        + &policy("all", &rules(&[rule("'*'", "'*'", "CREATE")]), "")
        + &binding("all", "[Audit]", "");
    let configurations = of(&text);
    let away = "!leases-and-events !nodes !api-server !reviews";
    assert_eq!(
        shown(&configurations),
        [
            format!("validate Fail {USER} | CREATE of /* pods"),
            format!("validate-ignore Ignore {USER} | CREATE of */* * {away} !not-asked-already"),
            format!("validate-cluster-ignore Ignore [name NotIn stockade-system] | CREATE of */* * {away} !boot"),
            "validate-boot Ignore [name NotIn stockade-system] | CREATE of apiregistration.k8s.io/* apiservices | CREATE of \
             certificates.k8s.io/* certificatesigningrequests | CREATE of storage.k8s.io/* csinodes,volumeattachments | \
             CREATE of flowcontrol.apiserver.k8s.io/* flowschemas,prioritylevelconfigurations | CREATE of /* nodes | \
             CREATE of scheduling.k8s.io/* priorityclasses !api-server"
                .to_owned(),
            format!("validate-system Ignore {SYSTEM} | CREATE of */* * {away}"),
            OWN.to_owned(),
        ]
    );
}

#[test]
fn bindings_narrow_rules_and_selectors_and_nothing_is_narrowed_that_one_policy_leaves_wide() {
    let narrow = ", matchResources: {namespaceSelector: {matchLabels: {env: prod}}, resourceRules: [{apiGroups: ['*'], \
                  apiVersions: ['*'], operations: [CREATE], resources: [pods]}]}";
    let text = policy("a", &rules(&[rule("''", "pods, services", "CREATE, UPDATE")]), "")
        + &binding("a", "[Deny]", narrow)
        + &policy(
            "b",
            "{namespaceSelector: {matchLabels: {env: staging}}, resourceRules: [{apiGroups: [''], apiVersions: [v1], \
             operations: ['*'], resources: [secrets, configmaps]}], excludeResourceRules: [{apiGroups: [''], \
             apiVersions: ['*'], operations: ['*'], resources: [configmaps]}]}",
            "",
        );
    let rules = "| CREATE of /* pods | * of /v1 secrets";
    assert_eq!(
        shown(&of(&text)),
        [
            format!("validate Fail {USER} [env In prod,staging] {rules}"),
            format!("validate-system Ignore {SYSTEM} [env In prod,staging] {rules}"),
            OWN.to_owned(),
        ]
    );
}

#[test]
fn what_nodes_need_to_come_up_fails_open_though_its_policy_fails_closed() {
    let text = policy(
        "nodes",
        &rules(&[rule("''", "nodes", "CREATE, UPDATE"), rule("storage.k8s.io", "csinodes, storageclasses", "CREATE")]),
        "",
    );
    assert_eq!(
        shown(&of(&text)),
        [
            "validate-cluster Fail [name NotIn stockade-system] | CREATE of storage.k8s.io/* storageclasses",
            "validate-boot Ignore [name NotIn stockade-system] | CREATE of storage.k8s.io/* csinodes | CREATE,UPDATE of /* nodes",
            OWN,
        ]
    );
}

#[test]
fn mutations_are_never_asked_twice_nor_about_deletions() {
    let mutating = |name: &str, rule: &str, more: &str| {
        format!(
            "---\napiVersion: admissionregistration.k8s.io/v1\nkind: MutatingAdmissionPolicy\nmetadata: {{name: {name}}}\n\
             spec:\n  matchConstraints: {{resourceRules: [{rule}]}}\n{more}  mutations:\n  - patchType: JSONPatch\n    \
             jsonPatch: {{expression: '[JSONPatch{{op: \"remove\", path: \"/a\"}}]'}}\n"
        )
    };
    let text = mutating("a", &rule("''", "pods", "CREATE"), "  reinvocationPolicy: Never\n")
        + &mutating("b", &rule("''", "pods/*", "'*'"), "  failurePolicy: Ignore\n  reinvocationPolicy: IfNeeded\n");
    let configurations = of(&text);
    let rules = "| CREATE,UPDATE,CONNECT of /* pods/*";
    assert_eq!(
        shown(&configurations),
        [
            OWN.to_owned(),
            format!("mutate Fail {USER} {rules} !nodes !scheduler !controllers"),
            format!("mutate-system Ignore {SYSTEM} {rules} !nodes !scheduler !controllers"),
        ]
    );
    assert_eq!(json!(configurations.mutating)["webhooks"][0]["reinvocationPolicy"], "IfNeeded");
}

#[test]
fn ignore_for_the_whole_registration_leaves_only_the_own_kinds_closed() {
    let mut sources = PolicySources::default();
    sources.add("p.yaml", &policy("pods", &rules(&[rule("''", "pods", "CREATE")]), ""), true);
    let options = Options { unbound: UnboundPolicy::BindEverywhereDeny, type_check: false, ..Options::default() };
    let compiled = compile(&sources, options).unwrap();
    let essentials = Essentials { system_namespaces: Vec::new(), ..settings().essentials };
    let settings = Settings { failure_policy: FailurePolicy::Ignore, essentials, ..settings() };
    let want = ["validate-ignore Ignore [name NotIn stockade-system] | CREATE of /* pods", OWN];
    assert_eq!(shown(&Configurations::of(&compiled.set, &settings, b"pem")), want);
}

#[test]
fn a_condition_names_what_it_keeps_away_and_no_more() {
    let text = policy("all", &rules(&[rule("'*'", "leases, pods/*", "'*'")]), "");
    let conditions = json!(of(&text).validating)["webhooks"][0]["matchConditions"].clone();
    let user = "request.userInfo.?username.orValue('')";
    let groups = "request.userInfo.?groups.orValue([])";
    let sub = "request.?subResource.orValue('')";
    let part = format!("(request.resource.group + '/' + request.resource.resource + '/' + {sub})");
    let want = json!([
        {
            "name": "nodes",
            "expression": format!(
                "!({user}.startsWith('system:node:') && 'system:nodes' in {groups} && ({part} in [\"/pods/status\"]))"
            ),
        },
        {
            "name": "scheduler",
            "expression": format!(
                "!({user} == 'system:kube-scheduler' && ({part} in [\"/pods/binding\", \"/pods/status\"]))"
            ),
        },
        {
            "name": "controllers",
            "expression": format!("!('system:serviceaccounts:kube-system' in {groups} && ({sub} == 'status'))"),
        },
    ]);
    assert_eq!(conditions, want);
}

#[test]
fn where_flows_are_known_edits_of_network_policies_are_asked_about_whatever_policies_judge_and_fail_open() {
    let narrow = "{namespaceSelector: {matchLabels: {env: prod}}, resourceRules: [{apiGroups: [networking.k8s.io], \
                  apiVersions: ['*'], operations: [CREATE], resources: [networkpolicies]}]}";
    let mut sources = PolicySources::default();
    sources.add("p.yaml", &policy("narrow", narrow, ""), true);
    let options = Options { unbound: UnboundPolicy::BindEverywhereDeny, type_check: false, ..Options::default() };
    let set = compile(&sources, options).unwrap().set;
    let configurations = Configurations::of(&set, &Settings { flows: true, ..settings() }, b"pem");
    let rule = "| CREATE of networking.k8s.io/* networkpolicies";
    let edits = "| CREATE,UPDATE,DELETE of networking.k8s.io/v1 networkpolicies \
                 | CREATE,UPDATE,DELETE of policy.networking.k8s.io/v1alpha2 clusternetworkpolicies";
    let not_own = "[name NotIn stockade-system]";
    assert_eq!(
        shown(&configurations),
        [
            format!("validate Fail {USER} [env In prod] {rule}"),
            format!("validate-system Ignore {SYSTEM} [env In prod] {rule}"),
            OWN.to_owned(),
            format!("warn Ignore {not_own} {edits}"),
            format!("warn-namespace Ignore {not_own} | UPDATE of /v1 namespaces !enforces-from-now-on"),
        ]
    );
    let warn = &json!(configurations.validating)["webhooks"][4];
    let audits =
        |object: &str| format!("{object}.metadata.?annotations[?'stockade.dev/enforcement'].orValue('') == 'Audit'");
    let condition = format!("{} && !({})", audits("oldObject"), audits("object"));
    assert_eq!(
        (
            &warn["clientConfig"]["service"]["path"],
            &warn["rules"][0]["scope"],
            &warn["matchConditions"][0]["expression"]
        ),
        (&json!("/warn"), &json!("Cluster"), &json!(condition))
    );
    assert_eq!(warn["timeoutSeconds"], 2);
}

/// The entries that ask about an object being created, as the API server finds them; conditions aside.
fn asking(configurations: &Configurations, group: &str, resource: &str, namespace: Option<&str>) -> Vec<String> {
    let webhooks = json!(configurations.validating.webhooks);
    let has = |list: &Value, wanted: &str| list.as_array().unwrap().iter().any(|item| item == "*" || item == wanted);
    let scope = if namespace.is_some() { "Namespaced" } else { "Cluster" };
    let asks = |w: &&Value| {
        let rule = |r: &Value| {
            let scoped = r["scope"] == "*" || r["scope"] == scope;
            scoped && has(&r["apiGroups"], group) && has(&r["resources"], resource) && has(&r["operations"], "CREATE")
        };
        // Cluster-scoped objects are in every selector.
        let selects = |r: &Value| {
            let Some(namespace) = namespace else { return true };
            has(&r["values"], namespace) == (r["operator"] == "In")
        };
        let selectors = w["namespaceSelector"]["matchExpressions"].as_array();
        w["rules"].as_array().unwrap().iter().any(rule) && selectors.into_iter().flatten().all(selects)
    };
    let policy = |w: &Value| w["failurePolicy"].as_str().unwrap().to_owned();
    webhooks.as_array().unwrap().iter().filter(asks).map(policy).collect()
}

#[test]
fn what_the_registration_asks_about_without_needing_an_answer_the_engine_admits_when_it_cannot_judge_it() {
    let named =
        [("", "pods"), ("", "namespaces"), (OWN_GROUP, OWN_KINDS[2]), ("rbac.authorization.k8s.io", "clusterroles")];
    let all: Vec<(&str, &str)> = BOOT.into_iter().chain(named).collect();
    let rule = |(group, resource): &(&str, &str)| rule(&format!("'{group}'"), resource, "CREATE");
    let configurations = of(&policy("named", &rules(&all.iter().map(rule).collect::<Vec<_>>()), ""));
    let essentials = settings().essentials;
    let arena = Bump::new();
    for (group, resource) in all {
        let namespaced = matches!(resource, "pods" | "policyexceptions");
        let namespaces = ["kube-system", "kube-public", "kube-node-lease", "shop"].map(Some);
        for namespace in if namespaced { &namespaces[..] } else { &[None] } {
            let mut review =
                RequestBuilder::new().object(json!({ "apiVersion": "v1", "kind": "Pod" })).review().unwrap();
            review["request"]["resource"] = json!({ "group": group, "version": "v1", "resource": resource });
            review["request"]["namespace"] = json!(namespace);
            review["request"]["userInfo"] = json!({ "username": "system:node:n", "groups": ["system:nodes"] });
            let review = from_json(&review, &arena, &Symbols::default()).unwrap();
            let is_essential = essentials.contain(&Request::from_review(review).unwrap());
            let policies = asking(&configurations, group, resource, *namespace);
            assert!(!policies.is_empty(), "{resource} in {namespace:?}");
            assert_eq!(
                is_essential,
                policies.iter().all(|p| p == "Ignore"),
                "{resource} in {namespace:?}: {policies:?}"
            );
        }
    }
}

#[test]
fn an_image_policy_is_asked_about_what_makes_pods_and_pins_where_it_can() {
    let image_policy = |digest: &str| {
        format!(
            "---\napiVersion: stockade.dev/v1alpha1\nkind: ImagePolicy\nmetadata: {{name: images}}\n\
             spec: {{images: ['**'], digest: {digest}}}\n"
        )
    };
    let rules = " | CREATE,UPDATE of /v1 pods,pods/ephemeralcontainers,podtemplates,replicationcontrollers";
    let asked = |digest: &str| -> Vec<String> {
        let about = shown(&of(&image_policy(digest))).into_iter().filter(|line| line.contains(rules));
        about.map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
    };
    let judged = ["validate Fail", "validate-system Ignore"];
    assert_eq!(asked("{mutate: false, required: true}"), judged);
    assert_eq!(asked("{mutate: true}"), [judged[0], judged[1], "mutate-ignore Ignore", "mutate-system Ignore"]);
    let silent = asked("{mutate: true}, shadowOf: other");
    assert!(silent.iter().all(|entry| entry.starts_with("validate") && entry.ends_with("Ignore")), "{silent:?}");
}
