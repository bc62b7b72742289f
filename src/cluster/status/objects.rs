//! The own objects as they are: what of them the status is about.

use std::collections::{BTreeMap, BTreeSet};

use kube::runtime::watcher::Event;
use serde_json::Value;

use crate::object::Object;
use crate::policies::SourceKind;

/// Which object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) kind: SourceKind,
    /// Empty for a cluster-scoped one.
    pub(super) namespace: String,
    pub(super) name: String,
}

/// What was seen of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    /// `metadata.generation`
    pub(super) generation: i64,
    /// `resourceVersion` at which this generation was first seen.
    pub(super) since: u64,
    /// `resourceVersion`
    pub(super) version: u64,
    /// `status`, null when there is none.
    pub(super) status: Value,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Objects {
    seen: BTreeMap<Key, Seen>,
    /// What a list that is under way has brought so far.
    listed: BTreeSet<Key>,
    synced: BTreeSet<SourceKind>,
}

// === impl Objects ===

impl Objects {
    /// Takes what happened, in order.
    pub(super) fn take(&mut self, events: Vec<(SourceKind, Event<Object>)>) {
        events.into_iter().for_each(|(kind, event)| self.apply(kind, event));
    }

    fn apply(&mut self, kind: SourceKind, event: Event<Object>) {
        match event {
            Event::Init => self.listed.retain(|key| key.kind != kind),
            Event::InitApply(object) => {
                self.listed.insert(key(kind, &object));
                self.put(kind, &object);
            }
            Event::InitDone => {
                let listed = &self.listed;
                self.seen.retain(|key, _| key.kind != kind || listed.contains(key));
                self.listed.retain(|key| key.kind != kind);
                self.synced.insert(kind);
            }
            Event::Apply(object) => self.put(kind, &object),
            Event::Delete(object) => {
                self.seen.remove(&key(kind, &object));
            }
        }
    }

    /// Takes an object as the API server has it; an older one than is known is left aside.
    pub(super) fn put(&mut self, kind: SourceKind, object: &Object) {
        let (version, generation) = (object.version(), object.generation());
        let key = key(kind, object);
        let before = self.seen.get(&key);
        if before.is_some_and(|b| b.version > version) {
            return;
        }
        let since = before.filter(|b| b.generation == generation).map_or(version, |b| b.since);
        self.seen.insert(key, Seen { generation, since, version, status: status(object) });
    }

    pub(super) fn is_synced(&self, kinds: &[SourceKind]) -> bool {
        kinds.iter().all(|kind| self.synced.contains(kind))
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Seen> {
        self.seen.get(key)
    }

    /// Those of one kind.
    pub(super) fn of(&self, kind: SourceKind) -> impl Iterator<Item = (&Key, &Seen)> {
        self.iter().filter(move |(key, _)| key.kind == kind)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key, &Seen)> {
        self.seen.iter()
    }
}

fn key(kind: SourceKind, object: &Object) -> Key {
    Key { kind, namespace: object.namespace().to_owned(), name: object.name().to_owned() }
}

/// Nothing else of the object is looked at, so it may nest as deep as it likes. What cannot be read is written anew.
fn status(object: &Object) -> Value {
    #[derive(Default, serde::Deserialize)]
    struct OfStatus {
        #[serde(default)]
        status: Value,
    }
    serde_json::from_slice::<OfStatus>(object.text().json()).unwrap_or_default().status
}
