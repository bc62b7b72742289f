//! How long whoever edits network policies waits to be told what the edit would cut, where there is as much to judge as is
//! judged at all (`MAX_…` of `src/cluster/flows`).
#![expect(clippy::unwrap_used, reason = "a program that prints figures, on input of its own")]

use std::hint::black_box;

use bumpalo::Bump;
use serde_json::{Value as Json, json};
use stockade_benches::measure::{at_most, interleaved};
use stockade_cel::Symbols;
use stockade_cluster::flows::Flows;
use stockade_engine::request::{Operation, RequestBuilder};
use stockade_webhook::review;

/// Rounds in which the rows take turns.
const TURNS: usize = 50;
/// People wait for it, and the API server, 2 s at most.
const TARGET_MILLIS: f64 = 50.0;
/// Kinds of talks of a namespace; as many are kept.
const TALKS: usize = 500;
/// Of them, what one node tells.
const TALKS_OF_NODE: usize = 100;
/// Policies of the namespace. With the edited one, as it is and as it would be, as many as are judged at most.
const POLICIES: usize = 198;
/// Peers of a policy: with their labels and ports, nearly as many in all policies as are judged at most.
const PEERS: usize = 4;
/// Namespaces of an edit of all: of each a part of the talks, and of the policies.
const NAMESPACES: usize = 50;

fn main() {
    let one = whole(1, TALKS, false);
    let edited = policy("team-0", "edited", &json!([{}]));
    let in_one = Flows::of(one.iter().cloned().chain([edited]));
    let audited = Flows::of(one.into_iter().map(|mut object| {
        if object["kind"] == "Namespace" {
            object["metadata"]["annotations"] = json!({"stockade.dev/enforcement": "Audit"});
        }
        object
    }));
    let all = whole(NAMESPACES, 4 * TALKS / NAMESPACES, true);
    let in_all = Flows::of(all);
    let narrowed =
        policy("team-0", "edited", &json!([{"from": [{"podSelector": {"matchLabels": {"app": "nobody"}}}]}]));
    let closed = json!({
        "apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy", "metadata": {"name": "closed"},
        "spec": {"tier": "Admin", "priority": 1, "subject": {"namespaces": {}},
            "ingress": [{"action": "Deny", "from": [{"namespaces": {}}]}]},
    });
    let [policies, namespace, cluster] = [narrowed, namespace("team-0"), closed].map(review_of);
    let warn = |flows: &Flows, body: &[u8]| {
        let (arena, symbols) = (Bump::new(), Symbols::new());
        let lines = flows.review(&review::decode(body, &arena, &symbols).unwrap());
        // How many, three of them, and how many more: nothing was too much to judge.
        assert_eq!(lines.len(), 5, "{lines:?}");
        black_box(lines);
    };
    let [of_policy, of_namespace, of_cluster] = interleaved(
        TURNS,
        1,
        [&mut || warn(&in_one, &policies), &mut || warn(&audited, &namespace), &mut || warn(&in_all, &cluster)],
    );
    for (name, time) in [
        ("warnings of a NetworkPolicy, at the bounds", of_policy),
        ("warnings of a Namespace that audits no more, at the bounds", of_namespace),
        ("warnings of a ClusterNetworkPolicy, at the bounds", of_cluster),
    ] {
        at_most(name, time.as_secs_f64() * 1e3, TARGET_MILLIS, "ms");
    }
}

/// Namespaces of which each has so many talks, each of other Pods, and its part of the policies: those select all Pods and
/// accept none that talks, so that every rule of each is looked at; but for the first, where it is to accept all.
fn whole(namespaces: usize, talks: usize, accepts: bool) -> Vec<Json> {
    let mut objects = Vec::new();
    for number in 0..namespaces {
        let name = format!("team-{number}");
        let pods = |side: &str, talk: usize| {
            let labels = json!({"app": format!("{side}-{talk}"), "app.kubernetes.io/part-of": "shop", "version": "v1",
                "pod-template-hash": format!("{talk:x}"), "team": name});
            json!({"namespace": name, "labels": labels})
        };
        let told: Vec<Json> = (0..talks)
            .map(|talk| {
                json!({
                    "first": "2026-03-01T11:30:00Z", "last": "2026-03-01T11:59:00Z", "count": talk + 1, "direction": "ingress",
                    "verdict": "would-deny", "protocol": "TCP", "port": 8080, "from": pods("from", talk), "to": pods("to", talk),
                })
            })
            .collect();
        objects.push(namespace(&name));
        objects.extend(told.chunks(TALKS_OF_NODE).enumerate().map(|(node, talks)| {
            json!({
                "apiVersion": "stockade.dev/v1alpha1", "kind": "FlowSummary",
                "metadata": {"name": format!("node-{number}-{node}")},
                // Whatever time it is, this is not long ago.
                "spec": {"observedTime": "2100-01-01T00:00:00Z", "leftOut": 0, "talks": talks},
            })
        }));
        objects.extend((0..POLICIES / namespaces).map(|policy_number| {
            let peer = |peer: usize| {
                let app = format!("peer-{number}-{policy_number}-{peer}");
                json!({"podSelector": {"matchLabels": {"app": app}}})
            };
            let peers: Vec<Json> = (0..PEERS).map(peer).collect();
            let rule = if accepts && policy_number == 0 { json!({}) } else { json!({"from": peers}) };
            policy(&name, &format!("policy-{policy_number}"), &json!([rule]))
        }));
    }
    objects
}

fn namespace(name: &str) -> Json {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"team": name}}})
}

fn policy(namespace: &str, name: &str, ingress: &Json) -> Json {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"namespace": namespace, "name": name},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": ingress},
    })
}

/// The AdmissionReview of its update, as bytes.
fn review_of(object: Json) -> Vec<u8> {
    RequestBuilder::new().operation(Operation::Update).object(object).review().unwrap().to_string().into_bytes()
}
