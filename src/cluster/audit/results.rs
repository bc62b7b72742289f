//! What the audit knows: counts, and violations in detail. Never the objects.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use stockade_engine::audit::{Counts, Judgement, Outcome, RuleResult, Waived};

use super::dependencies::Reads;
use crate::facts::Change;

/// Most violations in detail of one kind in one namespace: what no report has room for need not be remembered.
pub(crate) const MAX_UNIT_RESULTS: usize = 1_000;
/// Most violations in detail in all: at some 300 bytes each they stay under 60 MB.
const MAX_RESULTS: usize = 200_000;
/// Longest message that is kept. Policies compute messages, and reports lie in etcd.
const MAX_MESSAGE_BYTES: usize = 1_024;

/// Everything that is known.
#[derive(Debug, Default)]
pub(crate) struct Results {
    /// By namespace, empty for cluster-scoped objects, and by resource (`deployments.apps`).
    namespaces: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Unit>>,
    told: usize,
}

/// The objects of one resource in one namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Unit {
    /// How many there are.
    pub(crate) objects: usize,
    /// Results by outcome.
    pub(crate) counts: Counts,
    /// What each exception (`namespace/name`) waives.
    pub(crate) waived: BTreeMap<Arc<str>, Waived>,
    /// Those that did not simply pass, while there is room.
    pub(crate) found: Vec<Found>,
    /// What was read to find them.
    pub(crate) reads: Reads,
    /// Whether something about their images could not be found out.
    pub(crate) unavailable: bool,
}

/// One rule that did not simply pass. Its texts are shared with all that read the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) object: Object,
    pub(crate) policy: Arc<str>,
    pub(crate) binding: Arc<str>,
    pub(crate) rule: Arc<str>,
    pub(crate) outcome: Outcome,
    pub(crate) message: Arc<str>,
    pub(crate) exception: Option<Arc<str>>,
    /// Seconds since 1970 when it was first found.
    pub(crate) since: i64,
}

/// The object a result is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Object {
    pub(crate) api_version: Arc<str>,
    pub(crate) kind: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) uid: Arc<str>,
}

/// Texts, each held once.
#[derive(Debug, Default)]
pub(crate) struct Texts(HashSet<Arc<str>>);

// === impl Results ===

impl Results {
    /// Replaces what is known of a resource in a namespace. What was found before keeps its time; what is new, where
    /// anything was known before, is given back.
    pub(crate) fn replace(&mut self, namespace: &Arc<str>, resource: &Arc<str>, mut unit: Unit) -> Vec<Found> {
        let before = self.remove(namespace, resource);
        let mut new = Vec::new();
        if let Some(before) = before {
            let known: HashMap<_, i64> = before.found.iter().map(|f| (f.key(), f.since)).collect();
            for found in &mut unit.found {
                match known.get(&found.key()) {
                    Some(since) => found.since = *since,
                    None => new.push(found.clone()),
                }
            }
        }
        if unit.objects == 0 {
            return new;
        }
        unit.found.truncate(MAX_RESULTS.saturating_sub(self.told));
        self.told += unit.found.len();
        self.namespaces.entry(Arc::clone(namespace)).or_default().insert(Arc::clone(resource), unit);
        new
    }

    /// Forgets a resource in a namespace.
    pub(crate) fn remove(&mut self, namespace: &str, resource: &str) -> Option<Unit> {
        let units = self.namespaces.get_mut(namespace)?;
        let unit = units.remove(resource)?;
        if units.is_empty() {
            self.namespaces.remove(namespace);
        }
        self.told -= unit.found.len();
        Some(unit)
    }

    /// Forgets what is not to be kept, and tells of which namespaces something was.
    pub(crate) fn retain(&mut self, keep: impl Fn(&str, &str) -> bool) -> BTreeSet<Arc<str>> {
        let gone: Vec<_> =
            self.units().filter(|(n, r, _)| !keep(n, r)).map(|(n, r, _)| (n.clone(), r.clone())).collect();
        for (namespace, resource) in &gone {
            self.remove(namespace, resource);
        }
        gone.into_iter().map(|(namespace, _)| namespace).collect()
    }

    /// Resources and namespaces whose judgement read what has changed.
    pub(crate) fn concerned(&self, change: &Change) -> Vec<(Arc<str>, Arc<str>)> {
        let concerned = self.units().filter(|(_, _, u)| u.reads.concern(change));
        concerned.map(|(n, r, _)| (Arc::clone(r), Arc::clone(n))).collect()
    }

    /// The units of a namespace, by resource.
    pub(crate) fn of(&self, namespace: &str) -> impl Iterator<Item = &Unit> {
        self.namespaces.get(namespace).into_iter().flat_map(BTreeMap::values)
    }

    /// Violations by policy and outcome.
    pub(crate) fn violations(&self) -> BTreeMap<(Arc<str>, &'static str), usize> {
        let mut counts = BTreeMap::new();
        for found in self.units().flat_map(|(_, _, unit)| &unit.found) {
            *counts.entry((Arc::clone(&found.policy), found.outcome.name())).or_default() += 1;
        }
        counts
    }

    /// What each exception (`namespace/name`) waives.
    pub(crate) fn waived(&self) -> BTreeMap<Arc<str>, Waived> {
        let mut all: BTreeMap<_, Waived> = BTreeMap::new();
        for (exception, waived) in self.units().flat_map(|(_, _, unit)| &unit.waived) {
            all.entry(Arc::clone(exception)).or_default().add(*waived);
        }
        all
    }

    /// All units.
    pub(crate) fn units(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>, &Unit)> {
        self.namespaces.iter().flat_map(|(n, units)| units.iter().map(move |(r, u)| (n, r, u)))
    }
}

// === impl Unit ===

impl Unit {
    /// Adds one object.
    pub(crate) fn add(
        &mut self,
        judgement: &Judgement,
        object: impl Fn(&mut Texts) -> Object,
        texts: &mut Texts,
        now: i64,
    ) {
        self.objects += 1;
        self.counts.judged(judgement);
        if judgement.results.is_empty() {
            return;
        }
        let object = object(texts);
        for result in &judgement.results {
            if let Some(exception) = &result.exception {
                self.waived.entry(texts.share(exception)).or_default().count(result.outcome);
            }
            if self.found.len() < MAX_UNIT_RESULTS {
                self.found.push(Found::new(object.clone(), result, texts, now));
            }
        }
    }
}

// === impl Found ===

impl Found {
    fn new(object: Object, result: &RuleResult, texts: &mut Texts, now: i64) -> Self {
        Self {
            object,
            policy: texts.share(&result.policy),
            binding: texts.share(&result.binding),
            rule: texts.share(&result.rule),
            outcome: result.outcome,
            message: texts.share(shortened(&result.message)),
            exception: result.exception.as_deref().map(|e| texts.share(e)),
            since: now,
        }
    }

    /// What makes two of them the same though a message may have changed.
    fn key(&self) -> (Arc<str>, Arc<str>, Arc<str>, Arc<str>, Outcome) {
        let Self { object, policy, binding, rule, outcome, .. } = self;
        (Arc::clone(&object.uid), Arc::clone(policy), Arc::clone(binding), Arc::clone(rule), *outcome)
    }
}

fn shortened(message: &str) -> &str {
    message.get(..message.floor_char_boundary(MAX_MESSAGE_BYTES)).unwrap_or(message)
}

// === impl Texts ===

impl Texts {
    /// The text, held once.
    pub(crate) fn share(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        let text: Arc<str> = text.into();
        self.0.insert(Arc::clone(&text));
        text
    }

    /// Forgets those that nobody else holds.
    pub(crate) fn sweep(&mut self) {
        self.0.retain(|text| Arc::strong_count(text) > 1);
        self.0.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests;
