//! Whatever changes, and in whatever order: what is decided is what would be decided from nothing.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};
use stockade_node::identity_slice::{self, IdentitySliceSpec, NamedPort};

use super::super::PolicyState;
use std::collections::BTreeMap;
use std::net::IpAddr;

use stockade_watch::shared::Shared;

use super::*;
use crate::hold::{HostInterface, PodName, PodRequest};
use crate::inputs::{NamespaceFacts, NodeFacts};
use crate::inputs::{PodFacts, PolicyObject, SliceFacts};

/// One thing that becomes another.
#[derive(Debug, Clone)]
enum Change {
    Pod(u32, Option<PodFacts>),
    Place(u32),
    Slice(u8, Option<SliceFacts>),
    Policy(u8, Option<Value>),
    Namespace(&'static str, Option<NamespaceFacts>),
    Node(Option<NodeFacts>),
    NodeAddress(IpAddr),
    Services(String),
}

const NAMESPACES: [&str; 2] = ["x", "y"];

fn labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    let value = || option::weighted(0.8, prop::sample::select(&["a", "b", "c"][..]));
    (value(), value()).prop_map(|(app, tier)| {
        let labels = [("app", app), ("tier", tier)].into_iter();
        labels.filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned()))).collect()
    })
}

fn address() -> impl Strategy<Value = IpAddr> {
    (0_u8..9).prop_map(|host| [10, 0, 0, host].into())
}

fn ports() -> impl Strategy<Value = Vec<NamedPort>> {
    let port = (80_u16..83).prop_map(|port| NamedPort { name: "http".to_owned(), protocol: "TCP".to_owned(), port });
    option::of(port).prop_map(|port| port.into_iter().collect())
}

fn pod() -> impl Strategy<Value = PodFacts> {
    let namespace = prop::sample::select(&NAMESPACES[..]);
    (namespace, labels(), ports(), vec(address(), 0..2), any::<bool>(), 0_i64..2).prop_map(
        |(namespace, labels, ports, addresses, terminating, created)| PodFacts {
            namespace: namespace.to_owned(),
            name: "p".to_owned(),
            labels,
            ports,
            addresses,
            terminating,
            created,
            ..PodFacts::default()
        },
    )
}

fn slice() -> impl Strategy<Value = SliceFacts> {
    let identity = (labels(), ports(), vec(address(), 1..3)).prop_map(|(labels, ports, addresses)| {
        identity_slice::Identity { labels, ports, addresses: addresses.iter().map(IpAddr::to_string).collect() }
    });
    let namespace = prop::sample::select(&NAMESPACES[..]);
    (namespace, vec(identity, 0..4), 0_i64..3).prop_map(|(namespace, identities, version)| {
        SliceFacts::new(version, &IdentitySliceSpec { namespace: namespace.to_owned(), identities })
    })
}

fn policy() -> impl Strategy<Value = Value> {
    let selector = || {
        prop_oneof![
            Just(json!({})),
            labels().prop_map(|labels| json!({ "matchLabels": labels })),
            Just(json!({ "matchExpressions": [{ "key": "app", "operator": "NotIn", "values": ["a"] }] })),
            Just(json!({ "matchExpressions": [{ "key": "tier", "operator": "Exists" }] })),
        ]
    };
    let peer = prop_oneof![
        selector().prop_map(|pods| json!({ "podSelector": pods })),
        selector().prop_map(|pods| json!({ "namespaceSelector": {}, "podSelector": pods })),
        selector().prop_map(|namespaces| json!({ "namespaceSelector": namespaces })),
        (0_u8..9).prop_map(|host| json!({ "ipBlock": { "cidr": format!("10.0.0.{}/30", host / 4 * 4) } })),
    ];
    let ports = prop_oneof![Just(json!([])), Just(json!([{ "port": 80 }])), Just(json!([{ "port": "http" }]))];
    let rule = (vec(peer, 0..3), ports).prop_map(|(peers, ports)| (peers, ports));
    let rules = || vec(rule.clone(), 0..3);
    let of = |name: &str, rules: Vec<(Vec<Value>, Value)>| -> Value {
        rules.into_iter().map(|(peers, ports)| json!({ name: peers, "ports": ports })).collect()
    };
    (prop::sample::select(&NAMESPACES[..]), selector(), rules(), rules(), any::<bool>()).prop_map(
        move |(namespace, pods, ingress, egress, audit)| {
            let enforcement = if audit { "Audit" } else { "Enforce" };
            json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                "metadata": { "namespace": namespace, "annotations": { "stockade.dev/enforcement": enforcement } },
                "spec": {
                    "podSelector": pods, "policyTypes": ["Ingress", "Egress"],
                    "ingress": of("from", ingress), "egress": of("to", egress),
                },
            })
        },
    )
}

fn change() -> impl Strategy<Value = Change> {
    let namespace = (labels(), any::<bool>()).prop_map(|(labels, audit)| NamespaceFacts { labels, audit });
    let node = (labels(), address()).prop_map(|(labels, ip)| NodeFacts { labels, addresses: vec![ip] });
    let cluster = labels().prop_map(|labels| {
        let (nodes, subject) = (json!({ "matchLabels": labels }), json!({ "namespaces": {} }));
        let rule = json!({ "action": "Accept", "to": [{ "nodes": nodes }] });
        json!({
            "apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy", "metadata": {},
            "spec": { "tier": "Admin", "priority": 1, "subject": subject, "egress": [rule] },
        })
    });
    prop_oneof![
        4 => (1_u32..4, option::weighted(0.8, pod())).prop_map(|(uid, pod)| Change::Pod(uid, pod)),
        2 => (1_u32..4).prop_map(Change::Place),
        4 => (0_u8..3, option::weighted(0.8, slice())).prop_map(|(name, slice)| Change::Slice(name, slice)),
        6 => (0_u8..4, option::weighted(0.8, policy())).prop_map(|(name, policy)| Change::Policy(name, policy)),
        1 => (4_u8..6, option::of(cluster)).prop_map(|(name, policy)| Change::Policy(name, policy)),
        2 => (prop::sample::select(&NAMESPACES[..]), option::weighted(0.8, namespace))
            .prop_map(|(name, facts)| Change::Namespace(name, facts)),
        1 => option::of(node).prop_map(Change::Node),
        1 => address().prop_map(Change::NodeAddress),
        1 => (0_u8..3).prop_map(|n| Change::Services(format!("10.{n}.0.0/16"))),
    ]
}

fn set<V>(all: &mut Shared<V>, key: String, facts: Option<V>) {
    match facts {
        Some(facts) => all.insert(key, facts),
        None => drop(all.remove(&key)),
    }
}

fn make(change: Change, inputs: &mut Inputs, places: &mut Places) {
    match change {
        Change::Pod(uid, pod) => set(&mut inputs.pods, uid.to_string(), pod),
        Change::Place(uid) => {
            let pod = PodName { namespace: "x".to_owned(), name: "p".to_owned(), uid: uid.to_string() };
            let interface = HostInterface { index: uid, name: format!("veth{uid}") };
            if !places.forget(&pod) {
                places.put(PodRequest { pod, interface, addresses: Vec::new() });
            }
        }
        Change::Slice(name, slice) => set(&mut inputs.slices, name.to_string(), slice),
        Change::Policy(name, object) => {
            let read = object.map(|mut object| {
                object["metadata"]["name"] = name.to_string().into();
                PolicyObject::from(object)
            });
            set(&mut inputs.policies, name.to_string(), read);
        }
        Change::Namespace(name, facts) => set(&mut inputs.namespaces, name.to_owned(), facts),
        Change::Node(facts) => set(&mut inputs.nodes, "n".to_owned(), facts),
        Change::NodeAddress(address) => {
            if !places.node_addresses.remove(&address) {
                places.node_addresses.insert(address);
            }
        }
        Change::Services(block) => inputs.services.insert("s".to_owned(), vec![block]),
    }
}

/// Without what tables in the kernel were made of, which only who wrote them knows.
fn forgetful(desired: &Desired) -> Desired {
    let mut desired = desired.clone();
    for policy in &mut desired.policies {
        if let PolicyState::Refused { held, .. } = &mut policy.state {
            *held = None;
        }
    }
    desired
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_decided_after_changes_is_what_is_decided_from_nothing(
        steps in vec(vec(change(), 1..4), 1..14),
        room in any::<bool>(),
    ) {
        let small = Limits { ports: 12, peers: 6, blocks: 6, ..Limits::default() };
        let limits = if room { Limits::default() } else { small };
        let (mut inputs, mut places, mut held) = (Inputs::default(), Places::default(), Contents::default());
        let mut decider = Decider::new(limits);
        for uid in 1..4 {
            make(Change::Place(uid), &mut inputs, &mut places);
        }
        for changes in steps {
            for change in changes {
                make(change, &mut inputs, &mut places);
            }
            let desired = decider.decide(&inputs, &places, &held).unwrap();
            let from_nothing = Decider::new(limits).decide(&inputs, &places, &held).unwrap();
            prop_assert_eq!(forgetful(&desired), from_nothing);
            held = desired.contents;
        }
    }
}
