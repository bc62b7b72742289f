//! Flows of many lines put together: one talk for all that is alike, whichever end recorded it.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use jiff::Timestamp;

use super::{End, Flow, FlowProtocol, Outcome};
use crate::addresses::Family;
use crate::remedy;
use crate::state::Labels;

/// Most different talks that are held at once: a cluster of some thousand workloads, in memory of some 100 MiB.
pub const MAX_TALKS: usize = 200_000;

/// What some lines say together.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    pub(super) identities: Vec<Identity>,
    numbers: HashMap<(String, Labels), usize>,
    pub(super) talks: BTreeMap<TalkKey, Talk>,
    /// Connections and packets that no line tells of.
    pub missed: u64,
    /// Lines about traffic that is never judged: between a Pod and its own node.
    pub(super) own_node: usize,
    /// Lines about packets that no policy can allow: spoofed, malformed.
    pub(super) unjudged: usize,
}

/// When and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// First time.
    pub first: Timestamp,
    /// Last time.
    pub last: Timestamp,
    /// Connections, or dropped packets.
    pub count: u64,
}

/// See [`MAX_TALKS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {MAX_TALKS} different flows: name fewer files, or flows of fewer namespaces")]
pub struct TooManyTalks;

/// Pods of one namespace with the same labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) namespace: String,
    pub(super) labels: Labels,
    /// An address of each family that one of them had.
    pub(super) addresses: [Option<IpAddr>; 2],
    /// Whether a flow was recorded at one of them.
    pub(super) recorded: bool,
}

/// Who talks to whom about what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TalkKey {
    pub(super) from: Who,
    pub(super) to: Who,
    pub(super) protocol: FlowProtocol,
    /// 0 where the protocol has none.
    pub(super) port: u16,
}

/// One end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Who {
    /// A place in [`Observed::identities`].
    Pods(usize),
    Address(IpAddr),
}

/// One talk. Both ends may have recorded it, each with its own verdict.
#[derive(Debug, Clone)]
pub(super) struct Talk {
    first: Timestamp,
    last: Timestamp,
    /// By direction: what was recorded there.
    counts: [u64; 2],
    /// By direction: what became of the last one.
    latest: [Option<(Timestamp, Outcome)>; 2],
}

// === impl Observed ===

impl Observed {
    /// Adds a flow.
    ///
    /// # Errors
    /// Too many different ones.
    pub fn add(&mut self, flow: &Flow) -> Result<(), TooManyTalks> {
        if !flow.verdict.passes() && flow.verdict != Outcome::Denied {
            self.unjudged += 1;
            return Ok(());
        }
        let (Some(from), Some(to)) = (self.who(&flow.from), self.who(&flow.to)) else {
            self.own_node += 1;
            return Ok(());
        };
        let near = if flow.near() == &flow.from { from } else { to };
        if let Who::Pods(at) = near {
            self.identities[at].recorded = true;
        }
        let key = TalkKey { from, to, protocol: flow.protocol, port: flow.port.unwrap_or(0) };
        if self.talks.len() >= MAX_TALKS && !self.talks.contains_key(&key) {
            return Err(TooManyTalks);
        }
        self.talks.entry(key).or_insert_with(|| Talk::new(flow.first)).add(flow);
        Ok(())
    }

    /// How many talks there are.
    pub fn len(&self) -> usize {
        self.talks.len()
    }

    /// Whether nobody talked.
    pub fn is_empty(&self) -> bool {
        self.talks.is_empty()
    }

    /// The same with those labels alone that selectors may name: what they do not tell apart is one.
    pub(super) fn stable(&self) -> Self {
        let mut stable = Self { own_node: self.own_node, unjudged: self.unjudged, ..Self::default() };
        let numbers: Vec<usize> = self
            .identities
            .iter()
            .map(|identity| {
                let at = stable.number(&identity.namespace, Labels::new(remedy::stable(&identity.labels)));
                let same = &mut stable.identities[at];
                same.recorded |= identity.recorded;
                same.addresses = std::array::from_fn(|f| identity.addresses[f].or(same.addresses[f]));
                at
            })
            .collect();
        let who = |who| if let Who::Pods(at) = who { Who::Pods(numbers[at]) } else { who };
        for (key, talk) in &self.talks {
            let key = TalkKey { from: who(key.from), to: who(key.to), ..*key };
            match stable.talks.entry(key) {
                Entry::Vacant(entry) => _ = entry.insert(talk.clone()),
                Entry::Occupied(mut entry) => entry.get_mut().merge(talk),
            }
        }
        stable
    }

    fn number(&mut self, namespace: &str, labels: Labels) -> usize {
        *self.numbers.entry((namespace.to_owned(), labels)).or_insert_with_key(|(namespace, labels)| {
            let (namespace, labels) = (namespace.clone(), labels.clone());
            self.identities.push(Identity { namespace, labels, addresses: [None; 2], recorded: false });
            self.identities.len() - 1
        })
    }

    fn who(&mut self, end: &End) -> Option<Who> {
        match end {
            End::Pods { namespace, labels, address, .. } => {
                let at = self.number(namespace, labels.clone());
                if let Some(address) = address {
                    self.identities[at].addresses[Family::of(*address) as usize] = Some(*address);
                }
                Some(Who::Pods(at))
            }
            End::OwnNode => None,
            End::Address(address) => Some(Who::Address(*address)),
        }
    }
}

// === impl Talk ===

impl Talk {
    fn new(at: Timestamp) -> Self {
        Self { first: at, last: at, counts: [0; 2], latest: [None; 2] }
    }

    fn add(&mut self, flow: &Flow) {
        self.first = self.first.min(flow.first);
        self.last = self.last.max(flow.last);
        let at = flow.direction as usize;
        self.counts[at] = self.counts[at].saturating_add(flow.count);
        if self.latest[at].is_none_or(|(time, _)| time <= flow.last) {
            self.latest[at] = Some((flow.last, flow.verdict));
        }
    }

    fn merge(&mut self, other: &Self) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        for at in 0..self.counts.len() {
            self.counts[at] = self.counts[at].saturating_add(other.counts[at]);
            self.latest[at] = self.latest[at].into_iter().chain(other.latest[at]).max_by_key(|(time, _)| *time);
        }
    }

    /// What both ends saw is counted once.
    pub(super) fn seen(&self) -> Seen {
        Seen { first: self.first, last: self.last, count: self.counts[0].max(self.counts[1]) }
    }

    /// What became of it lately: it passes when no end says otherwise.
    pub(super) fn outcome(&self) -> Outcome {
        let said = |outcome| self.latest.iter().flatten().any(|(_, latest)| *latest == outcome);
        [Outcome::Denied, Outcome::WouldDeny].into_iter().find(|o| said(*o)).unwrap_or(Outcome::Allowed)
    }
}

// === impl Seen ===

impl Seen {
    /// Both together.
    #[must_use]
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            first: self.first.min(other.first),
            last: self.last.max(other.last),
            count: self.count.saturating_add(other.count),
        }
    }
}
