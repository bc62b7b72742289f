//! The oracle beside a naive reading of the specification: no tables, no sets, one question at a time.

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;
use stockade_netpol::addresses::{Cidr, Family, number};
use stockade_netpol::compile::Compiled;
use stockade_netpol::policy::{Action, Direction, Namespaces, Peer, Peers, Pods, Policy, PortMatch, Ports, Rule, Tier};
use stockade_netpol::ports::Protocol;
use stockade_netpol::state::{ContainerPort, Labels, Pod, PodId, State};
use stockade_netpol::verdict::Endpoint;
use stockade_policy::selector::{LabelSelector, Operator};

use stockade_netpol_testing::chance::{policies, state};

/// Ports that are asked about; rules speak of 1 to 6.
const PORTS: std::ops::RangeInclusive<u16> = 1..=7;

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
        let within = |block: &Cidr| {
            let in_range = |a| block.family == Family::of(a) && (block.range.0..=block.range.1).contains(&number(a));
            address.is_some_and(in_range)
        };
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
