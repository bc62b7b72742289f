//! What a PolicyException waives, and what it does not.

use serde_json::{Value as Json, json};
use stockade_engine::request::Operation;
use stockade_engine::{DecideOptions, RequestBuilder};

use super::*;

const ANY: &str = "policies: [{name: p}], resources: [{resources: [pods]}]";

fn with(spec: &str) -> String {
    never("p", "") + &exception("shop", "e", spec)
}

/// Whether the exception waives what policy `p` refuses.
fn waives(spec: &str, object: Json) -> bool {
    judge(&with(spec), object).allowed
}

#[test]
fn a_waived_failure_admits_and_is_told() {
    let decision = judge(&with(ANY), pod());
    let waived = (FindingAction::Waive, FindingResult::Fail, Some("shop/e"));
    assert_eq!((decision.allowed, told(&decision)), (true, vec![waived]));
    assert_eq!(decision.warnings, [""; 0]);
    assert_eq!(decision.audit_annotations, [("p/exception".to_owned(), "shop/e: old".to_owned())].into());
    assert_eq!(decision.findings[0].message, "refused");
}

#[test]
fn an_error_is_waived_as_a_failure_is() {
    let broken = policy("p", "validations: [{expression: 'object.spec.absent.field == 1'}]");
    let decision = judge(&(broken + &exception("shop", "e", ANY)), pod());
    assert_eq!(
        (decision.allowed, told(&decision)),
        (true, vec![(FindingAction::Waive, FindingResult::Error, Some("shop/e"))])
    );
    let no_params = policy(
        "p",
        "paramKind: {apiVersion: v1, kind: ConfigMap}, paramRef: {name: gone}, validations: [{expression: 'true'}]",
    );
    assert!(judge(&(no_params.clone() + &exception("shop", "e", ANY)), pod()).allowed);
    assert!(!judge(&no_params, pod()).allowed);
}

#[test]
fn an_error_that_is_ignored_needs_no_exception() {
    let broken = policy("p", "failurePolicy: Ignore, validations: [{expression: 'object.spec.absent.field == 1'}]");
    let decision = judge(&(broken + &exception("shop", "e", ANY)), pod());
    assert_eq!(told(&decision), [(FindingAction::Ignore, FindingResult::Error, None)]);
}

#[test]
fn only_the_rules_and_policies_it_names_are_waived() {
    let two = policy("p", "validations: [{expression: 'false', message: a}, {expression: 'false', message: b}]");
    let one =
        exception("shop", "e", "policies: [{name: p, rules: ['validations[1]']}], resources: [{resources: [pods]}]");
    let decision = judge(&(two + &one), pod());
    let denied = (FindingAction::Deny, FindingResult::Fail, None);
    assert_eq!(told(&decision), [denied, (FindingAction::Waive, FindingResult::Fail, Some("shop/e"))]);
    assert!(!judge(&(never("q", "") + &with(ANY)), pod()).allowed);
}

#[test]
fn it_waives_objects_of_its_own_namespace_that_all_entries_name() {
    let of = |spec: &str| waives(&format!("policies: [{{name: p}}], {spec}"), pod());
    let table = [
        ("resources: [{apiGroups: ['']}]", true),
        ("resources: [{apiGroups: [apps]}, {resources: [pods]}]", true),
        ("resources: [{apiGroups: ['*'], resources: ['*']}]", true),
        ("resources: [{names: [we*]}]", true),
        ("resources: [{selector: {matchLabels: {app: web}}}]", true),
        ("resources: [{apiGroups: [apps], resources: [pods]}]", false),
        ("resources: [{resources: [pods/exec]}]", false),
        ("resources: [{names: [we]}]", false),
        ("resources: [{names: ['*'], selector: {matchLabels: {app: other}}}]", false),
        ("images: ['registry.example.com/*']", true),
        ("images: ['registry.example.com/*'], resources: [{names: [other]}]", false),
    ];
    assert_eq!(table.map(|(spec, _)| (spec, of(spec))), table);
    let mut elsewhere = pod();
    elsewhere["metadata"]["namespace"] = json!("other");
    assert!(!waives(ANY, elsewhere));
}

#[test]
fn a_name_that_is_yet_to_be_generated_must_match_whatever_it_becomes() {
    let mut generated = pod();
    generated["metadata"] = json!({"generateName": "web-", "namespace": "shop"});
    let named =
        |glob: &str| waives(&format!("policies: [{{name: p}}], resources: [{{names: ['{glob}']}}]"), generated.clone());
    assert_eq!(["web-*", "w*", "web-a*", "web-"].map(named), [true, true, false, false]);
}

#[test]
fn every_image_of_the_object_must_match() {
    let images = "policies: [{name: p}], images: ['registry.example.com/**', 'docker.io/*:*']";
    let mut other = pod();
    other["spec"]["initContainers"] = json!([{"name": "i", "image": "docker.io/init:1"}]);
    assert!(waives(images, other.clone()));
    for (list, entry) in [
        ("initContainers", json!([{"name": "i", "image": "evil.example.net/x"}])),
        ("ephemeralContainers", json!([{"name": "i", "image": "evil.example.net/x"}])),
        ("volumes", json!([{"name": "v", "image": {"reference": "evil.example.net/x"}}])),
        ("containers", json!([])),
        ("containers", json!([{"name": "c"}])),
    ] {
        let mut wrong = pod();
        wrong["spec"][list] = entry;
        assert!(!waives(images, wrong), "{list}");
    }
    let template = |kind: &str, spec: Json| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "a", "namespace": "shop"}, "spec": spec});
    let deployment = template("ReplicationController", json!({"template": {"spec": other["spec"]}}));
    assert!(waives(images, deployment));
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "shop"}});
    assert!(!waives(images, map));
}

#[test]
fn a_cluster_scoped_object_is_waived_from_the_own_namespace_alone() {
    let named = |namespace: &str| {
        never("p", "")
            + &exception(namespace, "e", "policies: [{name: p}], resources: [{resources: [namespaces, nodes]}]")
    };
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}});
    let judged = |policies: &str, object: &Json| judge(policies, object.clone()).allowed;
    for object in [node.clone(), super::namespace("shop", &json!({}))] {
        assert_eq!([judged(&named("shop"), &object), judged(&named("stockade-system"), &object)], [false, true]);
    }
    let engine = kit::engine(&named("gate")).own_namespace("gate");
    assert!(decide(&engine, RequestBuilder::new().object(node), []).allowed);
}

#[test]
fn an_expired_exception_waives_nothing_and_one_that_soon_will_warns() {
    let at = |now| {
        let options = DecideOptions { now: Some(now), ..DecideOptions::default() };
        let review = RequestBuilder::new().object(pod()).review().unwrap();
        let decision = kit::decide_review(&kit::engine(&with(ANY)), &review, &kit::facts([]), &options);
        (decision.allowed, decision.warnings)
    };
    // 2027-01-01T00:00:00Z
    const END: i64 = 1_798_761_600;
    assert_eq!(at(END), (false, vec![]));
    assert_eq!(at(i64::MAX), (false, vec![]));
    let warning = "PolicyException 'shop/e', which waives policy 'p' here, expires in 3 days";
    assert_eq!(at(END - 3 * 86_400), (true, vec![warning.to_owned()]));
    assert_eq!(at(END - 8 * 86_400), (true, vec![]));
}

#[test]
fn on_delete_the_object_that_goes_is_looked_at_and_a_connection_has_no_labels() {
    let selector = with("policies: [{name: p}], resources: [{selector: {matchLabels: {app: web}}}]");
    let delete = RequestBuilder::new().operation(Operation::Delete).old_object(pod());
    assert!(decide(&kit::engine(&selector), delete, []).allowed);
    let absent =
        with("policies: [{name: p}], resources: [{selector: {matchExpressions: [{key: x, operator: DoesNotExist}]}}]");
    let options = json!({"apiVersion": "v1", "kind": "PodExecOptions", "container": "c"});
    let exec =
        || RequestBuilder::new().operation(Operation::Connect).object(options.clone()).namespace("shop").name("web");
    let review = |mut review: Json| {
        review["request"]["resource"] = json!({"group": "", "version": "v1", "resource": "pods"});
        review["request"]["subResource"] = json!("exec");
        review
    };
    let decided = |policies: &str| {
        kit::decide_review(&kit::engine(policies), &review(exec().review().unwrap()), &kit::facts([]), &at_now())
            .allowed
    };
    assert!(!decided(&absent));
    assert!(decided(&with("policies: [{name: p}], resources: [{resources: [pods/exec], names: [web]}]")));
}

#[test]
fn a_native_policy_is_waived_too_and_its_words_stay_upstreams_where_none_is() {
    let native = "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: {name: p}\n\
                  spec: {matchConstraints: {resourceRules: [{apiGroups: ['*'], apiVersions: ['*'], operations: ['*'], \
                  resources: ['*']}]}, validations: [{expression: 'false', message: refused}]}\n---\n";
    assert!(judge(&(native.to_owned() + &exception("shop", "e", ANY)), pod()).allowed);
    let status = judge(&(native.to_owned() + &exception("other", "e", ANY)), pod()).status.map(|s| s.message);
    assert_eq!(status.as_deref(), Some("ValidatingAdmissionPolicy 'p' with binding 'p' denied request: refused"));
}

#[test]
fn a_waived_mutation_is_not_applied_and_what_it_would_change_is_told() {
    let patch = |path: &str, value: &str| {
        format!(
            r#"{{patchType: JSONPatch, jsonPatch: {{expression: '[JSONPatch{{op: "add", path: "{path}", value: "{value}"}}]'}}}}"#
        )
    };
    let change = |a: String, b: String| policy("p", &format!("mutations: [{a}, {b}]"));
    let both = change(patch("/metadata/labels/app", "web"), patch("/metadata/labels/b", "2"));
    let all = judge(&(both.clone() + &exception("shop", "e", ANY)), pod());
    assert_eq!((all.allowed, all.patch.len()), (true, 0));
    assert_eq!(told(&all), [(FindingAction::Waive, FindingResult::Fail, Some("shop/e"))]);
    assert_eq!(all.findings[0].message, "would change /metadata/labels/b");
    let first =
        exception("shop", "e", "policies: [{name: p, rules: ['mutations[0]']}], resources: [{resources: [pods]}]");
    assert_eq!(
        judge(&(both + &first), pod()).patch,
        [json!({"op": "add", "path": "/metadata/labels/b", "value": "2"})]
    );

    let broken = change(patch("/no/such/place", "1"), patch("/metadata/labels/b", "2"));
    assert!(!judge(&broken, pod()).allowed);
    let waived = judge(&(broken + &first), pod());
    assert_eq!((waived.allowed, waived.patch.len()), (true, 1));
}
