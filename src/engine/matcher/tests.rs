use bumpalo::Bump;
use serde_json::{Value as Json, json};
use stockade_cel::{Symbols, document::from_json};
use stockade_policy::selector::{Operator, Requirement};

use super::*;
use crate::request::RequestBuilder;

/// Namespaces that exist, as JSON objects.
struct Namespaces<'a>(Vec<Value<'a>>);

impl<'a> NamespaceLabels<'a> for Namespaces<'a> {
    fn namespace(&self, name: &str) -> Result<Value<'a>, MatchError> {
        let named = |n: &&Value<'a>| n.path(&["metadata", "name"]).and_then(Value::as_str) == Some(name);
        self.0.iter().find(named).copied().ok_or_else(|| MatchError::NamespaceNotFound { name: name.to_owned() })
    }
}

fn rule(groups: &str, resources: &str) -> RuleWithOperations {
    let list = |s: &str| s.split(',').map(str::to_owned).collect();
    RuleWithOperations {
        operations: list("*"),
        api_groups: list(groups),
        api_versions: list("*"),
        resources: list(resources),
        ..Default::default()
    }
}

fn rules(rules: Vec<RuleWithOperations>) -> MatchResources {
    MatchResources { resource_rules: rules, ..Default::default() }
}

fn label(key: &str, value: &str) -> LabelSelector {
    let requirement = Requirement { key: key.into(), operator: Operator::In, values: vec![value.into()] };
    LabelSelector { requirements: vec![requirement] }
}

fn pod(labels: &Json) -> Json {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "shop", "labels": labels}})
}

fn outcome(resources: &MatchResources, request: RequestBuilder) -> Result<bool, String> {
    let (arena, symbols) = (Bump::new(), Symbols::new());
    let review = from_json(&request.review().unwrap(), &arena, &symbols).unwrap();
    let request = Request::from_review(review).unwrap();
    let shop = json!({"metadata": {"name": "shop", "labels": {"team": "red"}}});
    let namespaces = Namespaces(vec![from_json(&shop, &arena, &symbols).unwrap()]);
    let equivalents = Equivalents::builtin();
    let matched = Matcher::new(resources).matches(&request, &namespaces, &equivalents);
    matched.map(|m| m.is_some()).map_err(|e| e.to_string())
}

#[test]
fn resources_match_with_wildcards_and_subresources() {
    let cases = [
        ("pods", "", true),
        ("pods", "exec", false),
        ("pods/exec", "exec", true),
        ("pods/exec", "", false),
        ("pods/*", "exec", true),
        ("pods/*", "", true),
        ("*", "", true),
        ("*", "exec", false),
        ("*/*", "exec", true),
        ("*/exec", "exec", true),
        ("*/scale", "exec", false),
        ("deployments", "", false),
    ];
    for (resources, sub, expected) in cases {
        let request = RequestBuilder::new().object(pod(&json!({}))).sub_resource(sub);
        assert_eq!(outcome(&rules(vec![rule("", resources)]), request), Ok(expected), "{resources} {sub}");
    }
}

#[test]
fn an_excluded_request_does_not_match() {
    let mut resources = rules(vec![rule("*", "*")]);
    resources.exclude_resource_rules = vec![rule("", "pods")];
    assert_eq!(outcome(&resources, RequestBuilder::new().object(pod(&json!({})))), Ok(false));
}

#[test]
fn scope_tells_namespaced_from_cluster_and_counts_a_namespace_as_cluster() {
    let scoped = |scope| rules(vec![RuleWithOperations { scope, ..rule("*", "*") }]);
    let namespace = || json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    let node = || json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}});
    for (object, cluster) in [(pod(&json!({})), false), (namespace(), true), (node(), true)] {
        let request = || RequestBuilder::new().object(object.clone());
        assert_eq!(outcome(&scoped(Scope::Cluster), request()), Ok(cluster), "{object}");
        assert_eq!(outcome(&scoped(Scope::Namespaced), request()), Ok(!cluster), "{object}");
    }
}

#[test]
fn a_namespace_selector_reads_the_namespace_and_a_written_namespace_itself() {
    let selects = |value| MatchResources { namespace_selector: label("team", value), ..rules(vec![rule("*", "*")]) };
    let in_shop = || RequestBuilder::new().object(pod(&json!({})));
    assert_eq!(outcome(&selects("red"), in_shop()), Ok(true));
    assert_eq!(outcome(&selects("blue"), in_shop()), Ok(false));

    let blue =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "blue"}}});
    assert_eq!(outcome(&selects("blue"), RequestBuilder::new().object(blue.clone())), Ok(true));
    let deleted = RequestBuilder::new().operation(Operation::Delete).object(blue);
    assert_eq!(outcome(&selects("blue"), deleted), Ok(false), "a deleted Namespace is judged as it is stored");

    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}});
    assert_eq!(outcome(&selects("blue"), RequestBuilder::new().object(node)), Ok(true), "cluster-scoped");
}

#[test]
fn a_missing_namespace_fails_only_what_would_match() {
    let elsewhere = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "gone"}});
    let selects = |r| MatchResources { namespace_selector: label("team", "red"), ..rules(vec![r]) };
    let request = || RequestBuilder::new().object(elsewhere.clone());
    let error = "namespaces \"gone\" not found";
    assert_eq!(outcome(&selects(rule("*", "*")), request()), Err(error.to_owned()));
    assert_eq!(outcome(&selects(rule("apps", "*")), request()), Ok(false));
    assert_eq!(outcome(&rules(vec![rule("*", "*")]), request()), Ok(true));
}

#[test]
fn an_object_selector_reads_the_new_or_the_old_object() {
    let resources = MatchResources { object_selector: label("app", "web"), ..rules(vec![rule("*", "*")]) };
    let (web, bare) = (pod(&json!({"app": "web"})), pod(&json!({})));
    let update = |new: &Json, old: &Json| RequestBuilder::new().object(new.clone()).old_object(old.clone());
    assert_eq!(outcome(&resources, update(&web, &bare)), Ok(true));
    assert_eq!(outcome(&resources, update(&bare, &web)), Ok(true));
    assert_eq!(outcome(&resources, update(&bare, &bare)), Ok(false));
}

#[test]
fn resource_names_narrow_a_rule() {
    let named = |name: &str| rules(vec![RuleWithOperations { resource_names: vec![name.into()], ..rule("*", "*") }]);
    assert_eq!(outcome(&named("p"), RequestBuilder::new().object(pod(&json!({})))), Ok(true));
    assert_eq!(outcome(&named("q"), RequestBuilder::new().object(pod(&json!({})))), Ok(false));
}

#[test]
fn label_keys_and_values_are_held_to_the_api_servers_rules() {
    let cases = [
        ("app", "web", true),
        ("a.b/c", "x", true),
        ("app", "", true),
        ("app ", "web", false),
        ("", "web", false),
        ("/x", "web", false),
        ("A/x", "web", false),
        ("app", "-web", false),
        ("app", "bad value", false),
    ];
    for (key, value, fine) in cases {
        assert_eq!(selector::fault(&label(key, value)).is_none(), fine, "{key:?} {value:?}");
    }
}

#[test]
fn no_object_selector_selects_the_options_of_a_connection_and_an_empty_one_lets_them_pass() {
    let exec = |object_selector| {
        let mut resources = rules(vec![rule("*", "pods/exec")]);
        resources.object_selector = object_selector;
        let mut review = RequestBuilder::new().object(pod(&json!({}))).review().unwrap();
        review["request"]["operation"] = json!("CONNECT");
        review["request"]["subResource"] = json!("exec");
        review["request"]["object"] = json!({"apiVersion": "v1", "kind": "PodExecOptions", "command": ["sh"]});
        let (arena, symbols) = (Bump::new(), Symbols::new());
        let request = Request::from_review(from_json(&review, &arena, &symbols).unwrap()).unwrap();
        let equivalents = Equivalents::builtin();
        Matcher::new(&resources).matches(&request, &Namespaces(Vec::new()), &equivalents).unwrap().is_some()
    };
    let without_app = Requirement { key: "app".into(), operator: Operator::DoesNotExist, values: Vec::new() };
    assert!(!exec(LabelSelector { requirements: vec![without_app] }));
    assert!(exec(LabelSelector::default()));
}

#[test]
fn an_exact_rule_is_not_about_what_a_client_sent_in_another_version() {
    let scaler = json!({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"}});
    let mut review = RequestBuilder::new().object(scaler).namespace("shop").review().unwrap();
    let sent = |version| json!({"group": "autoscaling", "version": version, "resource": "horizontalpodautoscalers"});
    let matched = |review: &Json, match_policy, versions: &str| {
        let (arena, symbols) = (Bump::new(), Symbols::new());
        let review = from_json(review, &arena, &symbols).unwrap();
        let request = Request::from_review(review).unwrap();
        let rule = RuleWithOperations { api_versions: vec![versions.to_owned()], ..rule("autoscaling", "*") };
        let resources = MatchResources { match_policy, ..rules(vec![rule]) };
        let equivalents = Equivalents::builtin();
        Matcher::new(&resources).matches(&request, &Namespaces(Vec::new()), &equivalents).map(|m| m.is_some())
    };
    review["request"]["requestResource"] = sent("v2");
    assert_eq!(matched(&review, MatchPolicy::Exact, "v1"), Ok(false));
    assert_eq!(matched(&review, MatchPolicy::Exact, "*"), Ok(true));
    assert_eq!(matched(&review, MatchPolicy::Equivalent, "v1"), Ok(true));
    review["request"]["requestResource"] = sent("v1");
    assert_eq!(matched(&review, MatchPolicy::Exact, "v1"), Ok(true));
}
