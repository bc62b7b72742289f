use serde_json::{Value, json};
use stockade_cel::{Symbols, document};
use stockade_node::flow_summary::MAX_SUMMARY_TALKS;

use super::gathered::{Gathered, Told};
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
    told(&object)
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

fn known(told: impl IntoIterator<Item = Told>) -> Known {
    let mut gathered = Gathered::default();
    told.into_iter().for_each(|told| _ = gathered.take(told));
    gathered.known(now(), &Known::default())
}

/// The warnings of a request about a policy of namespace `shop`.
fn warned(known: Known, operation: &str, object: &Value) -> Vec<String> {
    warned_of(known, operation, object, ["networking.k8s.io", "networkpolicies", "shop"])
}

/// The warnings of a request about an object of a group and resource, in a namespace.
fn warned_of(known: Known, operation: &str, object: &Value, place: [&str; 3]) -> Vec<String> {
    let [group, resource, namespace] = place;
    let kind = json!({ "group": group, "version": "v1", "kind": object["kind"] });
    let resource = json!({ "group": group, "version": "v1", "resource": resource });
    let [new, old] = [("DELETE", object), ("CREATE", object)]
        .map(|(without, it)| if operation == without { &Value::Null } else { it });
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u", "kind": kind, "resource": resource, "name": object["metadata"]["name"], "namespace": namespace,
            "operation": operation, "userInfo": {}, "object": new, "oldObject": old,
        },
    });
    let (body, arena, symbols) = (review.to_string(), bumpalo::Bump::new(), Symbols::new());
    let review = document::decode(body.as_bytes(), &arena, &symbols).unwrap();
    let request = stockade_engine::Request::from_review(review).unwrap();
    Flows(watch::channel(Arc::new(known)).1).review(&request)
}

fn cluster_warned(known: Known, operation: &str, object: &Value) -> Vec<String> {
    warned_of(known, operation, object, ["policy.networking.k8s.io", "clusternetworkpolicies", ""])
}

fn namespace(name: &str, enforcement: &str) -> Value {
    let annotations = json!({ "stockade.dev/enforcement": enforcement });
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": name, "labels": { "tenant": name }, "annotations": annotations,
    } })
}

/// One rule of ingress for Pods `db` of all namespaces but some.
fn cluster_policy(tier: &str, action: &str, except: &[&str]) -> Value {
    let others = json!({ "matchExpressions": [{ "key": "tenant", "operator": "NotIn", "values": except }] });
    let others = if except.is_empty() { json!({}) } else { others };
    let db = json!({ "matchLabels": { "app": "db" } });
    json!({
        "apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy",
        "metadata": { "name": format!("{tier}-{action}") },
        "spec": {
            "tier": tier, "priority": 1, "subject": { "pods": { "namespaceSelector": others, "podSelector": db } },
            "ingress": [{ "action": action, "from": [{ "namespaces": {} }] }],
        },
    })
}

fn told(object: &Value) -> Told {
    Told::of(object.clone()).unwrap()
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
    let known = |policies: &[&Value]| known(passing().into_iter().chain(policies.iter().map(|p| told(p))));
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
    let with = |policies: &[Value]| known(passing().into_iter().chain(policies.iter().map(told)));
    let closing = policy("db", false, "nobody");
    let many: Vec<Value> = (0..200).map(|n| policy(&format!("p{n}"), false, "web")).collect();
    let too_much =
        "what this change cuts is not judged: more than 200 policies, or 2000 peers, labels and ports in them, decide";
    assert_eq!(warned(with(&many), "CREATE", &closing), [too_much]);
    let mut large = policy("large", false, "web");
    large["spec"]["ingress"][0]["ports"] = (1..=2_000).map(|port| json!({ "port": port })).collect();
    assert_eq!(warned(with(&[]), "CREATE", &large), [too_much]);
    assert_eq!(warned(with(&many[..1]), "CREATE", &closing), [""; 0], "what p0 accepts is not cut");
    let mut labels = policy("labels", false, "web");
    let values: Vec<String> = (0..2_000).map(|number| format!("v{number}")).collect();
    labels["spec"]["podSelector"] =
        json!({ "matchExpressions": [{ "key": "app", "operator": "NotIn", "values": values }] });
    assert_eq!(warned(with(&[]), "CREATE", &labels), [too_much]);
}

#[test]
fn who_has_enforced_what_was_audited_is_warned_whether_a_policy_or_its_namespace_said_so() {
    let cut = "3 recorded connections of the last hour would be cut by this change";
    let lines = |warned: Vec<String>| warned.into_iter().next().unwrap_or_default();
    let audited = policy("db", true, "web");
    let of_policy = known(passing().into_iter().chain([told(&audited)]));
    assert_eq!(lines(warned(of_policy.clone(), "UPDATE", &policy("db", false, "web"))), cut);
    assert_eq!(warned(of_policy, "UPDATE", &audited), [""; 0]);

    let of_namespace = |enforcement: &str, policies: &[Value]| {
        let objects = [namespace("shop", enforcement)];
        known(passing().into_iter().chain(objects.iter().chain(policies).map(told)))
    };
    let [audit, enforce] = ["Audit", "Enforce"].map(|enforcement| namespace("shop", enforcement));
    let namespaced = |known: Known, object: &Value| warned_of(known, "UPDATE", object, ["", "namespaces", "shop"]);
    let enforced = policy("db", false, "web");
    insta::assert_snapshot!(
        namespaced(of_namespace("Audit", std::slice::from_ref(&enforced)), &enforce).join("\n"), @r"
    3 recorded connections of the last hour would be cut by this change
    would be cut: shop/other -> shop/db TCP 5432, 3 times, last at 2026-03-01T11:59:00Z
    ");
    let known_by = |enforcement: &str| of_namespace(enforcement, std::slice::from_ref(&enforced));
    assert_eq!(namespaced(known_by("Audit"), &audit), [""; 0], "it goes on to be audited");
    assert_eq!(namespaced(known_by("Enforce"), &enforce), [""; 0], "it was enforced before");
    assert_eq!(namespaced(of_namespace("Audit", &[audited]), &enforce), [""; 0], "the policy goes on to be audited");
    assert_eq!(
        warned(known_by("Audit"), "UPDATE", &policy("db", false, "nobody")),
        [""; 0],
        "nothing of it is enforced"
    );
}

#[test]
fn who_edits_a_cluster_network_policy_is_warned_of_what_it_would_cut_in_the_namespaces_of_its_subject() {
    let (web, shop, bank) = (pods("web", "web"), pods("shop", "db"), pods("bank", "db"));
    let base = |policies: &[&Value]| {
        let namespaces = ["web", "shop", "bank"].map(|name| namespace(name, ""));
        let talks = [
            // Both ends tell; it is one talk.
            summary(
                "one",
                NOW,
                &[talk("allowed", "egress", &web, &shop, 9), talk("allowed", "ingress", &web, &shop, 9)],
            ),
            summary(
                "two",
                NOW,
                &[talk("allowed", "ingress", &web, &bank, 4), talk("allowed", "ingress", &bank, &web, 7)],
            ),
        ];
        known(talks.into_iter().chain(namespaces.iter().chain(policies.iter().copied()).map(told)))
    };
    let deny = cluster_policy("Admin", "Deny", &[]);
    insta::assert_snapshot!(cluster_warned(base(&[]), "CREATE", &deny).join("\n"), @r"
    13 recorded connections of the last hour would be cut by this change
    would be cut: web/web -> shop/db TCP 5432, 9 times, last at 2026-03-01T11:59:00Z
    would be cut: web/web -> bank/db TCP 5432, 4 times, last at 2026-03-01T11:59:00Z
    ");
    let not_shop = cluster_policy("Admin", "Deny", &["shop"]);
    let first = |warned: Vec<String>| warned.into_iter().next().unwrap_or_default();
    let so_many = |count: u64| format!("{count} recorded connections of the last hour would be cut by this change");
    assert_eq!(first(cluster_warned(base(&[]), "CREATE", &not_shop)), so_many(4));
    assert_eq!(first(cluster_warned(base(&[&not_shop]), "UPDATE", &deny)), so_many(9), "bank's was cut before");
    assert_eq!(cluster_warned(base(&[&deny]), "UPDATE", &not_shop), [""; 0], "it opens");
    assert_eq!(cluster_warned(base(&[&deny]), "DELETE", &deny), [""; 0]);
    let mut audited = deny.clone();
    audited["metadata"]["annotations"] = json!({ "stockade.dev/enforcement": "Audit" });
    assert_eq!(cluster_warned(base(&[]), "CREATE", &audited), [""; 0]);
    assert_eq!(first(cluster_warned(base(&[&audited]), "UPDATE", &deny)), so_many(13));
    // What overruled a NetworkPolicy goes; and a NetworkPolicy has the last word before the baseline.
    let (accept, closed) = (cluster_policy("Admin", "Accept", &[]), policy("db", false, "nobody"));
    assert_eq!(first(cluster_warned(base(&[&accept, &closed]), "DELETE", &accept)), so_many(9));
    let mut open = policy("db", false, "web");
    open["spec"]["ingress"] = json!([{}]);
    let baseline = cluster_policy("Baseline", "Deny", &[]);
    assert_eq!(first(cluster_warned(base(&[&open]), "CREATE", &baseline)), so_many(4));
}

#[test]
fn of_more_namespaces_than_a_request_can_wait_for_the_busiest_are_judged_and_the_others_said_not_to_be() {
    let many = |namespaces: usize, talks: usize, policies: usize| {
        let (mut objects, mut summaries) = (Vec::new(), Vec::new());
        for number in 0..namespaces {
            let name = format!("n{number}");
            let of_talk = |at: usize| {
                let mut talk = talk("allowed", "ingress", &pods(&name, "web"), &pods(&name, "db"), (number + 1) as u64);
                talk["port"] = json!(at + 1);
                talk
            };
            objects.push(namespace(&name, ""));
            objects.extend((0..policies).map(|at| {
                let mut policy = policy(&format!("p{at}"), false, "web");
                policy["metadata"]["namespace"] = json!(name);
                policy
            }));
            let talks: Vec<Value> = (0..talks).map(of_talk).collect();
            // No node tells of more.
            for (node, talks) in talks.chunks(MAX_SUMMARY_TALKS).enumerate() {
                summaries.push(summary(&format!("{name}-{node}"), NOW, talks));
            }
        }
        let known = known(summaries.into_iter().chain(objects.iter().map(told)));
        let warned = cluster_warned(known, "CREATE", &cluster_policy("Admin", "Deny", &[]));
        (warned.first().cloned().unwrap(), warned.last().cloned().unwrap())
    };
    let cut = |count: usize| format!("{count} recorded connections of the last hour would be cut by this change");
    let left_out = |number: usize, of: usize| {
        format!(
            "{number} of {of} namespaces are not judged: at most 50 are, with 2000 kinds of connections, 200 policies, and \
             2000 peers, labels and ports in them"
        )
    };
    // Of 52, with 1 to 52 connections, those with 1 and 2 are left out.
    assert_eq!(many(52, 1, 0), (cut((3..=52).sum()), left_out(2, 52)));
    assert_eq!(many(5, 500, 0), (cut(500 * (2 + 3 + 4 + 5)), left_out(1, 5)));
    // With the edited one 151 policies, and not 226.
    assert_eq!(many(3, 1, 75), (cut(2 + 3), left_out(1, 3)));
}

#[test]
fn what_would_be_denied_is_told_in_the_namespace_of_the_pods_with_the_policies_that_would() {
    let (web, db) = (pods("web", "web"), pods("shop", "db"));
    let rule = json!({ "kind": "ClusterNetworkPolicy", "policy": "closed", "direction": "egress", "index": 0 });
    let mut by_rule = talk("would-deny", "egress", &web, &db, 250);
    by_rule["rule"] = rule;
    let summaries = || [summary("one", NOW, &[by_rule.clone(), talk("would-deny", "ingress", &web, &db, 250)])];
    let policies = [policy("a", true, "x"), policy("b", true, "y"), policy("enforced", false, "x")];
    let closed = json!({
        "apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy",
        "metadata": { "name": "closed", "annotations": { "stockade.dev/enforcement": "Audit" } },
        "spec": {
            "tier": "Admin", "priority": 1, "subject": { "namespaces": {} },
            "egress": [{ "action": "Deny", "to": [{ "namespaces": {} }] }],
        },
    });
    let first = known(summaries().into_iter().chain(policies.iter().chain([&closed]).map(told)));
    let said = |namespace: &str| {
        let lines = first.would_deny(namespace).iter();
        lines.map(|d| format!("{}: {}: {} x{}", d.policy.name, d.rule, d.message, d.at_least)).collect::<Vec<_>>()
    };
    let isolated = "a: ingress: TCP 5432 from Pods of web (app=web) would be denied: no rule of the policies that select \
        this Pod accepts it (a, b) x100";
    let denied = "closed: egress[0]: TCP 5432 to Pods of shop (app=db) would be denied: by ClusterNetworkPolicy closed egress[0] x100";
    assert_eq!((said("shop"), said("web")), (vec![isolated.to_owned()], vec![denied.to_owned()]));
    // Of namespaces whose report is another.
    let second = known(summaries());
    assert_eq!(second.differing(&first), ["shop".into(), "web".into()]);
    assert_eq!(first.differing(&Known::default()), ["shop".into(), "web".into()]);
    assert_eq!(first.differing(&first), [""; 0].map(Arc::from));
}
