//! What a table is named by: its rules, in words that do not depend on the order in which labels, peers and ports were
//! written, nor on who is meant by them at the moment.

use std::collections::HashMap;

use stockade_policy::selector::{LabelSelector, Operator};

use super::digest::Content;
use super::selected::Selected;
use crate::compile::{Compiled, PolicyId};
use crate::policy::{Action, Direction, Namespaces, Peer, Peers, Pods, PortMatch, Ports, Rule, Tier};
use crate::ports::{Connections, PortSet, Protocol};

/// Digest and id of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TableContent {
    pub(super) digest: [u8; 32],
    pub(super) id: u64,
}

/// Digests of policies, each made once however many tables it is in.
#[derive(Debug)]
pub(super) struct Contents<'c> {
    compiled: &'c Compiled,
    policies: HashMap<(PolicyId, Direction), [u8; 32]>,
}

// === impl Contents ===

impl<'c> Contents<'c> {
    pub(super) fn new(compiled: &'c Compiled) -> Self {
        Self { compiled, policies: HashMap::new() }
    }

    /// The content of a kind of Pod's table.
    pub(super) fn of(&mut self, selected: &Selected) -> TableContent {
        let mut content = Content::new("table");
        for direction in Direction::ALL {
            let policies = &selected.policies[direction as usize];
            content.number(policies.len() as u64);
            for id in policies {
                let compiled = self.compiled;
                let digest = self.policies.entry((*id, direction)).or_insert_with(|| policy(compiled, *id, direction));
                content.bytes(digest);
            }
        }
        for port in &selected.own_ports {
            content.text(&port.name).number(port.protocol as u64).number(u64::from(port.port));
        }
        let (digest, id) = content.finish();
        TableContent { digest, id }
    }
}

fn policy(compiled: &Compiled, id: PolicyId, direction: Direction) -> [u8; 32] {
    let policy = compiled.policy(id);
    let mut content = Content::new("policy");
    content.number(match policy.tier {
        Tier::Admin => 1,
        Tier::Network => 2,
        Tier::Baseline => 3,
    });
    optional(&mut content, policy.namespace.as_deref());
    content.text(&policy.name).number(direction as u64);
    let rules = policy.rules(direction).unwrap_or_default();
    content.number(rules.len() as u64);
    for one in rules {
        content.bytes(&rule(one));
    }
    content.finish().0
}

fn rule(rule: &Rule) -> [u8; 32] {
    let mut content = Content::new("rule");
    optional(&mut content, rule.name.as_deref());
    content.number(match rule.action {
        Action::Accept => 1,
        Action::Deny => 2,
        Action::Pass => 3,
    });
    match &rule.peers {
        Peers::Everyone => content.number(0),
        Peers::AnyOf(peers) => content.number(1).set(peers.iter().map(peer)),
    };
    ports(&mut content, &rule.ports);
    content.finish().0
}

fn peer(peer: &Peer) -> [u8; 32] {
    let mut content = Content::new("peer");
    match peer {
        Peer::Pods(pods) => content.number(1).bytes(&pods_content(pods)),
        Peer::Block(block, holes) => {
            let text = |text: &str| Content::new(text).finish().0;
            content.number(2).text(&block.to_string()).set(holes.iter().map(|hole| text(&hole.to_string())))
        }
        Peer::Nodes(labels) => content.number(3).bytes(&selector(labels)),
        Peer::Domain(name) => content.number(4).text(&name.to_string()),
        Peer::Unknown => content.number(5),
    };
    content.finish().0
}

fn pods_content(pods: &Pods) -> [u8; 32] {
    let mut content = Content::new("pods");
    match &pods.namespaces {
        Namespaces::Named(name) => content.number(1).text(name),
        Namespaces::Matching(labels) => content.number(2).bytes(&selector(labels)),
    };
    content.bytes(&selector(&pods.pods));
    content.finish().0
}

fn selector(selector: &LabelSelector) -> [u8; 32] {
    let mut content = Content::new("selector");
    content.set(selector.requirements.iter().map(|requirement| {
        let mut content = Content::new(&requirement.key);
        content.number(match requirement.operator {
            Operator::In => 1,
            Operator::NotIn => 2,
            Operator::Exists => 3,
            Operator::DoesNotExist => 4,
        });
        content.set(requirement.values.iter().map(|value| Content::new(value).finish().0));
        content.finish().0
    }));
    content.finish().0
}

fn ports(content: &mut Content, ports: &Ports) {
    let Ports::AnyOf(matches) = ports else {
        content.number(0);
        return;
    };
    content.number(1);
    let mut numbers = Connections::default();
    for protocol in Protocol::ALL {
        let of_protocol = matches.iter().filter_map(|one| match one {
            PortMatch::Numbers(of, range) if *of == protocol => Some((*range.start(), *range.end())),
            PortMatch::Numbers(..) | PortMatch::Named(..) => None,
        });
        numbers.add_ports(protocol, &PortSet::of_ranges(of_protocol.collect()));
    }
    content.text(&numbers.to_string());
    content.set(matches.iter().filter_map(|one| match one {
        PortMatch::Numbers(..) => None,
        PortMatch::Named(protocol, name) => {
            let mut content = Content::new(name);
            content.number(protocol.map_or(0, |protocol| protocol as u64 + 1));
            Some(content.finish().0)
        }
    }));
}

fn optional(content: &mut Content, text: Option<&str>) {
    match text {
        Some(text) => content.number(1).text(text),
        None => content.number(0),
    };
}
