use bumpalo::Bump;
use serde_json::{Value as Json, json};
use stockade_cel::document::from_json;
use stockade_schema::Scope;

use super::*;

fn with<R>(review: &Json, f: impl FnOnce(Result<Request<'_>, BadRequest>) -> R) -> R {
    let (arena, symbols) = (Bump::new(), Symbols::new());
    f(Request::from_review(from_json(review, &arena, &symbols).unwrap()))
}

fn review() -> Json {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u1",
        "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
        "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
        "name": "web", "namespace": "shop", "operation": "CREATE",
        "userInfo": {"username": "ann", "groups": ["dev"], "extra": {"scopes": ["a"]}},
        "object": {"metadata": {"name": "web"}}, "oldObject": null,
        "options": {"kind": "CreateOptions"}
    }})
}

/// The error of a review whose member at `path` (below `request`) was replaced.
fn error_with(path: &str, value: Json) -> String {
    let mut review = review();
    *review.pointer_mut(path).unwrap() = value;
    with(&review, |r| r.unwrap_err().to_string())
}

#[test]
fn a_review_is_read_whole() {
    with(&review(), |request| {
        let r = request.unwrap();
        let deployment = GroupVersionKind { group: "apps", version: "v1", kind: "Deployment" };
        assert_eq!((r.uid, r.kind, r.request_kind), ("u1", deployment, deployment));
        assert_eq!((r.name, r.namespace, r.sub_resource), ("web", "shop", ""));
        assert_eq!((r.operation, r.dry_run), (Operation::Create, false));
        assert_eq!(r.forbidden_prefix(), "deployments.apps \"web\" is forbidden: ");
    });
}

#[test]
fn the_request_variable_omits_what_is_empty_and_hides_the_objects() {
    let (arena, symbols) = (Bump::new(), Symbols::new());
    let request = Request::from_review(from_json(&review(), &arena, &symbols).unwrap()).unwrap();
    let variable = request.variable(request.kind, request.resource, &arena, &symbols);
    assert_eq!(
        serde_json::to_value(variable).unwrap(),
        json!({
            "uid": "",
            "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
            "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
            "requestKind": {"group": "apps", "version": "v1", "kind": "Deployment"},
            "requestResource": {"group": "apps", "version": "v1", "resource": "deployments"},
            "name": "web", "namespace": "shop", "operation": "CREATE",
            "userInfo": {"username": "ann", "groups": ["dev"], "extra": {"scopes": ["a"]}},
            "object": null, "oldObject": null, "dryRun": false,
            "options": {"kind": "CreateOptions"}
        })
    );
}

#[test]
fn each_fault_names_its_member() {
    let cases = [
        (
            "/kind",
            json!("Pod"),
            "expected apiVersion admission.k8s.io/v1 and kind AdmissionReview, not \"admission.k8s.io/v1\" and \"Pod\"",
        ),
        ("/request", json!(null), "request is missing"),
        ("/request", json!([]), "request must be an object, not a list"),
        ("/request/uid", json!(""), "request.uid is missing"),
        ("/request/uid", json!(7), "request.uid must be a string, not a number"),
        ("/request/kind", json!(null), "request.kind is missing"),
        ("/request/kind", json!("Pod"), "request.kind must be an object or null, not a string"),
        ("/request/kind/kind", json!(""), "request.kind.kind is missing"),
        ("/request/kind/group", json!({}), "request.kind.group must be a string, not an object"),
        ("/request/resource/resource", json!(null), "request.resource.resource is missing"),
        (
            "/request/operation",
            json!("PATCH"),
            "request.operation must be CREATE, UPDATE, DELETE or CONNECT, not \"PATCH\"",
        ),
        ("/request/operation", json!("UPDATE"), "request.oldObject is missing, which UPDATE needs"),
        ("/request/object", json!(null), "request.object is missing, which CREATE needs"),
        ("/request/object", json!(true), "request.object must be an object or null, not a boolean"),
        ("/request/userInfo/groups", json!([1]), "request.userInfo.groups must be a list of strings, not a number"),
        (
            "/request/userInfo/extra",
            json!({"a": "b"}),
            "request.userInfo.extra[\"a\"] must be a list of strings, not a string",
        ),
    ];
    for (path, value, message) in cases {
        assert_eq!(error_with(path, value), message, "{path}");
    }
}

#[test]
fn a_created_object_gets_resource_namespace_and_options() {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}});
    let review = RequestBuilder::new().object(pod).review().unwrap();
    let request = &review["request"];
    assert_eq!(request["resource"], json!({"group": "", "version": "v1", "resource": "pods"}));
    assert_eq!((&request["operation"], &request["namespace"]), (&json!("CREATE"), &json!("default")));
    assert_eq!(request["object"]["metadata"], json!({"name": "a", "namespace": "default"}));
    assert_eq!(request["options"]["kind"], "CreateOptions");
    with(&review, |r| assert_eq!(r.unwrap().display_name(), "a"));
}

#[test]
fn a_namespace_is_in_the_namespace_of_its_own_name_and_labelled_with_it() {
    let ns = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    let request = &RequestBuilder::new().object(ns).review().unwrap()["request"];
    assert_eq!(request["namespace"], "shop");
    assert_eq!(request["object"]["metadata"]["labels"], json!({"kubernetes.io/metadata.name": "shop"}));
}

#[test]
fn a_deleted_object_is_the_old_object() {
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "r"}});
    let review = RequestBuilder::new().operation(Operation::Delete).object(role.clone()).review().unwrap();
    let request = &review["request"];
    assert_eq!((&request["object"], &request["oldObject"]), (&Json::Null, &role));
    assert_eq!((&request["namespace"], &request["name"]), (&json!(""), &json!("r")));
}

#[test]
fn the_scope_of_a_custom_resource_can_be_said() {
    let object = || json!({"apiVersion": "example.com/v1", "kind": "Gateway", "metadata": {"name": "g"}});
    let namespace = |b: RequestBuilder| b.review().unwrap()["request"]["namespace"].clone();
    assert_eq!(namespace(RequestBuilder::new().object(object())), "default");
    assert_eq!(namespace(RequestBuilder::new().object(object()).scope(Scope::Cluster)), "");
    assert_eq!(namespace(RequestBuilder::new().object(object()).namespace("x")), "x");
}

#[test]
fn an_object_without_kind_is_refused() {
    let error = RequestBuilder::new().object(json!({"apiVersion": "v1"})).review().unwrap_err();
    assert_eq!(error.to_string(), "the object has no kind");
    assert_eq!(RequestBuilder::new().review().unwrap_err(), UnknownResource::NoObject);
}

#[test]
fn reviews_of_access_and_identity_and_the_servers_own_policies_are_exempt() {
    let exempt = |group: &str, resource: &str| {
        let mut review = review();
        review["request"]["resource"] = json!({"group": group, "version": "v1", "resource": resource});
        with(&review, |request| request.unwrap().is_exempt())
    };
    assert!(exempt("authorization.k8s.io", "subjectaccessreviews"));
    assert!(exempt("authentication.k8s.io", "tokenreviews"));
    assert!(exempt("admissionregistration.k8s.io", "validatingadmissionpolicies"));
    assert!(!exempt("admissionregistration.k8s.io", "validatingwebhookconfigurations"));
    assert!(!exempt("example.com", "subjectaccessreviews"));
}
