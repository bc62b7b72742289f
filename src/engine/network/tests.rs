use bumpalo::Bump;
use serde_json::{Value as Json, json};
use stockade_cel::Symbols;
use stockade_cel::document::from_json;

use super::*;

fn with<R>(json: &Json, f: impl FnOnce(Value<'_>) -> R) -> R {
    let (arena, symbols) = (Bump::new(), Symbols::new());
    f(from_json(json, &arena, &symbols).unwrap())
}

fn policy(spec: &Json) -> Json {
    json!({"metadata": {"name": "np", "namespace": "shop"}, "spec": spec})
}

fn pod(labels: &Json) -> Json {
    json!({"kind": "Pod", "metadata": {"namespace": "shop", "labels": labels}, "spec": {}})
}

fn selected(spec: &Json, object: &Json) -> Result<bool, NotReadable> {
    with(&policy(spec), |policy| with(object, |pod| selects(policy, &Pod::of(pod)?)))
}

#[test]
fn a_selector_holds_when_all_its_requirements_do() {
    let expression = |operator, values: Json| json!({"podSelector": {"matchExpressions": [{"key": "app", "operator": operator, "values": values}]}});
    let cases = [
        (json!({}), true),
        (json!({"podSelector": {}}), true),
        (json!({"podSelector": {"matchLabels": {"app": "web"}}}), true),
        (json!({"podSelector": {"matchLabels": {"app": "web", "tier": "x"}}}), false),
        (expression("In", json!(["web", "db"])), true),
        (expression("In", json!(["db"])), false),
        (expression("NotIn", json!(["web"])), false),
        (expression("NotIn", json!(["db"])), true),
        (expression("Exists", json!(null)), true),
        (expression("DoesNotExist", json!([])), false),
    ];
    for (spec, expected) in cases {
        assert_eq!(selected(&spec, &pod(&json!({"app": "web"}))), Ok(expected), "{spec}");
    }
}

#[test]
fn not_in_holds_for_a_pod_without_the_label() {
    let spec = json!({"podSelector": {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}});
    assert_eq!(selected(&spec, &pod(&json!({}))), Ok(true));
}

#[test]
fn pods_of_other_namespaces_and_of_the_hosts_network_are_not_selected() {
    let elsewhere = json!({"metadata": {"namespace": "bank"}});
    let on_host = json!({"metadata": {"namespace": "shop"}, "spec": {"hostNetwork": true}});
    assert_eq!(selected(&json!({}), &elsewhere), Ok(false));
    assert_eq!(selected(&json!({}), &on_host), Ok(false));
}

#[test]
fn a_workload_counts_by_the_labels_of_its_template() {
    let spec = json!({"podSelector": {"matchLabels": {"app": "web"}}});
    let template = json!({"metadata": {"labels": {"app": "web"}}});
    let workload = |spec: Json| json!({"metadata": {"namespace": "shop", "labels": {"app": "other"}}, "spec": spec});
    assert_eq!(selected(&spec, &workload(json!({"template": template}))), Ok(true));
    assert_eq!(selected(&spec, &workload(json!({"jobTemplate": {"spec": {"template": template}}}))), Ok(true));
    assert_eq!(selected(&spec, &workload(json!({}))), Ok(false));
}

#[test]
fn what_cannot_be_read_is_an_error() {
    let unknown = json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "Near"}]}});
    assert_eq!(selected(&unknown, &pod(&json!({}))), Err(NotReadable::UnknownOperator("Near".into())));
    assert_eq!(selected(&json!({"podSelector": "app=web"}), &pod(&json!({}))), Err(NotReadable::MalformedSelector));
    assert_eq!(selected(&json!({}), &json!(null)), Err(NotReadable::NotAnObject("null")));
    assert_eq!(selected(&json!({}), &json!({"metadata": {}})), Err(NotReadable::NoNamespace));
}

#[test]
fn policy_types_default_to_ingress_and_to_egress_when_there_are_rules() {
    let cases = [
        (json!({}), true, false),
        (json!({"policyTypes": []}), true, false),
        (json!({"egress": []}), true, false),
        (json!({"egress": [{}]}), true, true),
        (json!({"policyTypes": ["Egress"]}), false, true),
        (json!({"policyTypes": ["Ingress"], "egress": [{}]}), true, false),
        (json!({"policyTypes": ["Ingress", "Egress"]}), true, true),
    ];
    for (spec, ingress, egress) in cases {
        with(&policy(&spec), |p| {
            assert_eq!((isolates(p, Direction::Ingress), isolates(p, Direction::Egress)), (ingress, egress), "{spec}");
        });
    }
}

#[test]
fn a_rule_allows_everything_only_without_peers_and_ports() {
    let from = |peers: Json| json!([{"from": peers}]);
    let block = |cidr| json!({"ipBlock": {"cidr": cidr}});
    let cases = [
        (json!(null), false),
        (json!([]), false),
        (json!([{}]), true),
        (json!([{"from": [], "ports": []}]), true),
        (json!([{"from": null, "ports": null}]), true),
        (json!([{"ports": [{"port": 80}]}]), false),
        (from(json!([{"podSelector": {}}])), false),
        (from(json!([{"namespaceSelector": {}}])), false),
        (from(json!([block("0.0.0.0/0")])), true),
        (from(json!([block("::/0")])), true),
        (from(json!([block("10.0.0.0/8")])), false),
        (from(json!([block("0.0.0.0/1"), block("128.0.0.0/1")])), true),
        (json!([{"from": [block("0.0.0.0/1")]}, {"from": [block("128.0.0.0/1")]}]), true),
        (from(json!([{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.169.254/32"]}}])), false),
        (from(json!([{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}, block("10.0.0.0/8")])), true),
        (from(json!([{"ipBlock": {"cidr": "nonsense/0"}}])), false),
        (json!([{"from": [block("0.0.0.0/0")], "ports": [{"port": 80}]}]), false),
    ];
    for (ingress, expected) in cases {
        let spec = json!({"ingress": ingress});
        with(&policy(&spec), |p| assert_eq!(allows_all(p, Direction::Ingress), expected, "{spec}"));
    }
}

#[test]
fn as_many_exceptions_as_fit_into_a_request_are_read_in_one_sweep() {
    // Every second address, which cuts the block into as many pieces.
    let except: Vec<_> = (0..100_000_u32).map(|i| format!("{}/32", std::net::Ipv4Addr::from(i * 2))).collect();
    let ingress = |hole: &[String]| {
        let filled = hole.iter().map(|cidr| json!({"ipBlock": {"cidr": cidr}}));
        let blocks: Vec<_> =
            [json!({"ipBlock": {"cidr": "0.0.0.0/0", "except": except}})].into_iter().chain(filled).collect();
        policy(&json!({"ingress": [{"from": blocks}]}))
    };
    let everything = |p: Value<'_>| allows_all(p, Direction::Ingress);
    assert_eq!([with(&ingress(&[]), everything), with(&ingress(&except), everything)], [false, true]);
}
