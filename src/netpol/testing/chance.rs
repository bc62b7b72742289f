//! Clusters by chance: few names, so that policies often mean somebody.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use stockade_netpol::addresses::Cidr;
use stockade_netpol::policy::{Action, Namespaces, Peer, Peers, Pods, Policy, PortMatch, Ports, Rule, Tier};
use stockade_netpol::ports::Protocol;
use stockade_netpol::state::{ContainerPort, Labels, Node, Pod, State};
use stockade_policy::compiled::Origin;
use stockade_policy::selector::{LabelSelector, Operator, Requirement};

const VALUES: [&str; 2] = ["a", "b"];
const NAMESPACES: [&str; 2] = ["x", "y"];

fn selector() -> impl Strategy<Value = LabelSelector> {
    let operator =
        prop_oneof![Just(Operator::In), Just(Operator::NotIn), Just(Operator::Exists), Just(Operator::DoesNotExist)];
    let requirement = (prop_oneof![Just("app"), Just("tier")], operator, vec(prop::sample::select(&VALUES[..]), 1..3));
    let requirement = requirement.prop_map(|(key, operator, values)| {
        let values = if matches!(operator, Operator::In | Operator::NotIn) { values } else { Vec::new() };
        Requirement { key: key.to_owned(), operator, values: values.into_iter().map(str::to_owned).collect() }
    });
    vec(requirement, 0..3).prop_map(|requirements| LabelSelector { requirements })
}

fn pods(own: &'static str) -> impl Strategy<Value = Pods> {
    let namespaces = prop_oneof![Just(Namespaces::Named(own.into())), selector().prop_map(Namespaces::Matching),];
    let all = Pods { namespaces: Namespaces::Matching(LabelSelector::default()), pods: LabelSelector::default() };
    prop_oneof![
        1 => Just(all),
        4 => (namespaces, selector()).prop_map(|(namespaces, pods)| Pods { namespaces, pods }),
    ]
}

fn cidr() -> impl Strategy<Value = Cidr> {
    let text = prop_oneof![
        8 => (0_u32..8, 28_u8..=32).prop_map(|(host, bits)| format!("10.0.0.{host}/{bits}")),
        2 => (0_u32..8, 124_u8..=128).prop_map(|(host, bits)| format!("fd00::{host}/{bits}")),
        1 => prop::sample::select(&["0.0.0.0/0", "::/0"][..]).prop_map(str::to_owned),
    ];
    text.prop_map(|text| Cidr::parse(&text).unwrap())
}

fn peer(own: &'static str) -> impl Strategy<Value = Peer> {
    prop_oneof![
        4 => pods(own).prop_map(Peer::Pods),
        3 => (cidr(), vec(cidr(), 0..3)).prop_map(|(block, holes)| Peer::Block(block, holes)),
        1 => selector().prop_map(Peer::Nodes),
        1 => Just(Peer::Unknown),
    ]
}

fn protocol() -> impl Strategy<Value = Protocol> {
    prop::sample::select(&Protocol::ALL[..])
}

fn ports() -> impl Strategy<Value = Ports> {
    let one = prop_oneof![
        1 => protocol().prop_map(|p| PortMatch::Numbers(p, 1..=u16::MAX)),
        3 => (protocol(), 1_u16..5, 0_u16..3).prop_map(|(p, first, more)| PortMatch::Numbers(p, first..=first + more)),
        4 => (option::of(protocol()), prop::sample::select(&VALUES[..])).prop_map(|(p, name)| PortMatch::Named(p, name.into())),
    ];
    prop_oneof![1 => Just(Ports::All), 3 => vec(one, 0..4).prop_map(Ports::AnyOf)]
}

fn rule(own: &'static str, actions: &'static [Action]) -> impl Strategy<Value = Rule> {
    let peers = prop_oneof![1 => Just(Peers::Everyone), 3 => vec(peer(own), 0..3).prop_map(Peers::AnyOf)];
    (prop::sample::select(actions), peers, ports()).prop_map(|(action, peers, ports)| Rule {
        name: None,
        origin: Origin::default(),
        action,
        peers,
        ports,
    })
}

fn network_policy() -> impl Strategy<Value = Policy> {
    prop::sample::select(&NAMESPACES[..]).prop_flat_map(|own| {
        let rules = || option::of(vec(rule(own, &[Action::Accept]), 0..3));
        (selector(), rules(), rules()).prop_map(move |(pods, ingress, egress)| Policy {
            namespace: Some(own.into()),
            name: "np".into(),
            origin: Origin::default(),
            tier: Tier::Network,
            priority: 0,
            audit: false,
            subject: Pods { namespaces: Namespaces::Named(own.into()), pods },
            ingress,
            egress,
        })
    })
}

fn cluster_policy() -> impl Strategy<Value = Policy> {
    let rules = || option::of(vec(rule("x", &[Action::Accept, Action::Deny, Action::Pass]), 1..4));
    let tier = prop_oneof![Just(Tier::Admin), Just(Tier::Baseline)];
    (tier, pods("x"), rules(), rules()).prop_map(|(tier, subject, ingress, egress)| Policy {
        namespace: None,
        name: "cnp".into(),
        origin: Origin::default(),
        tier,
        priority: 0,
        audit: false,
        subject,
        ingress,
        egress,
    })
}

/// Policies of all tiers, some of them audited. Each has a priority and a name of its own: of equal ones the specification leaves the order open.
pub fn policies() -> impl Strategy<Value = Vec<Policy>> {
    let audit = vec(prop::bool::weighted(0.2), 6);
    (vec(prop_oneof![network_policy(), cluster_policy()], 0..6), audit).prop_map(|(mut policies, audit)| {
        for ((at, policy), audit) in (0..).zip(&mut policies).zip(audit) {
            policy.audit = audit;
            policy.name = format!("p{at}").into();
            if policy.tier != Tier::Network {
                policy.priority = at;
            }
        }
        policies
    })
}

fn labels() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    let value = || option::of(prop::sample::select(&VALUES[..]));
    (value(), value())
        .prop_map(|(app, tier)| [("app", app), ("tier", tier)].into_iter().filter_map(|(k, v)| Some((k, v?))).collect())
}

fn pod() -> impl Strategy<Value = Pod> {
    let named = (prop::sample::select(&VALUES[..]), protocol(), 1_u16..5)
        .prop_map(|(name, protocol, port)| ContainerPort { name: name.into(), protocol, port });
    let address = option::of(prop_oneof![
        3 => (0_u8..8).prop_map(|host| IpAddr::from(Ipv4Addr::new(10, 0, 0, host))),
        1 => (0_u16..8).prop_map(|host| IpAddr::from(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, host))),
    ]);
    let node = option::of(prop::sample::select(&VALUES[..]));
    let rare = || prop::bool::weighted(0.15);
    (prop::sample::select(&NAMESPACES[..]), labels(), address, vec(named, 0..4), rare(), rare(), node).prop_map(
        |(namespace, labels, address, ports, host_network, finished, node)| Pod {
            namespace: namespace.into(),
            name: "p".into(),
            owner: None,
            labels: Labels::new(labels),
            addresses: address.into_iter().collect(),
            ports,
            host_network,
            node: node.map(Into::into),
            finished,
            origin: Origin::default(),
        },
    )
}

/// Namespaces, Pods, of which some have no address or another's, and nodes.
pub fn state() -> impl Strategy<Value = State> {
    let node = |name: &'static str| {
        labels().prop_map(move |labels| Node {
            name: name.into(),
            labels: Labels::new(labels),
            addresses: vec![Ipv4Addr::new(10, 0, 0, if name == "a" { 6 } else { 7 }).into()],
        })
    };
    (vec(pod(), 1..6), labels(), labels(), node("a"), node("b")).prop_map(|(pods, x, y, a, b)| State {
        namespaces: [("x", x), ("y", y)].map(|(name, l)| (Arc::from(name), Labels::of_namespace(name, l))).into(),
        pods,
        nodes: vec![a, b],
    })
}
