//! What is known of all sources at one moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::runtime::watcher::Event;
use stockade_policy::compile::incremental::{Part, PartReport, Standing};
use stockade_policy::sources::PolicySources;

use super::render::{self, File};
use super::{Observed, RefusedObject, SourceKind};
use crate::object::Object;

/// Most objects of one kind that are read. Beyond it they are refused, unread.
const MAX_OBJECTS: usize = 20_000;

/// All sources, in the order in which they are compiled.
#[derive(Debug, Default)]
pub(super) struct Sources {
    known: BTreeMap<Key, Source>,
    /// Keys seen in a list that is not complete yet, by kind.
    listing: BTreeMap<SourceKind, BTreeSet<Key>>,
    synced: BTreeSet<SourceKind>,
    observed: Observed,
}

/// Kind, namespace, name. Empty where there is none.
type Key = (SourceKind, String, String);

#[derive(Debug)]
struct Source {
    id: Arc<str>,
    generation: i64,
    /// `resourceVersion`
    version: u64,
    /// What was read; an object that is written again with the same files keeps them.
    files: Vec<File>,
    read: Arc<PolicySources>,
}

impl Sources {
    /// Takes in what a watch told; says whether something changed that is compiled.
    pub(super) fn apply(&mut self, kind: SourceKind, event: Event<Object>) -> bool {
        match event {
            Event::Init => {
                self.listing.insert(kind, BTreeSet::new());
                false
            }
            // Part of a list says nothing of what is older than its objects.
            Event::InitApply(object) => {
                let (key, changed) = self.put(kind, &object);
                self.listing.entry(kind).or_default().insert(key);
                changed
            }
            Event::Apply(object) => {
                let changed = self.put(kind, &object).1;
                self.observe(kind, self.observed.of(kind).max(object.version()));
                changed
            }
            Event::Delete(object) => {
                let changed = self.known.remove(&key(kind, &object)).is_some();
                self.observe(kind, self.newest(kind));
                changed
            }
            Event::InitDone => {
                let listed = self.listing.remove(&kind).unwrap_or_default();
                let before = self.known.len();
                self.known.retain(|key, _| key.0 != kind || listed.contains(key));
                self.observe(kind, self.newest(kind));
                self.synced.insert(kind) || self.known.len() != before
            }
        }
    }

    /// Takes in what the folders hold now; nothing when there is no folder.
    pub(super) fn put_folders(&mut self, read: Arc<PolicySources>) {
        let key = (SourceKind::Folders, String::new(), String::new());
        let id = SourceKind::Folders.as_str().into();
        self.known.insert(key, Source { id, generation: 0, version: 0, files: Vec::new(), read });
    }

    /// Own kinds that have not been listed whole yet: without them nothing may be in force.
    pub(super) fn unsynced(&self) -> Vec<SourceKind> {
        let own = SourceKind::OBJECTS.into_iter().filter(|k| k.is_own());
        own.filter(|k| !self.synced.contains(k)).collect()
    }

    /// How much of the own kinds was looked at.
    pub(super) fn observed(&self) -> &Observed {
        &self.observed
    }

    /// What is compiled, in order.
    pub(super) fn parts(&self) -> Vec<Part> {
        let part = |(key, s): (&Key, &Source)| Part { id: s.id.clone(), scope: key.0.scope(), sources: s.read.clone() };
        self.known.iter().map(part).collect()
    }

    /// Those that are refused; the reports are of the parts.
    pub(super) fn refused(&self, reports: &[PartReport]) -> Vec<RefusedObject> {
        let told = self.known.iter().zip(reports).filter(|(_, report)| report.standing != Standing::InForce);
        told.map(|(((kind, namespace, name), source), report)| RefusedObject {
            kind: *kind,
            namespace: namespace.clone(),
            name: name.clone(),
            generation: source.generation,
            standing: report.standing,
            diagnostics: report.diagnostics.clone(),
        })
        .collect()
    }

    fn put(&mut self, kind: SourceKind, object: &Object) -> (Key, bool) {
        let key = key(kind, object);
        let (generation, version) = (object.generation(), object.version());
        let id = id(&key);
        let files = match render::files(kind, &id, object) {
            Ok(_) if !self.known.contains_key(&key) && self.of_kind(kind).count() >= MAX_OBJECTS => {
                Err(format!("there are {MAX_OBJECTS} objects of this kind already"))
            }
            files => files,
        };
        let (files, read) = match files {
            Ok(files) => match self.known.get_mut(&key) {
                Some(known) if known.files == files => {
                    (known.generation, known.version) = (generation, version);
                    return (key, false);
                }
                _ => {
                    let read = render::read(&files);
                    (files, read)
                }
            },
            Err(why) => (Vec::new(), render::unread(&id, &why)),
        };
        self.known.insert(key.clone(), Source { id, generation, version, files, read: Arc::new(read) });
        (key, true)
    }

    fn of_kind(&self, kind: SourceKind) -> impl Iterator<Item = &Source> {
        let first = (kind, String::new(), String::new());
        self.known.range(first..).take_while(move |(key, _)| key.0 == kind).map(|(_, source)| source)
    }

    fn newest(&self, kind: SourceKind) -> u64 {
        self.of_kind(kind).map(|source| source.version).max().unwrap_or(0)
    }

    fn observe(&mut self, kind: SourceKind, version: u64) {
        if kind.is_own() {
            self.observed.set(kind, version);
        }
    }
}

fn key(kind: SourceKind, object: &Object) -> Key {
    (kind, object.namespace().to_owned(), object.name().to_owned())
}

/// `AdmissionPolicy/require-labels`, `PolicyException/shop/legacy`
fn id((kind, namespace, name): &Key) -> Arc<str> {
    let slash = if namespace.is_empty() { "" } else { "/" };
    format!("{}/{namespace}{slash}{name}", kind.as_str()).into()
}
