//! A list of one resource, page by page: of all namespaces, or of one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::follow::Markers;
use super::kinds::Kind;
use super::page::{Judged, PAGE_OBJECTS, PageError, Position};
use super::results::{MAX_UNIT_RESULTS, Unit};

/// A list that has begun.
pub(crate) struct Pass {
    pub(crate) resource: Arc<str>,
    pub(crate) kind: Arc<Kind>,
    pub(crate) position: Position,
    /// What was found so far, by namespace.
    pub(crate) units: BTreeMap<Arc<str>, Unit>,
    /// Namespaces that were judged on their own since: what this list says of them may be older.
    pub(crate) newer: BTreeSet<Arc<str>>,
    pub(crate) markers: Arc<Markers>,
}

/// How a list goes on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// There are more pages.
    Page,
    /// It is complete, as of this version.
    Done(String),
    /// It cannot be listed by this process.
    Denied,
}

// === impl Pass ===

impl Pass {
    /// Begins a list of a resource; of one namespace when one is named.
    pub(crate) fn new(resource: Arc<str>, kind: Arc<Kind>, markers: Arc<Markers>, namespace: Option<Arc<str>>) -> Self {
        // Cluster-scoped objects are listed as a whole.
        let namespace = namespace.filter(|n| !n.is_empty());
        let position = Position { namespace, token: None, limit: PAGE_OBJECTS };
        Self { resource, kind, position, units: BTreeMap::new(), newer: BTreeSet::new(), markers }
    }

    /// Takes what a page held.
    pub(crate) fn take(&mut self, judged: Judged) -> Next {
        for (namespace, unit) in judged.units {
            self.units.entry(namespace).or_default().merge(unit);
        }
        for (uid, marker) in judged.markers {
            self.markers.set(&uid, marker);
        }
        self.position.token = judged.token;
        if self.position.token.is_some() { Next::Page } else { Next::Done(judged.resource_version) }
    }

    /// Says what to do after a page that did not come.
    ///
    /// # Errors
    /// It may come when it is asked for again, later.
    pub(crate) fn failed(&mut self, error: PageError) -> Result<Next, PageError> {
        match error {
            PageError::Expired => {
                self.units.clear();
                self.position.token = None;
                Ok(Next::Page)
            }
            PageError::TooLong | PageError::NoList(_) | PageError::Judge(_) if self.position.limit > 1 => {
                self.position.limit = (self.position.limit / 4).max(1);
                Ok(Next::Page)
            }
            PageError::Denied { code } => {
                tracing::warn!(resource = %self.resource, code, "resource cannot be listed and is not audited");
                Ok(Next::Denied)
            }
            // One object that cannot be read must not be asked for for ever while all others wait.
            PageError::TooLong | PageError::NoList(_) | PageError::Judge(_) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(resource = %self.resource, error, "an object cannot be judged: its resource is not audited");
                Ok(Next::Denied)
            }
            other => Err(other),
        }
    }
}

// === impl Unit ===

impl Unit {
    fn merge(&mut self, other: Self) {
        self.objects += other.objects;
        self.counts.add(other.counts);
        for (exception, waived) in other.waived {
            self.waived.entry(exception).or_default().add(waived);
        }
        let room = MAX_UNIT_RESULTS.saturating_sub(self.found.len());
        self.found.extend(other.found.into_iter().take(room));
        self.reads.extend(other.reads);
        self.unavailable |= other.unavailable;
    }
}
