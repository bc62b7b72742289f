use serde_json::json;
use stockade_cel::{Symbols, document::from_json};
use stockade_policy::compiled::{Actions, Binding, FailurePolicy, Flavour, Metadata, Origin, ReinvocationPolicy};
use stockade_policy::matching::MatchResources;
use stockade_policy::selector::{LabelSelector, Requirement};

use super::*;
use crate::request::RequestBuilder;

fn policy(groups: &str, resources: &str, operations: &str) -> Policy {
    let list = |s: &str| s.split(',').map(str::to_owned).collect();
    let rule = RuleWithOperations {
        operations: list(operations),
        api_groups: list(groups),
        api_versions: list("*"),
        resources: list(resources),
        ..Default::default()
    };
    let binding = Binding {
        name: "b".into(),
        origin: Origin::default(),
        match_resources: None,
        params: None,
        actions: Actions { deny: true, ..Default::default() },
    };
    Policy {
        name: "p".into(),
        flavour: Flavour::Validating,
        origin: Origin::default(),
        metadata: Metadata::default(),
        match_constraints: MatchResources { resource_rules: vec![rule], ..Default::default() },
        match_conditions: vec![],
        variables: [].into(),
        variable_names: vec![],
        validations: vec![],
        audit_annotations: vec![],
        mutations: vec![],
        failure_policy: FailurePolicy::Fail,
        reinvocation: ReinvocationPolicy::Never,
        param_kind: None,
        bindings: vec![binding],
        type_warnings: vec![],
        namespace_groups: vec![],
        rollout: None,
        shadow_of: None,
        revision: 0,
        reads: vec![],
        reads_requester: false,
        image_rules: None,
        image_questions: None,
    }
}

fn requires(key: &str, values: &[&str]) -> LabelSelector {
    let values = values.iter().map(|n| (*n).to_owned()).collect();
    LabelSelector { requirements: vec![Requirement { key: key.into(), operator: Operator::In, values }] }
}

fn in_namespaces(mut policy: Policy, names: &[&str]) -> Policy {
    policy.match_constraints.namespace_selector = requires("kubernetes.io/metadata.name", names);
    policy
}

fn about_objects(mut policy: Policy, apps: &[&str]) -> Policy {
    policy.match_constraints.object_selector = requires("app", apps);
    policy
}

/// With a binding for each of the namespaces.
fn bound_in(mut policy: Policy, names: &[&str]) -> Policy {
    let bound = |name: &&str| {
        let namespace_selector = requires("kubernetes.io/metadata.name", &[name]);
        let match_resources = Some(MatchResources { namespace_selector, ..Default::default() });
        Binding { match_resources, ..policy.bindings[0].clone() }
    };
    policy.bindings = names.iter().map(bound).collect();
    policy
}

/// With one binding, for objects of an app.
fn bound_to(mut policy: Policy, app: &str) -> Policy {
    let object_selector = requires("app", &[app]);
    policy.bindings[0].match_resources = Some(MatchResources { object_selector, ..Default::default() });
    policy
}

fn candidates(policies: &[Policy], request: RequestBuilder) -> Vec<u32> {
    let (arena, symbols) = (Bump::new(), Symbols::new());
    let review = from_json(&request.review().unwrap(), &arena, &symbols).unwrap();
    let request = Request::from_review(review).unwrap();
    let namespace = json!({"metadata": {"labels": {"kubernetes.io/metadata.name": request.namespace}}});
    let namespace = from_json(&namespace, &arena, &symbols).unwrap();
    let facts = || match request.namespace {
        "" | "unreadable" => NamespaceFacts::Unknown,
        _ => NamespaceFacts::Labels(labels(namespace)),
    };
    let equivalents = Equivalents::builtin();
    Index::new(policies, &[], &equivalents).candidates(&request, facts, &equivalents, &arena).to_vec()
}

fn object(api_version: &str, kind: &str) -> RequestBuilder {
    RequestBuilder::new().object(json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}}))
}

#[test]
fn only_policies_of_the_resource_and_operation_are_candidates_in_order() {
    let policies = [
        policy("*", "*", "*"),
        policy("apps", "deployments", "CREATE"),
        policy("", "pods", "CREATE"),
        policy("*", "pods/exec,pods", "CREATE"),
        policy("", "*/*", "UPDATE,CREATE"),
        policy("", "pods", "DELETE"),
    ];
    assert_eq!(candidates(&policies, object("v1", "Pod")), [0, 2, 3, 4]);
    assert_eq!(candidates(&policies, object("apps/v1", "Deployment")), [0, 1]);
    assert_eq!(candidates(&policies, object("v1", "Pod").operation(Operation::Delete)), [0, 5]);
}

#[test]
fn a_policy_without_binding_is_never_a_candidate() {
    let mut unbound = policy("*", "*", "*");
    unbound.bindings.clear();
    assert_eq!(candidates(&[unbound], object("v1", "Pod")), [] as [u32; 0]);
}

#[test]
fn equivalents_in_another_group_are_candidates_unless_the_match_is_exact() {
    let mut exact = policy("events.k8s.io", "events", "*");
    exact.match_constraints.match_policy = MatchPolicy::Exact;
    let policies = [policy("events.k8s.io", "events", "*"), exact];
    assert_eq!(candidates(&policies, object("v1", "Event")), [0]);
}

#[test]
fn policies_of_other_namespaces_are_no_candidates() {
    let policies = [
        in_namespaces(policy("", "pods", "*"), &["shop", "bank"]),
        in_namespaces(policy("", "pods", "*"), &["bank"]),
        in_namespaces(policy("*", "*", "*"), &["bank"]),
    ];
    assert_eq!(candidates(&policies, object("v1", "Pod").namespace("shop")), [0]);
    assert_eq!(candidates(&policies, object("v1", "Pod").namespace("bank")), [0, 1, 2]);
    assert_eq!(candidates(&policies, object("v1", "Node")), [2], "cluster-scoped objects match any selector");
    assert_eq!(
        candidates(&policies, object("v1", "Pod").namespace("unreadable")),
        [0, 1, 2],
        "for the matcher to tell"
    );
}

#[test]
fn policies_about_other_objects_by_label_are_no_candidates() {
    let policies = [
        about_objects(policy("", "pods", "*"), &["web"]),
        about_objects(policy("", "pods", "*"), &["db"]),
        policy("", "pods", "*"),
    ];
    let pod = |app| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "labels": {"app": app}}});
    let created = RequestBuilder::new().object(pod("web"));
    assert_eq!(candidates(&policies, created.clone()), [0, 2]);
    assert_eq!(candidates(&policies, created.old_object(pod("db"))), [0, 1, 2]);
    assert_eq!(candidates(&policies, object("v1", "Pod")), [2]);
}

#[test]
fn policies_bound_in_other_namespaces_only_are_no_candidates() {
    let pods = || policy("", "pods", "*");
    let mut also_everywhere = bound_in(pods(), &["bank", "farm"]);
    also_everywhere.bindings[1].match_resources = None;
    let policies = [bound_in(pods(), &["shop", "bank"]), bound_in(pods(), &["bank"]), also_everywhere];
    let in_namespace = |name| candidates(&policies, object("v1", "Pod").namespace(name));
    assert_eq!([in_namespace("shop"), in_namespace("bank")], [vec![0, 2], vec![0, 1, 2]]);
    assert_eq!(in_namespace("unreadable"), [0, 1, 2], "for the matcher to tell");
}

#[test]
fn a_binding_does_not_hide_that_its_policy_cannot_be_matched() {
    let pods = || bound_to(policy("", "pods", "*"), "web");
    let outside = Requirement { key: "env".into(), operator: Operator::DoesNotExist, values: vec![] };
    let (mut of_namespaces, mut faulty) = (pods(), pods());
    of_namespaces.match_constraints.namespace_selector.requirements.push(outside);
    faulty.match_constraints.object_selector = requires("app", &[]);
    assert_eq!(candidates(&[pods(), of_namespaces, faulty], object("v1", "Pod")), [1, 2]);
}
