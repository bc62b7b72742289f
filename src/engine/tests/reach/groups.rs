//! Where a policy with `namespaceGroups` judges.

use stockade_engine::request::Operation;

use super::*;

const GROUPS: &str = "apiVersion: stockade.dev/v1alpha1\nkind: NamespaceGroup\nmetadata: {name: named}\n\
                      spec: {names: [shop, bank]}\n---\n\
                      apiVersion: stockade.dev/v1alpha1\nkind: NamespaceGroup\nmetadata: {name: labelled}\n\
                      spec: {selector: {matchLabels: {env: prod}}}\n---\n\
                      apiVersion: stockade.dev/v1alpha1\nkind: NamespaceGroup\nmetadata: {name: unusual}\n\
                      spec: {selector: {matchExpressions: [{key: env, operator: Exists}]}}\n---\n";

fn in_namespace(name: &str) -> Json {
    let mut object = pod();
    object["metadata"]["namespace"] = json!(name);
    object
}

/// Whether a policy that names these groups refuses an object, where two namespaces have labels.
fn refuses(groups: &str, object: Json) -> bool {
    let engine = kit::engine(&(never("p", &format!("namespaceGroups: [{groups}]")) + GROUPS));
    let existing =
        [super::namespace("live", &json!({"env": "prod"})), super::namespace("lab", &json!({"env": "test"}))];
    !decide(&engine, RequestBuilder::new().object(object), existing).allowed
}

#[test]
fn it_judges_in_members_by_name_or_label_alone() {
    let in_all = |groups: &str| ["shop", "live", "lab", "other"].map(|name| refuses(groups, in_namespace(name)));
    assert_eq!(in_all("named"), [true, false, false, false]);
    assert_eq!(in_all("labelled"), [false, true, false, false]);
    assert_eq!(in_all("unusual"), [false, true, true, false]);
    assert_eq!(in_all("named, labelled"), [true, true, false, false]);
}

#[test]
fn a_namespace_itself_is_a_member_by_its_own_name_and_labels_and_no_other_cluster_scoped_object_is() {
    let made = |name: &str, labels: Json| refuses("named, labelled", super::namespace(name, &labels));
    assert_eq!([made("shop", json!({})), made("a", json!({"env": "prod"})), made("a", json!({}))], [true, true, false]);
    assert!(!refuses("unusual", json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "shop"}})));
    let engine = kit::engine(&(never("p", "namespaceGroups: [labelled]") + GROUPS));
    let delete = |name: &str| {
        let old = super::namespace(name, &json!({}));
        let request = RequestBuilder::new().operation(Operation::Delete).old_object(old).name(name);
        decide(&engine, request, [super::namespace("live", &json!({"env": "prod"}))]).allowed
    };
    assert_eq!([delete("live"), delete("lab")], [false, true]);
}

#[test]
fn a_group_that_is_not_there_is_an_error_where_no_other_has_the_namespace() {
    let policies =
        |failure: &str| never("p", &format!("namespaceGroups: [named, gone], failurePolicy: {failure}")) + GROUPS;
    let decision = judge(&policies("Fail"), in_namespace("other"));
    let message = decision.status.as_ref().map(|s| s.message.as_str());
    let error = "AdmissionPolicy 'p' denied request: failed to configure policy: namespacegroups.stockade.dev \"gone\" not found";
    assert_eq!(message, Some(error));
    assert_eq!(
        judge(&policies("Fail"), pod()).status.map(|s| s.message).as_deref(),
        Some("AdmissionPolicy 'p' denied request: refused")
    );
    assert!(judge(&policies("Ignore"), in_namespace("other")).allowed);
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}});
    assert!(judge(&policies("Fail"), node).allowed);
}
