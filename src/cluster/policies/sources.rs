//! What is known of all sources at one moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::core::DynamicObject;
use kube::runtime::watcher::Event;
use stockade_policy::compile::incremental::{Part, PartReport, Standing};
use stockade_policy::sources::PolicySources;

use super::render::{self, File};
use super::{RefusedObject, SourceKind};

/// Most objects of one kind that are read. Beyond it they are refused, unread.
const MAX_OBJECTS: usize = 20_000;

/// All sources, in the order in which they are compiled.
#[derive(Debug, Default)]
pub(super) struct Sources {
    known: BTreeMap<Key, Source>,
    /// Keys seen in a list that is not complete yet, by kind.
    listing: BTreeMap<SourceKind, BTreeSet<Key>>,
    synced: BTreeSet<SourceKind>,
    /// Newest `resourceVersion` of objects of own kinds.
    observed: u64,
}

/// Kind, namespace, name. Empty where there is none.
type Key = (SourceKind, String, String);

#[derive(Debug)]
struct Source {
    id: Arc<str>,
    generation: i64,
    /// What was read; an object that is written again with the same files keeps them.
    files: Vec<File>,
    read: Arc<PolicySources>,
}

impl Sources {
    /// Takes in what a watch told; says whether something changed that is compiled.
    pub(super) fn apply(&mut self, kind: SourceKind, event: Event<DynamicObject>) -> bool {
        match event {
            Event::Init => {
                self.listing.insert(kind, BTreeSet::new());
                false
            }
            Event::InitApply(object) => {
                let (key, changed) = self.put(kind, &object);
                self.listing.entry(kind).or_default().insert(key);
                changed
            }
            Event::Apply(object) => self.put(kind, &object).1,
            Event::Delete(object) => {
                self.observe(kind, &object);
                self.known.remove(&key(kind, &object)).is_some()
            }
            Event::InitDone => {
                let listed = self.listing.remove(&kind).unwrap_or_default();
                let before = self.known.len();
                self.known.retain(|key, _| key.0 != kind || listed.contains(key));
                self.synced.insert(kind) || self.known.len() != before
            }
        }
    }

    /// Takes in what the folders hold now; nothing when there is no folder.
    pub(super) fn put_folders(&mut self, read: Arc<PolicySources>) {
        let key = (SourceKind::Folders, String::new(), String::new());
        self.known
            .insert(key, Source { id: SourceKind::Folders.as_str().into(), generation: 0, files: Vec::new(), read });
    }

    /// Own kinds that have not been listed whole yet: without them nothing may be in force.
    pub(super) fn unsynced(&self) -> Vec<SourceKind> {
        let own = SourceKind::OBJECTS.into_iter().filter(|k| k.is_own());
        own.filter(|k| !self.synced.contains(k)).collect()
    }

    /// Newest `resourceVersion` of objects of own kinds.
    pub(super) fn observed(&self) -> u64 {
        self.observed
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

    fn put(&mut self, kind: SourceKind, object: &DynamicObject) -> (Key, bool) {
        self.observe(kind, object);
        let key = key(kind, object);
        let generation = object.metadata.generation.unwrap_or_default();
        let id = id(&key);
        let files = match render::files(kind, &id, object) {
            Ok(_) if !self.known.contains_key(&key) && self.count(kind) >= MAX_OBJECTS => {
                Err(format!("there are {MAX_OBJECTS} objects of this kind already"))
            }
            files => files,
        };
        let (files, read) = match files {
            Ok(files) => match self.known.get_mut(&key) {
                Some(known) if known.files == files => {
                    known.generation = generation;
                    return (key, false);
                }
                _ => {
                    let read = render::read(&files);
                    (files, read)
                }
            },
            Err(why) => (Vec::new(), render::unread(&id, &why)),
        };
        self.known.insert(key.clone(), Source { id, generation, files, read: Arc::new(read) });
        (key, true)
    }

    fn count(&self, kind: SourceKind) -> usize {
        let first = (kind, String::new(), String::new());
        self.known.range(first..).take_while(|(key, _)| key.0 == kind).count()
    }

    fn observe(&mut self, kind: SourceKind, object: &DynamicObject) {
        let version = object.metadata.resource_version.as_deref().and_then(|v| v.parse().ok());
        if kind.is_own() {
            self.observed = self.observed.max(version.unwrap_or_default());
        }
    }
}

fn key(kind: SourceKind, object: &DynamicObject) -> Key {
    let text = |t: &Option<String>| t.clone().unwrap_or_default();
    (kind, text(&object.metadata.namespace), text(&object.metadata.name))
}

/// `AdmissionPolicy/require-labels`, `PolicyException/shop/legacy`
fn id((kind, namespace, name): &Key) -> Arc<str> {
    let slash = if namespace.is_empty() { "" } else { "/" };
    format!("{}/{namespace}{slash}{name}", kind.as_str()).into()
}
