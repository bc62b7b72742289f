//! Whole decisions of mutating policies and of AdmissionPolicies.

#[path = "support/kit.rs"]
mod kit;

use serde_json::{Value as Json, json};
use stockade_engine::decision::{FindingAction, FindingResult};
use stockade_engine::request::Operation;
use stockade_engine::{Decision, RequestBuilder};

const RULES: &str =
    r#"{"resourceRules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}]}"#;

/// A MutatingAdmissionPolicy about everything, and its binding.
fn mutating(name: &str, reinvocation: &str, spec: &str) -> String {
    format!(
        "apiVersion: admissionregistration.k8s.io/v1\nkind: MutatingAdmissionPolicy\nmetadata: {{name: {name}}}\n\
         spec: {{matchConstraints: {RULES}, reinvocationPolicy: {reinvocation}, {spec}}}\n---\n\
         apiVersion: admissionregistration.k8s.io/v1\nkind: MutatingAdmissionPolicyBinding\nmetadata: {{name: {name}-b}}\n\
         spec: {{policyName: {name}}}\n---\n"
    )
}

fn json_patch(expression: &str) -> String {
    format!("mutations: [{{patchType: JSONPatch, jsonPatch: {{expression: '{expression}'}}}}]")
}

fn pod() -> Json {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]}})
}

fn judge(policies: &str) -> Decision {
    kit::decide(&kit::engine(policies), RequestBuilder::new().object(pod()), &kit::facts([]))
}

fn label(decision: &Decision, key: &str) -> Json {
    decision.object.as_ref().map_or(Json::Null, |o| o["metadata"]["labels"][key].clone())
}

#[test]
fn a_later_mutation_sees_the_result_of_the_one_before() {
    let first = json_patch(r#"[JSONPatch{op: "add", path: "/metadata/labels/a", value: "1"}]"#);
    let second =
        json_patch(r#"[JSONPatch{op: "add", path: "/metadata/labels/b", value: object.metadata.labels.a + "2"}]"#);
    let decision = judge(&(mutating("a", "Never", &first) + &mutating("b", "Never", &second)));
    assert_eq!(label(&decision, "b"), json!("12"));
    assert_eq!(
        decision.patch,
        [
            json!({"op": "add", "path": "/metadata/labels/a", "value": "1"}),
            json!({"op": "add", "path": "/metadata/labels/b", "value": "12"}),
        ]
    );
    let results: Vec<_> = decision.findings.iter().map(|f| (f.policy.as_str(), f.action, f.result)).collect();
    let mutated = (FindingAction::Mutate, FindingResult::Mutated);
    assert_eq!(results, [("a", mutated.0, mutated.1), ("b", mutated.0, mutated.1)]);
}

#[test]
fn a_policy_that_asks_for_it_runs_again_after_a_later_change() {
    let mirror = |reinvocation: &str| {
        let first = json_patch(
            r#"[JSONPatch{op: "add", path: "/metadata/labels/seen", value: has(object.metadata.labels.late) ? "yes" : "no"}]"#,
        );
        let second = json_patch(r#"[JSONPatch{op: "add", path: "/metadata/labels/late", value: "x"}]"#);
        label(&judge(&(mutating("a", reinvocation, &first) + &mutating("b", "Never", &second))), "seen")
    };
    assert_eq!(mirror("Never"), json!("no"));
    assert_eq!(mirror("IfNeeded"), json!("yes"));
}

#[test]
fn a_mutation_that_fails_refuses_in_upstreams_words_or_is_left_out() {
    let of = |failure: &str| {
        let patch = json_patch(r#"[JSONPatch{op: "remove", path: "/metadata/absent/x"}]"#);
        judge(&mutating("m", "Never", &format!("failurePolicy: {failure}, {patch}")))
    };
    let refused = of("Fail").status.map(|s| (s.code, s.reason, s.message));
    let message = "policy 'm' with binding 'm-b' denied request: JSON Patch: remove operation does not apply: doc is \
                   missing path: \"/metadata/absent/x\": missing value";
    assert_eq!(refused, Some((403, "Invalid".to_owned(), message.to_owned())));
    let ignored = of("Ignore");
    assert!(ignored.allowed && ignored.patch.is_empty());
}

#[test]
fn policies_that_set_one_field_to_different_values_are_reported() {
    let set = |value: &str| {
        json_patch(&format!(r#"[JSONPatch{{op: "add", path: "/metadata/labels/tier", value: "{value}"}}]"#))
    };
    let two = |a: &str, b: &str| judge(&(mutating("a", "Never", &set(a)) + &mutating("b", "Never", &set(b))));
    let conflict = "policies 'a' and 'b' set /metadata/labels/tier to different values; 'b' wins";
    let decision = two("x", "y");
    assert_eq!((label(&decision, "tier"), decision.warnings), (json!("y"), vec![conflict.to_owned()]));
    assert_eq!(two("x", "x").warnings, [] as [String; 0]);
}

#[test]
fn a_deleted_object_is_not_mutated() {
    let policies = mutating("m", "Never", &json_patch(r#"[JSONPatch{op: "remove", path: "/metadata/absent"}]"#));
    let deleted = RequestBuilder::new().operation(Operation::Delete).object(pod());
    let decision = kit::decide(&kit::engine(&policies), deleted, &kit::facts([]));
    assert!(decision.allowed && decision.patch.is_empty() && decision.object.is_none());
}

#[test]
fn validations_judge_the_mutated_object() {
    let validation = format!(
        "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: {{name: v}}\n\
         spec: {{matchConstraints: {RULES}, validations: [{{expression: 'has(object.metadata.labels.a)'}}]}}\n---\n"
    );
    let mutation =
        mutating("m", "Never", &json_patch(r#"[JSONPatch{op: "add", path: "/metadata/labels/a", value: "1"}]"#));
    assert!(!judge(&validation).allowed);
    assert!(judge(&(validation + &mutation)).allowed);
}

#[test]
fn what_a_mutation_adds_has_its_defaults_for_those_after_it() {
    let added =
        json_patch(r#"[JSONPatch{op: "add", path: "/spec/containers/-", value: {"name": "d", "image": "j:1"}}]"#);
    let seen = json_patch(
        r#"[JSONPatch{op: "add", path: "/metadata/labels/pull", value: object.spec.containers[1].imagePullPolicy}]"#,
    );
    let engine = kit::engine(&(mutating("a", "Never", &added) + &mutating("b", "Never", &seen)));
    let presented = RequestBuilder::new().object(stockade_schema::normalise::normalise(pod()));
    assert_eq!(label(&kit::decide(&engine, presented, &kit::facts([])), "pull"), json!("IfNotPresent"));
}

/// An AdmissionPolicy that labels Pods and wants a NetworkPolicy to isolate them.
const ADMISSION_POLICY: &str = r#"
apiVersion: stockade.dev/v1alpha1
kind: AdmissionPolicy
metadata: {name: isolated}
spec:
  actions: [Deny]
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: ["*"], operations: [CREATE], resources: [pods]}]
  mutations:
    - patchType: JSONPatch
      jsonPatch: {expression: '[JSONPatch{op: "add", path: "/metadata/labels/net", value: "on"}]'}
  validations:
    - expression: network.ingress(object).isolated() && !network.ingress(object).allowsAll()
      message: not isolated
    - expression: cluster.get("v1", "ConfigMap", request.namespace, "web").hasValue()
      message: no ConfigMap
"#;

fn network_policy(labels: &Json, spec: &Json) -> Json {
    let mut spec = spec.clone();
    spec["podSelector"] = json!({"matchLabels": labels});
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "np", "namespace": "shop"}, "spec": spec})
}

#[test]
fn an_admission_policy_mutates_validates_and_reads_the_cluster() {
    let engine = kit::engine(ADMISSION_POLICY);
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web", "namespace": "shop"}});
    let judge = |objects: Vec<Json>| {
        let decision = kit::decide(&engine, RequestBuilder::new().object(pod()), &kit::facts(objects));
        decision.status.as_ref().map_or_else(|| label(&decision, "net").to_string(), |s| s.message.clone())
    };
    // The selector matches what the policy's own mutation made of the labels.
    let isolating = network_policy(&json!({"net": "on"}), &json!({}));
    let open = network_policy(&json!({"app": "web"}), &json!({"ingress": [{}]}));
    assert_eq!(judge(vec![config.clone(), isolating.clone()]), "\"on\"");
    assert_eq!(judge(vec![isolating]), "AdmissionPolicy 'isolated' denied request: no ConfigMap");
    assert_eq!(judge(vec![config, open]), "AdmissionPolicy 'isolated' denied request: not isolated");
}
