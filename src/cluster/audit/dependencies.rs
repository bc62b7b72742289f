//! What a judgement read of the cluster beside the object, so that a change there leads to it again and to nothing
//! else.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use stockade_cel::Value;
use stockade_cel::authorizer::Authorizer;
use stockade_engine::facts::{ClusterFacts, Fact, Into, Kind};
use stockade_engine::images::ImageFacts;
use stockade_policy::selector::LabelSelector;

use crate::facts::{Change, What};

/// Most reads that are remembered of one kind in one namespace; more than that counts as everything.
const MAX_READS: usize = 64;

/// Reads of the objects of one kind in one namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reads {
    set: BTreeSet<Read>,
    /// There were more than are remembered.
    everything: bool,
}

/// One read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Read {
    api_version: String,
    kind: String,
    what: Part,
}

/// Which objects of the kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// All of them.
    All,
    /// Those of a namespace.
    Namespace(String),
    /// One that is in no namespace.
    Name(String),
}

/// Facts that remember what was asked of them.
pub(crate) struct Recording<'f> {
    facts: &'f dyn ClusterFacts,
    reads: Mutex<Reads>,
}

// === impl Reads ===

impl Reads {
    /// Whether a change can change a judgement that read this.
    pub(crate) fn concern(&self, change: &Change) -> bool {
        let of_kind = |r: &&Read| (&r.api_version, &r.kind) == (&change.kind.api_version, &change.kind.kind);
        self.everything || self.set.iter().filter(of_kind).any(|read| read.what.concerns(change))
    }

    /// Adds those of another object.
    pub(crate) fn extend(&mut self, other: Self) {
        self.everything |= other.everything;
        for read in other.set {
            self.add(read);
        }
    }

    fn add(&mut self, read: Read) {
        if self.set.len() < MAX_READS {
            self.set.insert(read);
        } else {
            self.everything |= !self.set.contains(&read);
        }
    }
}

impl Part {
    /// A namespace; all when it is empty.
    fn all_of(namespace: &str) -> Self {
        match namespace {
            "" => Self::All,
            namespace => Self::Namespace(namespace.to_owned()),
        }
    }

    fn concerns(&self, change: &Change) -> bool {
        change.what == What::All
            || match self {
                Self::All => true,
                Self::Namespace(namespace) => change.namespace == *namespace,
                Self::Name(name) => change.namespace.is_empty() && change.name == *name,
            }
    }
}

// === impl Recording ===

impl<'f> Recording<'f> {
    /// Remembers from now on.
    pub(crate) fn new(facts: &'f dyn ClusterFacts) -> Self {
        Self { facts, reads: Mutex::default() }
    }

    /// What was read since the last time.
    pub(crate) fn take(&self) -> Reads {
        std::mem::take(&mut self.reads.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, kind: Kind<'_>, what: Part) {
        let read = Read { api_version: kind.api_version.to_owned(), kind: kind.kind.to_owned(), what };
        self.reads.lock().unwrap_or_else(PoisonError::into_inner).add(read);
    }
}

impl ClusterFacts for Recording<'_> {
    fn get<'a>(&self, kind: Kind<'_>, namespace: &str, name: &str, into: Into<'a>) -> Fact<Option<Value<'a>>> {
        let what = match namespace {
            "" => Part::Name(name.to_owned()),
            namespace => Part::Namespace(namespace.to_owned()),
        };
        self.note(kind, what);
        self.facts.get(kind, namespace, name, into)
    }

    fn list<'a>(&self, kind: Kind<'_>, namespace: &str, into: Into<'a>) -> Fact<&'a [Value<'a>]> {
        self.note(kind, Part::all_of(namespace));
        self.facts.list(kind, namespace, into)
    }

    fn select<'a>(
        &self,
        kind: Kind<'_>,
        namespace: &str,
        selector: &LabelSelector,
        into: Into<'a>,
    ) -> Fact<&'a [Value<'a>]> {
        self.note(kind, Part::all_of(namespace));
        self.facts.select(kind, namespace, selector, into)
    }

    fn namespaced(&self, kind: Kind<'_>) -> Option<bool> {
        self.facts.namespaced(kind)
    }

    fn images(&self) -> Option<&dyn ImageFacts> {
        self.facts.images()
    }

    /// Nobody asks: there is no user to ask about.
    fn authorizer(&self) -> Option<&dyn Authorizer> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bumpalo::Bump;
    use stockade_cel::Symbols;
    use stockade_engine::folder_facts::FolderFacts;
    use stockade_policy::compiled::ParamKind;

    use super::*;

    fn change(api_version: &str, kind: &str, namespace: &str, name: &str) -> Change {
        let kind = Arc::new(ParamKind { api_version: api_version.to_owned(), kind: kind.to_owned() });
        Change { kind, namespace: namespace.to_owned(), name: name.to_owned(), what: What::Created }
    }

    #[test]
    fn a_change_concerns_who_read_the_namespace_or_the_object() {
        let (facts, arena, symbols) = (FolderFacts::default(), Bump::new(), Symbols::new());
        let into = Into { arena: &arena, symbols: &symbols };
        let recording = Recording::new(&facts);
        let _ = recording.get(Kind { api_version: "v1", kind: "Namespace" }, "", "shop", into);
        let _ = recording.list(Kind { api_version: "networking.k8s.io/v1", kind: "NetworkPolicy" }, "shop", into);
        let reads = recording.take();
        let concerned = [
            change("v1", "Namespace", "", "shop"),
            change("v1", "Namespace", "", "bank"),
            change("networking.k8s.io/v1", "NetworkPolicy", "shop", "any"),
            change("networking.k8s.io/v1", "NetworkPolicy", "bank", "any"),
            change("v1", "ConfigMap", "shop", "any"),
        ]
        .map(|c| reads.concern(&c));
        assert_eq!(concerned, [true, false, true, false, false]);
        assert_eq!(recording.take(), Reads::default());
    }

    #[test]
    fn who_read_too_much_to_remember_is_concerned_by_everything() {
        let (facts, arena, symbols) = (FolderFacts::default(), Bump::new(), Symbols::new());
        let recording = Recording::new(&facts);
        for n in 0..=MAX_READS {
            let into = Into { arena: &arena, symbols: &symbols };
            let _ = recording.list(Kind { api_version: "v1", kind: "Secret" }, &format!("n-{n}"), into);
        }
        assert!(recording.take().concern(&change("v1", "ConfigMap", "x", "y")));
    }
}
