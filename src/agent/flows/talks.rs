//! Events that are alike, put together for a window.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use stockade_netpol::flows::{End, Flow, FlowProtocol, FlowRule, Outcome};
use stockade_netpol::plan::OWN_NODE;
use stockade_netpol::policy::Direction;

use super::{Names, PodNames};
use crate::kernel::{self, Event};

/// Most talks that are told apart in a window: an address of each packet may be forged.
pub const MAX_TALKS: usize = 4_096;

/// Most flows that are told of a window: what was dropped first, then what was seen most.
pub const MAX_LINES: usize = 256;

/// The present window.
#[derive(Debug, Default)]
pub struct Talks {
    talks: HashMap<Key, Talk>,
    /// Beyond [`MAX_TALKS`].
    missed: u64,
}

/// What a window tells.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// At most [`MAX_LINES`], each with the Pod at whose interface it was seen.
    pub flows: Vec<(Flow, PodNames)>,
    /// Connections and packets that none of them tells of.
    pub missed: u64,
}

/// What is alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    interface: u32,
    direction: Direction,
    outcome: Outcome,
    peer: Peer,
    protocol: u8,
    port: u16,
    /// Table, and place of the rule in it.
    rule: Option<(u64, u32)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Peer {
    OwnNode,
    Identity(u64),
    Address(IpAddr),
}

#[derive(Debug, Clone)]
struct Talk {
    first: Timestamp,
    last: Timestamp,
    count: u64,
    bytes: u64,
    local: IpAddr,
    remote: IpAddr,
}

// === impl Talks ===

impl Talks {
    /// Adds an event that was read at a time.
    pub fn add(&mut self, event: &Event, now: Timestamp) {
        let Some(outcome) = outcome(event.outcome) else { return };
        let key = Key {
            interface: event.interface,
            direction: event.direction,
            outcome,
            peer: match event.identity {
                0 => Peer::Address(event.remote.0),
                OWN_NODE => Peer::OwnNode,
                number => Peer::Identity(number),
            },
            protocol: event.protocol,
            port: match event.direction {
                Direction::Ingress => event.local.1,
                Direction::Egress => event.remote.1,
            },
            rule: event.decision.and_then(|decision| Some((decision.table, decision.rule?.1))),
        };
        if self.talks.len() >= MAX_TALKS && !self.talks.contains_key(&key) {
            self.missed = self.missed.saturating_add(event.count);
            return;
        }
        let (local, remote) = (event.local.0, event.remote.0);
        let nothing = || Talk { first: now, last: now, count: 0, bytes: 0, local, remote };
        let talk = self.talks.entry(key).or_insert_with(nothing);
        talk.last = talk.last.max(now);
        talk.count = talk.count.saturating_add(event.count);
        talk.bytes = talk.bytes.saturating_add(event.bytes);
        (talk.local, talk.remote) = (local, remote);
    }

    /// Ends the window. What cannot be named any more, because its Pod is gone, counts as missed.
    pub fn take(&mut self, names: &dyn Names, node: &str) -> Window {
        let mut talks: Vec<(Key, Talk)> = self.talks.drain().collect();
        talks.sort_by_key(|(key, talk)| (key.outcome.passes(), Reverse(talk.count)));
        let mut window = Window { flows: Vec::new(), missed: std::mem::take(&mut self.missed) };
        for (key, talk) in talks {
            let named = if window.flows.len() < MAX_LINES { flow(&key, &talk, names, node) } else { None };
            match named {
                Some(flow) => window.flows.push(flow),
                None => window.missed = window.missed.saturating_add(talk.count),
            }
        }
        window
    }
}

fn flow(key: &Key, talk: &Talk, names: &dyn Names, node: &str) -> Option<(Flow, PodNames)> {
    let pod = names.pod(key.interface)?;
    let text = |text: &Arc<str>| text.to_string();
    let near = End::Pods {
        namespace: text(&pod.namespace),
        pod: Some(text(&pod.name)),
        labels: pod.labels.clone(),
        address: Some(talk.local),
    };
    let far = match key.peer {
        Peer::OwnNode => End::OwnNode,
        Peer::Address(address) => End::Address(address),
        Peer::Identity(number) => match names.identity(number, talk.remote) {
            Some(identity) => End::Pods {
                namespace: text(&identity.namespace),
                pod: None,
                labels: identity.labels,
                address: Some(talk.remote),
            },
            None => End::Address(talk.remote),
        },
    };
    let (from, to) = match key.direction {
        Direction::Egress => (near, far),
        Direction::Ingress => (far, near),
    };
    let protocol = FlowProtocol::of_number(key.protocol);
    let flow = Flow {
        first: talk.first,
        last: talk.last,
        count: talk.count.max(1),
        bytes: Some(talk.bytes),
        direction: key.direction,
        verdict: key.outcome,
        protocol,
        port: matches!(protocol, FlowProtocol::Known(_)).then_some(key.port),
        from,
        to,
        rule: key.rule.and_then(|(table, ordinal)| names.rule(table, ordinal)).map(|rule| FlowRule::from(&rule)),
        node: node.to_owned(),
    };
    Some((flow, pod))
}

/// None for what is of a connection that was told, or is never judged.
fn outcome(outcome: kernel::Outcome) -> Option<Outcome> {
    match outcome {
        kernel::Outcome::Established | kernel::Outcome::Exempt => None,
        kernel::Outcome::Opened => Some(Outcome::Allowed),
        kernel::Outcome::WouldDeny => Some(Outcome::WouldDeny),
        kernel::Outcome::Denied => Some(Outcome::Denied),
        kernel::Outcome::Spoofed => Some(Outcome::Spoofed),
        kernel::Outcome::Malformed
        | kernel::Outcome::Unrelated
        | kernel::Outcome::Fragment
        | kernel::Outcome::NoEndpoint => Some(Outcome::Malformed),
    }
}

#[cfg(test)]
pub(super) mod tests;
