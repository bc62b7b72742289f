use kube::runtime::watcher::Event;
use serde_json::{Value, json};
use stockade_cel::{Symbols, document};

use super::gathered::{self, Gathered, Told};
use super::*;

const NOW: &str = "2026-03-01T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn pods(namespace: &str, app: &str) -> Value {
    json!({ "namespace": namespace, "labels": { "app": app } })
}

fn talk(verdict: &str, direction: &str, from: &Value, to: &Value, count: u64) -> Value {
    json!({
        "first": "2026-03-01T11:30:00Z", "last": "2026-03-01T11:59:00Z", "count": count, "direction": direction,
        "verdict": verdict, "protocol": "TCP", "port": 5432, "from": from, "to": to,
    })
}

fn summary(node: &str, observed: &str, talks: &[Value]) -> Told {
    let object = json!({
        "apiVersion": "stockade.dev/v1alpha1", "kind": "FlowSummary", "metadata": { "name": node },
        "spec": { "observedTime": observed, "leftOut": 0, "talks": talks },
    });
    let read = gathered::summary(serde_json::from_value(object).unwrap()).unwrap();
    Told::Summary(Event::Apply(read))
}

fn policy(name: &str, audit: bool, from: &str) -> Value {
    let annotations = if audit { json!({ "stockade.dev/enforcement": "Audit" }) } else { json!({}) };
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": { "namespace": "shop", "name": name, "annotations": annotations },
        "spec": {
            "podSelector": { "matchLabels": { "app": "db" } }, "policyTypes": ["Ingress"],
            "ingress": [{ "from": [{ "podSelector": { "matchLabels": { "app": from } } }] }],
        },
    })
}

fn network_policy(object: &Value) -> Told {
    Told::NetworkPolicy(Event::Apply(
        gathered::network_policy(serde_json::from_value(object.clone()).unwrap()).unwrap(),
    ))
}

fn known(told: impl IntoIterator<Item = Told>) -> Known {
    let mut gathered = Gathered::default();
    told.into_iter().for_each(|told| _ = gathered.take(told));
    gathered.known(now(), &Known::default())
}

/// The warnings of a request about a policy of namespace `shop`.
fn warned(known: Known, operation: &str, object: &Value) -> Vec<String> {
    let kind = json!({ "group": "networking.k8s.io", "version": "v1", "kind": "NetworkPolicy" });
    let resource = json!({ "group": "networking.k8s.io", "version": "v1", "resource": "networkpolicies" });
    let [new, old] = [("DELETE", object), ("CREATE", object)]
        .map(|(without, it)| if operation == without { &Value::Null } else { it });
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u", "kind": kind, "resource": resource, "name": object["metadata"]["name"], "namespace": "shop",
            "operation": operation, "userInfo": {}, "object": new, "oldObject": old,
        },
    });
    let (body, arena, symbols) = (review.to_string(), bumpalo::Bump::new(), Symbols::new());
    let review = document::decode(body.as_bytes(), &arena, &symbols).unwrap();
    let mut decision = stockade_engine::decision::Decision {
        allowed: true,
        status: None,
        warnings: Vec::new(),
        audit_annotations: std::collections::BTreeMap::new(),
        patch: Vec::new(),
        object: None,
        findings: Vec::new(),
        shadow: Vec::new(),
        budgeted: Vec::new(),
        compared: Vec::new(),
        wanted: Vec::new(),
    };
    let request = stockade_engine::Request::from_review(review).unwrap();
    Flows(watch::channel(Arc::new(known)).1).review(&request, &mut decision);
    assert!(decision.allowed, "a warning is no refusal");
    decision.warnings
}

fn passing() -> [Told; 2] {
    let (web, other, db) = (pods("shop", "web"), pods("shop", "other"), pods("shop", "db"));
    [
        summary("one", NOW, &[talk("allowed", "ingress", &web, &db, 9), talk("allowed", "ingress", &other, &db, 3)]),
        // The other end saw the same.
        summary("two", NOW, &[talk("allowed", "egress", &web, &db, 9)]),
    ]
}

#[test]
fn whoever_makes_a_policy_is_warned_of_what_it_would_cut_and_of_nothing_else() {
    let warned = |object: &Value| warned(known(passing()), "CREATE", object);
    insta::assert_snapshot!(warned(&policy("db", false, "web")).join("\n"), @r"
    3 recorded connections of the last hour would be cut by this change
    would be cut: shop/other -> shop/db TCP 5432, 3 times, last at 2026-03-01T11:59:00Z
    ");
    insta::assert_snapshot!(warned(&policy("db", false, "nobody")).join("\n"), @r"
    12 recorded connections of the last hour would be cut by this change
    would be cut: shop/web -> shop/db TCP 5432, 9 times, last at 2026-03-01T11:59:00Z
    would be cut: shop/other -> shop/db TCP 5432, 3 times, last at 2026-03-01T11:59:00Z
    ");
    assert_eq!(warned(&policy("db", true, "web")), [""; 0], "what is only audited cuts nothing");
}

#[test]
fn a_policy_that_goes_is_told_of_when_another_closes_what_it_opened() {
    let [web, other] = [policy("web", false, "web"), policy("other", false, "other")];
    let known = |policies: &[&Value]| known(passing().into_iter().chain(policies.iter().map(|p| network_policy(p))));
    assert_eq!(warned(known(&[&web]), "DELETE", &web), [""; 0], "nothing is isolated then");
    let cut = warned(known(&[&web, &other]), "DELETE", &other);
    assert_eq!(cut[0], "3 recorded connections of the last hour would be cut by this change");
    // What policies cut already is not of this change.
    assert_eq!(warned(known(&[&web]), "UPDATE", &web), [""; 0]);
    let closed = warned(known(&[&web]), "UPDATE", &policy("web", false, "nobody"));
    assert_eq!(closed[0], "9 recorded connections of the last hour would be cut by this change");
}

#[test]
fn what_an_old_summary_tells_is_left_out_and_that_it_is_old_is_told() {
    let [one, _] = passing();
    let old = summary(
        "two",
        "2026-03-01T11:00:00Z",
        &[talk("allowed", "ingress", &pods("shop", "x"), &pods("shop", "db"), 5)],
    );
    let cut = warned(known([one, old]), "CREATE", &policy("db", false, "web"));
    assert_eq!(
        cut[0],
        "3 recorded connections of the last hour would be cut by this change (1 of 2 nodes not counted)"
    );
    assert_eq!(cut.len(), 2);
}

#[test]
fn more_than_a_request_can_wait_for_is_said_to_be_too_much() {
    let told = |policies: &[Value]| known(passing().into_iter().chain(policies.iter().map(network_policy)));
    let closing = policy("db", false, "nobody");
    let many: Vec<Value> = (0..200).map(|n| policy(&format!("p{n}"), false, "web")).collect();
    let too_much =
        "what this change cuts is not judged: more than 200 policies, or 2000 peers and ports of theirs, decide";
    assert_eq!(warned(told(&many), "CREATE", &closing), [too_much]);
    let mut large = policy("large", false, "web");
    large["spec"]["ingress"][0]["ports"] = (1..=2_000).map(|port| json!({ "port": port })).collect();
    assert_eq!(warned(told(&[]), "CREATE", &large), [too_much]);
    assert_eq!(warned(told(&many[..1]), "CREATE", &closing), [""; 0], "what p0 accepts is not cut");
}

#[test]
fn what_would_be_denied_is_told_in_the_namespace_of_the_pods_with_the_policies_that_would() {
    let (web, db) = (pods("web", "web"), pods("shop", "db"));
    let rule = json!({ "kind": "ClusterNetworkPolicy", "policy": "closed", "direction": "egress", "index": 0 });
    let mut by_rule = talk("would-deny", "egress", &web, &db, 250);
    by_rule["rule"] = rule;
    let told = || [summary("one", NOW, &[by_rule.clone(), talk("would-deny", "ingress", &web, &db, 250)])];
    let policies = [policy("a", true, "x"), policy("b", true, "y"), policy("enforced", false, "x")];
    let closed = json!({
        "apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy",
        "metadata": { "name": "closed", "annotations": { "stockade.dev/enforcement": "Audit" } },
        "spec": {
            "tier": "Admin", "priority": 1, "subject": { "namespaces": {} },
            "egress": [{ "action": "Deny", "to": [{ "namespaces": {} }] }],
        },
    });
    let closed = gathered::cluster_network_policy(serde_json::from_value(closed).unwrap()).unwrap();
    let closed = Told::ClusterNetworkPolicy(Event::Apply(closed));
    let first = known(told().into_iter().chain(policies.iter().map(network_policy)).chain([closed]));
    let said = |namespace: &str| {
        let lines = first.would_deny(namespace).iter();
        lines.map(|d| format!("{}: {}: {} x{}", d.policy.name, d.rule, d.message, d.at_least)).collect::<Vec<_>>()
    };
    let isolated = "a: ingress: TCP 5432 from Pods of web (app=web) would be denied: no rule of the policies that select \
        this Pod accepts it (a, b) x100";
    let denied = "closed: egress[0]: TCP 5432 to Pods of shop (app=db) would be denied: by ClusterNetworkPolicy closed egress[0] x100";
    assert_eq!((said("shop"), said("web")), (vec![isolated.to_owned()], vec![denied.to_owned()]));
    // Of namespaces whose report is another.
    let second = known(told());
    assert_eq!(second.differing(&first), ["shop".into(), "web".into()]);
    assert_eq!(first.differing(&Known::default()), ["shop".into(), "web".into()]);
    assert_eq!(first.differing(&first), [""; 0].map(Arc::from));
}
