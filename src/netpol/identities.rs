//! Pods that no policy can tell apart: one namespace, one set of labels.

use std::collections::HashMap;
use std::sync::Arc;

use crate::policy::{Namespaces, Pods};
use crate::state::{Labels, Pod, PodId, State};

mod index;

pub(crate) use index::LabelIndex;

/// Which identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct IdentityId(pub(crate) u32);

/// Some identities, a bit each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct IdentitySet(Vec<u64>);

/// All identities, by namespace.
#[derive(Debug, Clone, Default)]
pub(crate) struct Identities {
    /// By Pod; none for Pods on the host's network and those that have ended.
    of_pod: Vec<Option<IdentityId>>,
    /// One Pod of each, by number: its namespace and labels are those of all.
    one_of: Vec<PodId>,
    /// Numbers by namespace, in order.
    in_namespace: HashMap<Arc<str>, Vec<IdentityId>>,
}

// === impl IdentitySet ===

impl IdentitySet {
    pub(crate) fn insert(&mut self, id: IdentityId) {
        let (word, bit) = (id.0 as usize / 64, id.0 % 64);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << bit;
    }

    pub(crate) fn contains(&self, id: IdentityId) -> bool {
        self.0.get(id.0 as usize / 64).is_some_and(|word| word >> (id.0 % 64) & 1 == 1)
    }

    pub(crate) fn add(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            *word |= more;
        }
    }

    pub(crate) fn holds(&self, other: &Self) -> bool {
        let word = |at: usize| self.0.get(at).copied().unwrap_or(0);
        other.0.iter().enumerate().all(|(at, bits)| bits & !word(at) == 0)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = IdentityId> {
        let bits = |(at, word): (usize, &u64)| {
            let (at, word) = (at as u32 * 64, *word);
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| IdentityId(at + bit))
        };
        self.0.iter().enumerate().flat_map(bits)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }
}

impl FromIterator<IdentityId> for IdentitySet {
    fn from_iter<I: IntoIterator<Item = IdentityId>>(ids: I) -> Self {
        let mut set = Self::default();
        for id in ids {
            set.insert(id);
        }
        set
    }
}

// === impl Identities ===

impl Identities {
    pub(crate) fn new(state: &State) -> Self {
        let mut all = Self { of_pod: Vec::with_capacity(state.pods.len()), ..Self::default() };
        let mut numbers: HashMap<(&str, &Labels), IdentityId> = HashMap::new();
        for (at, pod) in state.pods() {
            if pod.host_network || pod.finished {
                all.of_pod.push(None);
                continue;
            }
            let id = *numbers.entry((&pod.namespace, &pod.labels)).or_insert_with(|| {
                let id = IdentityId(all.one_of.len() as u32);
                all.one_of.push(at);
                all.in_namespace.entry(pod.namespace.clone()).or_default().push(id);
                id
            });
            all.of_pod.push(Some(id));
        }
        all.one_of.shrink_to_fit();
        all
    }

    pub(crate) fn of_pod(&self, pod: u32) -> Option<IdentityId> {
        self.of_pod.get(pod as usize).copied().flatten()
    }

    pub(crate) fn len(&self) -> usize {
        self.one_of.len()
    }

    /// All of them with one Pod of each.
    fn all<'s>(&self, state: &'s State) -> impl Iterator<Item = (IdentityId, &'s Pod)> {
        (0..).map(IdentityId).zip(self.one_of.iter().map(|pod| state.pod(*pod)))
    }

    /// One Pod of an identity.
    fn one_of<'s>(&self, state: &'s State, id: IdentityId) -> &'s Pod {
        state.pod(self.one_of[id.0 as usize])
    }

    /// Whom a selector means. Namespaces are matched first, so that labels are looked at only where they count; with an
    /// index only those are looked at that have one of the labels it asks for.
    pub(crate) fn matching(&self, state: &State, pods: &Pods, index: Option<&mut LabelIndex>) -> IdentitySet {
        if let Some(with) = index.and_then(|index| index.candidates(self, state, pods)) {
            return with.filter(|id| self.is_meant(state, pods, *id)).collect();
        }
        let mut set = IdentitySet::default();
        let mut add = |ids: &[IdentityId]| {
            for id in ids.iter().filter(|id| self.one_of(state, **id).labels.match_selector(&pods.pods)) {
                set.insert(*id);
            }
        };
        match &pods.namespaces {
            Namespaces::Named(name) => add(self.in_namespace.get(name).map_or(&[], Vec::as_slice)),
            Namespaces::Matching(_) => {
                for (name, ids) in &self.in_namespace {
                    if is_namespace_meant(state, &pods.namespaces, name) {
                        add(ids);
                    }
                }
            }
        }
        set
    }

    /// Whether a selector means one of them.
    pub(crate) fn is_meant(&self, state: &State, pods: &Pods, id: IdentityId) -> bool {
        let pod = self.one_of(state, id);
        is_namespace_meant(state, &pods.namespaces, &pod.namespace) && pod.labels.match_selector(&pods.pods)
    }
}

fn is_namespace_meant(state: &State, namespaces: &Namespaces, name: &Arc<str>) -> bool {
    match namespaces {
        Namespaces::Named(own) => own == name,
        Namespaces::Matching(selector) => match state.namespaces.get(name) {
            Some(labels) => labels.match_selector(selector),
            None => Labels::of_namespace(name, []).match_selector(selector),
        },
    }
}
