//! What nobody writes who means well.

use proptest::prelude::*;
use serde_json::{Value, json};
use stockade_netpol::addresses::Family;
use stockade_netpol::compile::Compiled;
use stockade_netpol::policy::{Action, Direction, Peer, Peers};
use stockade_netpol::ports::Protocol;
use stockade_netpol::read::{ManifestReader, Manifests};
use stockade_netpol::state::PodId;
use stockade_netpol::verdict::{Decision, Endpoint};

fn read(objects: &[Value]) -> Manifests {
    let mut reader = ManifestReader::new("default");
    reader.add("a.json", &json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string());
    reader.finish()
}

fn compiled(objects: &[Value]) -> Compiled {
    let read = read(objects);
    assert!(!read.diagnostics.has_errors(), "{}", read.diagnostics);
    Compiled::new(read.policies, read.state).unwrap()
}

fn policy(spec: &Value) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "np"}, "spec": spec})
}

fn cluster_policy(spec: &Value) -> Value {
    json!({
        "apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy",
        "metadata": {"name": "cnp"}, "spec": spec,
    })
}

fn pod(name: &str, labels: &Value, status: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [{"name": "c"}]}, "status": status,
    })
}

fn allowed(compiled: &Compiled, from: &str, to: &str) -> bool {
    let find = |name: &str| compiled.state().pods().find(|(_, p)| *p.name == *name).unwrap().0;
    let end = |name| Endpoint::Pod(find(name), None);
    compiled.verdict(end(from), end(to), Protocol::Tcp, 80).is_allowed()
}

#[test]
fn ten_thousand_peers_are_judged_like_one() {
    let peers: Vec<Value> =
        (0..10_000).map(|i| json!({"podSelector": {"matchLabels": {"app": format!("a{i}")}}})).collect();
    let blocks = (0..10_000).map(|i| json!({"ipBlock": {"cidr": format!("10.{}.{}.0/24", i / 256, i % 256)}}));
    let all: Vec<Value> = peers.into_iter().chain(blocks).collect();
    let none = json!({});
    let compiled = compiled(&[
        policy(&json!({"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [{"from": all}]})),
        pod("db", &json!({"app": "db"}), &none),
        pod("last", &json!({"app": "a9999"}), &none),
        pod("other", &json!({"app": "b"}), &none),
        pod("addressed", &none, &json!({"podIP": "10.39.15.9"})),
        pod("beyond", &none, &json!({"podIP": "10.39.16.9"})),
    ]);
    assert_eq!(
        ["last", "other", "addressed", "beyond"].map(|from| allowed(&compiled, from, "db")),
        [true, false, true, false]
    );
}

#[test]
fn a_pod_of_ten_thousand_labels_is_judged_by_them() {
    let labels: serde_json::Map<String, Value> = (0..10_000).map(|i| (format!("l{i}"), "v".into())).collect();
    let expressions: Vec<Value> = (0..10_000).map(|i| json!({"key": format!("l{i}"), "operator": "Exists"})).collect();
    let compiled = compiled(&[
        policy(&json!({"podSelector": {"matchExpressions": expressions}})),
        pod("bomb", &labels.into(), &json!({})),
        pod("other", &json!({"l0": "v"}), &json!({})),
    ]);
    assert_eq!([allowed(&compiled, "other", "bomb"), allowed(&compiled, "bomb", "other")], [false, true]);
}

#[test]
fn what_is_outside_is_cut_where_any_of_many_rules_tells_it_apart() {
    let hole = |i: u32| format!("10.0.{}.{}/32", i / 256, i % 256);
    let rule = |i: u32| {
        let block = json!({"cidr": "0.0.0.0/0", "except": [hole(i * 2)]});
        json!({"from": [{"ipBlock": block}], "ports": [{"port": i + 1}]})
    };
    let rules: Vec<Value> = (0..300).map(rule).collect();
    let compiled =
        compiled(&[policy(&json!({"podSelector": {}, "ingress": rules})), pod("db", &json!({}), &json!({}))]);
    let connectivity = compiled.connectivity().unwrap();
    // Each hole lacks another port; all other addresses of IPv4 lack none of them, those of IPv6 all.
    assert_eq!((connectivity.parties.len(), connectivity.edges.len()), (1 + 300 + 2, 300 + 1 + 300 + 2));
}

#[test]
fn blocks_that_contradict_themselves_are_refused() {
    let block = |block: Value| policy(&json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": block}]}]}));
    let cases = [
        (json!({"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}), "must be a strict subset of `cidr`"),
        (json!({"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}), "must be a strict subset of `cidr`"),
        (json!({"cidr": "10.0.0.0/8", "except": ["fd00::/16"]}), "must be a strict subset of `cidr`"),
        (json!({"cidr": "10.0.0.0/99"}), "must end with a prefix length of at most 32"),
        (json!({"except": ["10.0.0.0/8"]}), "Required value"),
    ];
    for (written, expected) in cases {
        let read = read(&[block(written.clone())]);
        let faults: Vec<&str> = read.diagnostics.iter().map(|d| d.message.as_str()).collect();
        assert!(matches!(faults[..], [fault] if fault.contains(expected)), "{written}: {faults:?}");
        assert_eq!(read.policies, []);
    }
}

#[test]
fn unknown_fields_are_refused_wherever_they_are() {
    let cases = [
        json!({"podSelector": {}, "ingres": []}),
        json!({"podSelector": {"matchLabel": {}}}),
        json!({"podSelector": {}, "ingress": [{"form": []}]}),
        json!({"podSelector": {}, "ingress": [{"from": [{"podselector": {}}]}]}),
        json!({"podSelector": {}, "ingress": [{"ports": [{"endport": 90, "port": 80}]}]}),
    ];
    for spec in cases {
        let read = read(&[policy(&spec)]);
        assert!(read.diagnostics.iter().any(|d| d.message.starts_with("unknown field") && d.help.is_some()), "{spec}");
        assert_eq!(read.policies, []);
    }
}

#[test]
fn a_cluster_policy_beyond_its_bounds_is_refused() {
    let rule = json!({"action": "Deny", "to": [{"namespaces": {}}]});
    let with = |priority: i32, egress: Value| {
        cluster_policy(&json!({"tier": "Admin", "priority": priority, "subject": {"namespaces": {}}, "egress": egress}))
    };
    let peers = |count: usize| json!([{"action": "Deny", "to": vec![json!({"namespaces": {}}); count]}]);
    let names = |action: &str| json!([{"action": action, "to": [{"domainNames": ["*.example.com"]}]}]);
    let cases = [
        (with(0, json!(vec![rule.clone(); 25])), 0),
        (with(0, json!(vec![rule; 26])), 1),
        (with(1000, peers(25)), 0),
        (with(1001, peers(26)), 2),
        (with(0, peers(0)), 1),
        (with(0, names("Accept")), 0),
        (with(0, names("Deny")), 1),
        (with(0, json!([{"action": "Deny", "to": [{}]}])), 1),
        (with(0, json!([{"action": "Deny", "to": [{"planets": ["mars"]}]}])), 1),
    ];
    for (policy, faults) in cases {
        let read = read(std::slice::from_ref(&policy));
        assert_eq!(
            (read.diagnostics.len(), read.policies.len()),
            (faults, usize::from(faults == 0)),
            "{policy}: {}",
            read.diagnostics
        );
    }
}

#[test]
fn the_same_object_twice_is_one_and_two_that_differ_are_a_fault() {
    let deny = policy(&json!({"podSelector": {}}));
    let web = pod("web", &json!({"app": "web"}), &json!({}));
    let same = read(&[deny.clone(), web.clone(), deny.clone(), web.clone()]);
    assert_eq!((same.diagnostics.len(), same.policies.len(), same.state.pods.len()), (0, 1, 1));
    let other = policy(&json!({"podSelector": {}, "ingress": [{}]}));
    let differ = read(&[deny, web, other, pod("web", &json!({}), &json!({}))]);
    let faults: Vec<&str> = differ.diagnostics.iter().map(|d| d.message.as_str()).collect();
    assert_eq!(
        faults,
        [
            "NetworkPolicy default/np is there twice and differs, first in a.json:1",
            "default/web is there twice and differs, first in a.json:1",
        ]
    );
}

#[test]
fn a_peer_of_an_unknown_kind_closes_its_rule() {
    let objects = [
        cluster_policy(&json!({
            "tier": "Admin", "priority": 1, "subject": {"namespaces": {}},
            "ingress": [{"action": "Accept", "from": [{"namespaces": {}}], "protocols": [{"tcp": {"destinationPort": {"number": 80}}}]}],
        })),
        pod("a", &json!({}), &json!({})),
        pod("b", &json!({"app": "b"}), &json!({})),
    ];
    let decision = |action: Action, peers: Vec<Peer>| {
        let mut read = read(&objects);
        let rule = &mut read.policies[0].ingress.as_mut().unwrap()[0];
        (rule.action, rule.peers) = (action, Peers::AnyOf(peers));
        let compiled = Compiled::new(read.policies, read.state).unwrap();
        let end = |id| Endpoint::Pod(PodId(id), None);
        let verdict = compiled.verdict(end(0), end(1), Protocol::Udp, 9);
        verdict.of(Direction::Ingress).clone()
    };
    assert_eq!(decision(Action::Accept, vec![Peer::Unknown]), Decision::NotSelected);
    for action in [Action::Deny, Action::Pass] {
        assert!(matches!(decision(action, vec![Peer::Unknown]), Decision::Denied(_)));
    }
}

#[test]
fn a_pod_without_addresses_is_known_by_its_labels_and_by_no_block() {
    let from =
        |peer: Value| policy(&json!({"podSelector": {"matchLabels": {"app": "b"}}, "ingress": [{"from": [peer]}]}));
    let pods = [pod("a", &json!({"app": "a"}), &json!({})), pod("b", &json!({"app": "b"}), &json!({}))];
    let judged = |peer: Value| allowed(&compiled(&[from(peer), pods[0].clone(), pods[1].clone()]), "a", "b");
    assert!(judged(json!({"podSelector": {"matchLabels": {"app": "a"}}})));
    assert!(!judged(json!({"ipBlock": {"cidr": "0.0.0.0/0"}})));
}

#[test]
fn an_address_that_two_pods_have_is_told_and_means_both() {
    let status = |phase: &str| json!({"podIP": "10.0.0.1", "phase": phase});
    let block = policy(
        &json!({"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.1/32"}}]}]}),
    );
    let objects = [
        block,
        pod("db", &json!({"app": "db"}), &json!({})),
        pod("new", &json!({}), &status("Running")),
        pod("old", &json!({}), &status("Running")),
        pod("gone", &json!({}), &status("Succeeded")),
    ];
    let read = read(&objects);
    let told: Vec<&str> = read.diagnostics.iter().map(|d| d.message.as_str()).collect();
    assert_eq!(told, ["default/old has the address 10.0.0.1, and so has default/new"]);
    let compiled = compiled(&objects);
    let holders = compiled.state().holders("10.0.0.1".parse().unwrap()).count();
    assert_eq!((holders, ["new", "old", "gone"].map(|from| allowed(&compiled, from, "db"))), (2, [true, true, false]));
}

#[test]
fn a_dual_stack_pod_is_judged_by_the_family_of_the_connection() {
    let both = json!({"podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]});
    let compiled = compiled(&[
        policy(
            &json!({"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [{"from": [{"ipBlock": {"cidr": "fd00::/64"}}]}]}),
        ),
        pod("db", &json!({"app": "db"}), &json!({"podIPs": [{"ip": "10.0.0.2"}, {"ip": "fd00::2"}]})),
        pod("web", &json!({}), &both),
    ]);
    let judged = |family| {
        compiled
            .verdict(Endpoint::Pod(PodId(1), Some(family)), Endpoint::Pod(PodId(0), Some(family)), Protocol::Tcp, 1)
            .is_allowed()
    };
    assert_eq!([Family::V4, Family::V6].map(judged), [false, true]);
    let connectivity = compiled.connectivity().unwrap();
    let between: Vec<Option<Family>> =
        connectivity.edges.iter().filter(|e| (e.from, e.to) == (1, 0)).map(|e| e.family).collect();
    assert_eq!(between, [Some(Family::V6)]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,300}") {
        let mut reader = ManifestReader::new("default");
        reader.add("a.yaml", &text);
        reader.add("b.yaml", &format!("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: a}}\nspec: {text}"));
        reader.finish();
    }
}
