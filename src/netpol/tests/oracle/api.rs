//! Objects of the API server, some of them from a newer one.

use proptest::prelude::*;
use serde_json::{Value, json};
use stockade_netpol::policy::{Action, Peer, Peers, Policy, Ports, Tier};
use stockade_netpol::read::api::{MAX_FAULTS, Read, cluster_network_policy, network_policy};
use stockade_netpol::read::{ManifestReader, Manifests};

fn object(annotations: &Value, spec: &Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "np", "namespace": "shop", "annotations": annotations, "managedFields": [{}], "new": 1},
        "spec": spec, "status": {},
    })
}

fn np(spec: &Value) -> Read {
    network_policy(&object(&json!({}), spec))
}

fn cnp(spec: &Value) -> Read {
    cluster_network_policy(&json!({
        "apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy",
        "metadata": {"name": "cnp"}, "spec": spec,
    }))
}

/// Whether a rule is closed, with its action.
fn closed(policy: &Policy) -> Vec<(Action, bool)> {
    let rules = policy.ingress.iter().chain(&policy.egress).flatten();
    let unknown = |peers: &Peers| *peers == Peers::AnyOf(vec![Peer::Unknown]);
    rules.map(|rule| (rule.action, unknown(&rule.peers) && rule.ports == Ports::All)).collect()
}

#[test]
fn a_known_object_is_read_as_its_manifest_is() {
    let spec = json!({
        "podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}], "ports": [{"port": "http"}]}, {}],
    });
    let read = np(&spec);
    let mut reader = ManifestReader::new("default");
    let manifest = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "np", "namespace": "shop"}, "spec": spec});
    reader.add("a.json", &manifest.to_string());
    let Manifests { policies, .. } = reader.finish();
    let same = |a: &Policy, b: &Policy| {
        (&a.subject, a.tier, &a.name, &a.namespace) == (&b.subject, b.tier, &b.name, &b.namespace)
    };
    let policy = read.policy.unwrap();
    assert!(read.faults.is_empty() && same(&policy, &policies[0]));
    let rules = |policy: &Policy| {
        policy.ingress.iter().flatten().map(|r| (r.peers.clone(), r.ports.clone())).collect::<Vec<_>>()
    };
    assert_eq!((rules(&policy), policy.egress), (rules(&policies[0]), Some(Vec::new())));
}

#[test]
fn a_rule_with_something_new_in_it_is_closed_and_the_others_stand() {
    let new = [
        json!({"from": [{"podSelector": {}}, {"serviceSelector": {}}]}),
        json!({"from": [{"podSelector": {}, "serviceAccounts": ["a"]}]}),
        json!({"from": [{"podSelector": {"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]}}]}),
        json!({"ports": [{"port": 80}, {"protocol": "QUIC", "port": 443}]}),
        json!({"ports": [{"port": 80, "startPort": 70}]}),
        json!({"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/8"]}}]}),
        json!({"from": {"podSelector": {}}}),
        json!({"l7": {"path": "/"}}),
        json!("anything"),
        Value::Null,
    ];
    for rule in new {
        let Read { policy, faults } = np(&json!({"podSelector": {}, "ingress": [{"ports": [{"port": 1}]}, rule]}));
        assert_eq!(closed(&policy.unwrap()), [(Action::Accept, false), (Action::Accept, true)], "{rule}");
        assert!((1..=2).contains(&faults.told.len()), "{rule}: {faults:?}");
    }
}

#[test]
fn a_policy_with_something_new_around_its_rules_isolates_whom_it_selects() {
    let app = json!({"matchLabels": {"app": "db"}});
    let cases = [
        (json!({"podSelector": app, "ingress": [{}], "mode": "Lenient"}), false),
        (json!({"podSelector": app, "policyTypes": ["Ingress", "Forward"], "ingress": [{}]}), false),
        (json!({"podSelector": app, "ingress": {}}), false),
        (json!({"podSelector": {"matchFields": []}, "ingress": [{}]}), true),
        (json!("everything"), true),
    ];
    for (spec, everybody) in cases {
        let Read { policy, faults } = np(&spec);
        let policy = policy.unwrap();
        assert_eq!((policy.ingress.as_deref(), policy.egress.as_deref()), (Some(&[][..]), Some(&[][..])), "{spec}");
        assert_eq!((policy.subject.pods.is_empty(), &*policy.name), (everybody, "np"), "{spec}");
        assert!(!faults.is_empty());
    }
    // What the API server makes of no spec at all.
    let none = np(&Value::Null);
    assert_eq!((none.policy.unwrap().egress, none.faults.is_empty()), (None, true));
}

#[test]
fn a_cluster_policy_with_something_new_denies_in_its_place() {
    let with = |subject: Value, tier: &str, ingress: Value| {
        cnp(&json!({"tier": tier, "priority": 7, "subject": subject, "ingress": ingress}))
    };
    let (all, namespaces) = (json!({"namespaces": {}}), || json!([{"namespaces": {}}]));
    let rules = json!([
        {"action": "Accept", "from": [{"serviceAccounts": {}}]},
        {"action": "Deny", "from": namespaces(), "when": "night"},
        {"action": "Pass", "from": namespaces(), "protocols": [{"icmp": {}}]},
        {"action": "Mirror", "from": namespaces()},
        {"action": "Accept", "from": namespaces()},
    ]);
    let read = with(all.clone(), "Admin", rules);
    let (accept, deny) = (Action::Accept, Action::Deny);
    assert_eq!(
        closed(&read.policy.unwrap()),
        [(accept, true), (deny, true), (deny, true), (deny, true), (accept, false)]
    );
    let read = with(all, "Emergency", namespaces());
    let policy = read.policy.unwrap();
    assert_eq!((policy.tier, policy.priority, closed(&policy)), (Tier::Admin, 7, vec![(deny, true), (deny, true)]));
    let read = with(json!({"vms": {}}), "Admin", namespaces());
    assert_eq!((read.policy, read.faults.is_empty()), (None, false));
}

#[test]
fn enforcement_is_asked_for_by_annotation_and_misspelt_it_is_enforced() {
    let audit = |value: &str| {
        let object = object(&json!({"stockade.dev/enforcement": value}), &json!({"podSelector": {}}));
        network_policy(&object).policy.unwrap().audit
    };
    assert_eq!(["Audit", "Enforce", "audit", ""].map(audit), [true, false, false, false]);
}

#[test]
fn what_is_huge_is_read_or_closed_in_bounded_words() {
    let faulty: Vec<Value> = (0..2_000).map(|i| json!({"from": [{"x".repeat(100): i}]})).collect();
    let Read { policy, faults } = np(&json!({"podSelector": {}, "ingress": faulty}));
    assert_eq!(closed(&policy.unwrap()), vec![(Action::Accept, true); 2_000]);
    assert_eq!((faults.told.len(), faults.more), (MAX_FAULTS, 2_000 - MAX_FAULTS));

    let long = "x".repeat(5_000_000);
    let Read { faults, .. } = np(&json!({"podSelector": {"matchLabels": {&*long: long}}, &*long: long}));
    assert!(
        !faults.is_empty() && faults.told.iter().all(|fault| fault.chars().count() <= 301),
        "{}",
        faults.told.len()
    );

    let mut deep = json!({});
    for _ in 0..120 {
        deep = json!([deep]);
    }
    let read = np(&json!({"podSelector": {}, "ingress": [{}, {"from": deep}]}));
    assert_eq!(closed(&read.policy.unwrap()), [(Action::Accept, false), (Action::Accept, true)]);
}

fn anything() -> impl Strategy<Value = Value> {
    let words = [
        "podSelector",
        "ingress",
        "egress",
        "from",
        "to",
        "ports",
        "ipBlock",
        "cidr",
        "except",
        "tier",
        "action",
        "subject",
        "namespaces",
        "pods",
        "protocols",
        "tcp",
        "matchLabels",
        "matchExpressions",
        "key",
        "priority",
        "port",
    ];
    let texts = ["Ingress", "Admin", "Accept", "Deny", "10.0.0.0/8", "::/0", "In", "a", ""];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(texts.to_vec()).prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(words.to_vec()), inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_object_makes_the_reader_panic_and_what_has_faults_selects_somebody(spec in anything()) {
        let read = np(&spec);
        prop_assert!(read.policy.is_some());
        cnp(&spec);
        network_policy(&spec);
        cluster_network_policy(&spec);
    }
}
