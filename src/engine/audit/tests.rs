use bumpalo::Bump;
use serde_json::{Value as Json, json};
use stockade_cel::document::from_json;
use stockade_policy::compile::{Options, UnboundPolicy, compile};
use stockade_policy::sources::PolicySources;

use super::*;
use crate::folder_facts::FolderFacts;

const POLICIES: &str = r#"
apiVersion: stockade.dev/v1alpha1
kind: AdmissionPolicy
metadata: {name: labels}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps]}]
  actions: [Deny, Audit]
  validations:
  - {expression: "object.kind == 'ConfigMap' && has(object.metadata.labels)", message: no labels}
---
apiVersion: stockade.dev/v1alpha1
kind: AdmissionPolicy
metadata: {name: warns}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: ["*"], resources: ["*"]}]
  actions: [Warn]
  validations:
  - {expression: "oldObject == null && object.data.size() == 1", message: not one}
---
apiVersion: stockade.dev/v1alpha1
kind: AdmissionPolicy
metadata: {name: updates}
spec:
  matchConstraints:
    resourceRules:
    - {apiGroups: [""], apiVersions: [v1], operations: [UPDATE], resources: [configmaps]}
    - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods/eviction]}
  actions: [Deny]
  validations: [{expression: "false"}]
---
apiVersion: stockade.dev/v1alpha1
kind: AdmissionPolicy
metadata: {name: users}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]
  actions: [Deny]
  validations: [{expression: "request.userInfo.username != 'mallory'"}]
"#;

fn auditor() -> Auditor {
    let mut sources = PolicySources::default();
    sources.add("p.yaml", POLICIES, true);
    let set = compile(&sources, Options { unbound: UnboundPolicy::Ignore, type_check: false, ..Options::default() })
        .unwrap()
        .set;
    Auditor::new(&Engine::new(Arc::new(set)))
}

fn judged(auditor: &Auditor, object: &Json) -> Judgement {
    let (arena, facts) = (Bump::new(), FolderFacts::default());
    let object = from_json(object, &arena, auditor.symbols()).unwrap();
    let existing = Existing {
        object,
        kind: GroupVersionKind { group: "", version: "v1", kind: "ConfigMap" },
        resource: GroupVersionResource { group: "", version: "v1", resource: "configmaps" },
        namespaced: true,
    };
    auditor.judge(&existing, &facts, &arena)
}

fn result(policy: &str, outcome: Outcome, message: &str, line: u32) -> RuleResult {
    RuleResult {
        policy: policy.to_owned(),
        binding: policy.to_owned(),
        rule: "validations[0]".to_owned(),
        outcome,
        message: message.to_owned(),
        trace: Some(format!("p.yaml:{line}")),
        exception: None,
    }
}

#[test]
fn an_item_of_a_list_is_judged_as_if_it_were_created_and_each_rule_is_told_once() {
    let found = judged(&auditor(), &json!({"metadata": {"name": "a", "namespace": "shop"}, "data": {}}));
    let expected = [result("labels", Outcome::Fail, "no labels", 10), result("warns", Outcome::Warn, "not one", 20)];
    assert_eq!(found.results, expected);
}

#[test]
fn what_cannot_be_evaluated_is_an_error() {
    let found = judged(&auditor(), &json!({"metadata": {"name": "a", "namespace": "shop", "labels": {}}}));
    let message = "expression 'oldObject == null && object.data.size() == 1' resulted in error: no such key: data";
    assert_eq!(found.results, [result("warns", Outcome::Error, message, 20)]);
}

#[test]
fn policies_about_other_operations_and_about_users_say_that_they_judge_nothing() {
    let unjudged: Vec<_> = auditor().unjudged().iter().map(|u| (u.policy.to_string(), u.reason)).collect();
    assert_eq!(unjudged, [("updates".to_owned(), Reason::Operation), ("users".to_owned(), Reason::Requester)]);
}

#[test]
fn a_policy_is_about_the_resources_that_its_rules_name_for_creation() {
    let auditor = auditor();
    let about = |group, resource| -> Vec<&str> {
        auditor.policies().iter().filter(|p| is_about(p, group, resource)).map(|p| &*p.name).collect()
    };
    assert_eq!(about("", "configmaps"), ["labels", "warns"]);
    assert_eq!(about("", "secrets"), ["warns"]);
    assert_eq!(about("apps", "deployments"), Vec::<&str>::new());
}
