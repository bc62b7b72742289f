//! The oracle beside a naive reading of the specification: no tables, no sets, one question at a time.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use stockade_netpol::addresses::{Cidr, number};
use stockade_netpol::compile::Compiled;
use stockade_netpol::policy::{Action, Direction, Namespaces, Peer, Peers, Pods, Policy, PortMatch, Ports, Rule, Tier};
use stockade_netpol::ports::Protocol;
use stockade_netpol::state::{ContainerPort, Labels, Node, Pod, PodId, State};
use stockade_netpol::verdict::Endpoint;
use stockade_policy::compiled::Origin;
use stockade_policy::selector::{LabelSelector, Operator, Requirement};

/// Ports that are asked about; rules speak of 1 to 4.
const PORTS: std::ops::RangeInclusive<u16> = 1..=5;
const VALUES: [&str; 2] = ["a", "b"];
const NAMESPACES: [&str; 2] = ["x", "y"];

// What may be there.

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
    (namespaces, selector()).prop_map(|(namespaces, pods)| Pods { namespaces, pods })
}

fn cidr() -> impl Strategy<Value = Cidr> {
    (0_u32..8, 28_u8..=32).prop_map(|(host, bits)| Cidr::parse(&format!("10.0.0.{host}/{bits}")).unwrap())
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
        3 => (protocol(), 1_u16..5, 0_u16..3).prop_map(|(p, first, more)| PortMatch::Numbers(p, first..=first + more)),
        1 => (option::of(protocol()), prop::sample::select(&VALUES[..])).prop_map(|(p, name)| PortMatch::Named(p, name.into())),
    ];
    prop_oneof![Just(Ports::All), vec(one, 0..3).prop_map(Ports::AnyOf)]
}

fn rule(own: &'static str, actions: &'static [Action]) -> impl Strategy<Value = Rule> {
    let peers = prop_oneof![1 => Just(Peers::Everyone), 4 => vec(peer(own), 0..3).prop_map(Peers::AnyOf)];
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

/// Each has a priority and a name of its own: of equal ones the specification leaves the order open.
fn policies() -> impl Strategy<Value = Vec<Policy>> {
    vec(prop_oneof![network_policy(), cluster_policy()], 0..6).prop_map(|mut policies| {
        for (at, policy) in (0..).zip(&mut policies) {
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
    let address = option::of((0_u8..8).prop_map(|host| IpAddr::from(Ipv4Addr::new(10, 0, 0, host))));
    let node = option::of(prop::sample::select(&VALUES[..]));
    let rare = || prop::bool::weighted(0.15);
    (prop::sample::select(&NAMESPACES[..]), labels(), address, vec(named, 0..3), rare(), rare(), node).prop_map(
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

fn state() -> impl Strategy<Value = State> {
    let node = |name: &'static str| {
        labels().prop_map(move |labels| Node {
            name: name.into(),
            labels: Labels::new(labels),
            addresses: vec![Ipv4Addr::new(10, 0, 0, if name == "a" { 6 } else { 7 }).into()],
        })
    };
    (vec(pod(), 1..5), labels(), labels(), node("a"), node("b")).prop_map(|(pods, x, y, a, b)| State {
        namespaces: [("x", x), ("y", y)].map(|(name, l)| (Arc::from(name), Labels::of_namespace(name, l))).into(),
        pods,
        nodes: vec![a, b],
    })
}

// What the specification says of it.

struct Naive<'a> {
    policies: &'a [Policy],
    state: &'a State,
}

impl Naive<'_> {
    fn allows(&self, from: Endpoint<'_>, to: Endpoint<'_>, protocol: Protocol, port: u16) -> bool {
        let own_node = |node: Endpoint<'_>, pod: Endpoint<'_>| {
            let Some(runs_on) = self.pod(pod).and_then(|p| p.node.as_ref()) else { return false };
            let address = |a: IpAddr| self.state.nodes.iter().any(|n| n.name == *runs_on && n.addresses.contains(&a));
            match (node, self.pod(node)) {
                (_, Some(other)) => other.host_network && other.node.as_ref() == Some(runs_on),
                (Endpoint::Outside { address: Some(a), .. }, _) => address(a),
                _ => false,
            }
        };
        if from == to || own_node(from, to) || own_node(to, from) {
            return true;
        }
        self.side(Direction::Egress, from, to, to, (protocol, port))
            && self.side(Direction::Ingress, to, from, to, (protocol, port))
    }

    fn pod(&self, end: Endpoint<'_>) -> Option<&Pod> {
        match end {
            Endpoint::Pod(id, _) => Some(self.state.pod(id)),
            Endpoint::Outside { .. } => None,
        }
    }

    fn side(
        &self,
        direction: Direction,
        near: Endpoint<'_>,
        far: Endpoint<'_>,
        to: Endpoint<'_>,
        what: (Protocol, u16),
    ) -> bool {
        let Some(near) = self.pod(near) else { return true };
        let of = |tier: Tier| {
            let mut found: Vec<&Policy> =
                self.policies.iter().filter(|p| p.tier == tier && self.means(&p.subject, near)).collect();
            found.sort_by_key(|p| p.priority);
            found.into_iter().filter_map(|p| p.rules(direction)).collect::<Vec<_>>()
        };
        let first = |lists: &[&[Rule]]| {
            let rule = lists.iter().copied().flatten().find(|rule| self.rule_matches(rule, far, to, what))?;
            let unknown = matches!(&rule.peers, Peers::AnyOf(peers) if peers.contains(&Peer::Unknown));
            Some(if unknown { Action::Deny } else { rule.action })
        };
        match first(&of(Tier::Admin)) {
            Some(Action::Accept) => return true,
            Some(Action::Deny) => return false,
            Some(Action::Pass) | None => {}
        }
        let isolating = of(Tier::Network);
        if !isolating.is_empty() {
            return first(&isolating).is_some();
        }
        first(&of(Tier::Baseline)) != Some(Action::Deny)
    }

    fn rule_matches(
        &self,
        rule: &Rule,
        far: Endpoint<'_>,
        to: Endpoint<'_>,
        (protocol, port): (Protocol, u16),
    ) -> bool {
        let Peers::AnyOf(peers) = &rule.peers else { return self.port_matches(&rule.ports, to, protocol, port) };
        if peers.contains(&Peer::Unknown) {
            return rule.action != Action::Accept;
        }
        peers.iter().any(|peer| self.peer_matches(peer, far)) && self.port_matches(&rule.ports, to, protocol, port)
    }

    fn peer_matches(&self, peer: &Peer, far: Endpoint<'_>) -> bool {
        let address = match far {
            Endpoint::Outside { address, .. } => address,
            Endpoint::Pod(id, _) => {
                Some(self.state.pod(id)).filter(|p| !p.finished).and_then(|p| p.addresses.first().copied())
            }
        };
        let within = |block: &Cidr| address.is_some_and(|a| (block.range.0..=block.range.1).contains(&number(a)));
        match peer {
            Peer::Pods(pods) => self.pod(far).is_some_and(|pod| self.means(pods, pod)),
            Peer::Block(block, holes) => within(block) && !holes.iter().any(within),
            Peer::Nodes(selector) => {
                let mut nodes = self.state.nodes.iter().filter(|node| matches(selector, &node.labels));
                nodes.any(|node| address.is_some_and(|a| node.addresses.contains(&a)))
            }
            Peer::Domain(_) | Peer::Unknown => false,
        }
    }

    fn port_matches(&self, ports: &Ports, to: Endpoint<'_>, protocol: Protocol, port: u16) -> bool {
        let Ports::AnyOf(list) = ports else { return true };
        list.iter().any(|one| match one {
            PortMatch::Numbers(p, range) => *p == protocol && range.contains(&port),
            PortMatch::Named(p, name) => self.pod(to).filter(|pod| !pod.finished).is_some_and(|pod| {
                let is =
                    |named: &ContainerPort| named.name == *name && (named.protocol, named.port) == (protocol, port);
                p.is_none_or(|p| p == protocol) && pod.ports.iter().any(is)
            }),
        })
    }

    fn means(&self, pods: &Pods, pod: &Pod) -> bool {
        let namespace = match &pods.namespaces {
            Namespaces::Named(name) => *name == pod.namespace,
            Namespaces::Matching(selector) => matches(selector, &self.state.namespaces[&pod.namespace]),
        };
        !pod.host_network && !pod.finished && namespace && matches(&pods.pods, &pod.labels)
    }
}

fn matches(selector: &LabelSelector, labels: &Labels) -> bool {
    let value = |key: &str| labels.iter().find(|(k, _)| *k == key).map(|(_, v)| v.to_owned());
    selector.requirements.iter().all(|r| match r.operator {
        Operator::In => value(&r.key).is_some_and(|v| r.values.contains(&v)),
        Operator::NotIn => value(&r.key).is_none_or(|v| !r.values.contains(&v)),
        Operator::Exists => value(&r.key).is_some(),
        Operator::DoesNotExist => value(&r.key).is_none(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn verdicts_are_those_of_a_naive_reading(policies in policies(), state in state()) {
        let compiled = Compiled::new(policies.clone(), state.clone()).unwrap();
        let naive = Naive { policies: &policies, state: &state };
        let outside = (0..8).map(|host| Endpoint::Outside { address: Some(Ipv4Addr::new(10, 0, 0, host).into()), names: &[] });
        let pods = (0..state.pods.len() as u32).map(|id| Endpoint::Pod(PodId(id), None));
        let ends: Vec<Endpoint<'_>> = pods.chain(outside).collect();
        for &from in &ends {
            for &to in &ends {
                let at_once = compiled.allowed(from, to);
                for protocol in Protocol::ALL {
                    for port in PORTS {
                        let expected = naive.allows(from, to, protocol, port);
                        let verdict = compiled.verdict(from, to, protocol, port);
                        prop_assert_eq!(verdict.is_allowed(), expected, "{:?} to {:?}, {} {}: {:?}", from, to, protocol, port, verdict);
                        prop_assert_eq!(at_once.contains(protocol, port), expected, "{:?} to {:?}, {} {}", from, to, protocol, port);
                    }
                }
            }
        }
    }
}
