//! The facts of the live cluster: the objects of the kinds that policies read, each kept by one watch.
//!
//! A request is answered from memory, but for two questions that memory cannot answer: a Namespace so new that its watch
//! has not brought it (`missing`), and the `authorizer` variable. What is not known yet is "not ready", which counts under a policy's
//! failurePolicy, and never "absent".

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use prometheus_client::registry::Registry;
use stockade_cel::Value;
use stockade_cel::authorizer::Authorizer;
use stockade_cel::document::decode;
use stockade_engine::facts::{ClusterFacts, Fact, Into, Kind, MAX_LISTED, NAMESPACE};
use stockade_policy::compiled::ParamKind;
use tokio::runtime::Handle;
use tokio::sync::broadcast;
use tokio_util::task::AbortOnDropHandle;

use crate::access::Access;
use crate::authorizer::AccessReviews;
use crate::resources::Resources;
use crate::store::{State, Store, Version};

pub use crate::store::{NotReady, What};

use self::keep::{Keeper, keep};
use self::metrics::FactsMetrics;
use self::missing::{Found, Missing};

mod keep;
mod metrics;
mod missing;

/// Most kinds that are watched at once, Namespaces among them. Each costs a connection's stream here and in the API
/// server; policies that read more are not ready, and say so.
pub const MAX_KINDS: usize = 100;

/// Changes that a receiver may be behind. One that lags further learns that it did and has to look at everything anew:
/// a new list of a large kind can change more objects than anybody should queue.
const MAX_CHANGES_BEHIND: usize = 4_096;

/// What the cluster holds of the kinds that policies read. Cheap to clone; the watches end with the last clone.
#[derive(Clone)]
pub struct LiveFacts {
    shared: Arc<Shared>,
}

/// One change of an object of a kind that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its kind.
    pub kind: Arc<ParamKind>,
    /// Its namespace; empty for a cluster-scoped kind, and when `what` is [`What::All`].
    pub namespace: String,
    /// Its name; empty when `what` is [`What::All`].
    pub name: String,
    /// What happened to it.
    pub what: What,
}

struct Shared {
    access: Access,
    resources: Resources,
    /// Sorted by apiVersion and kind; few enough to be searched.
    held: ArcSwap<Vec<Arc<Held>>>,
    /// Taken by whoever changes `held`.
    holding: Mutex<()>,
    changes: broadcast::Sender<Change>,
    metrics: FactsMetrics,
    missing: Missing,
    authorizer: AccessReviews,
}

/// One kind with its watch, which ends when the kind is let go.
struct Held {
    kind: Arc<ParamKind>,
    store: Arc<Store>,
    _watch: AbortOnDropHandle<()>,
}

// === impl LiveFacts ===

impl LiveFacts {
    /// Starts to watch Namespaces and what is served. Call within a multi-thread runtime.
    pub fn new(access: &Access, registry: &mut Registry) -> Self {
        let shared = Shared {
            access: access.clone(),
            resources: Resources::new(access),
            held: ArcSwap::default(),
            holding: Mutex::default(),
            changes: broadcast::Sender::new(MAX_CHANGES_BEHIND),
            metrics: FactsMetrics::register(registry),
            missing: Missing::new(access.client.clone(), Handle::current()),
            authorizer: AccessReviews::new(access.client.clone(), Handle::current(), registry),
        };
        let facts = Self { shared: Arc::new(shared) };
        facts.hold(&[]);
        facts
    }

    /// What the API server serves.
    pub fn resources(&self) -> &Resources {
        &self.shared.resources
    }

    /// Watches exactly these kinds beside Namespaces: new ones are begun, others let go. One that is not served is
    /// "not ready" until it is, and then begins by itself. Those beyond [`MAX_KINDS`] are not held, and an error is
    /// logged.
    pub fn hold(&self, kinds: &[ParamKind]) {
        let _holding = self.shared.holding.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wanted: Vec<ParamKind> = kinds.to_vec();
        wanted.push(namespaces());
        wanted.sort_by(|a, b| key(a).cmp(&key(b)));
        wanted.dedup();
        if wanted.len() > MAX_KINDS {
            tracing::error!(kinds = wanted.len(), MAX_KINDS, "policies read too many kinds, some are not watched");
            // Namespaces are never among those that are left out.
            let mut others = 0;
            wanted.retain(|kind| {
                others += usize::from(*kind != namespaces());
                others < MAX_KINDS || *kind == namespaces()
            });
        }
        let before = self.shared.held.load_full();
        let held: Vec<_> = wanted
            .into_iter()
            .map(|kind| match before.iter().find(|h| *h.kind == kind) {
                Some(held) => Arc::clone(held),
                None => Arc::new(self.begin(kind)),
            })
            .collect();
        for gone in before.iter().filter(|old| !held.iter().any(|h| h.kind == old.kind)) {
            self.shared.metrics.forget(&gone.kind);
        }
        self.shared.held.store(Arc::new(held));
    }

    fn begin(&self, kind: ParamKind) -> Held {
        let kind = Arc::new(kind);
        let (store, writer) = Store::new();
        let keeper = Keeper {
            kind: Arc::clone(&kind),
            client: self.shared.access.client.clone(),
            resources: self.shared.resources.clone(),
            changes: self.shared.changes.clone(),
            metrics: self.shared.metrics.of_kind(&kind),
        };
        Held { kind, store, _watch: AbortOnDropHandle::new(tokio::spawn(keep(keeper, writer))) }
    }

    /// Waits until objects of all these kinds are known, at most `timeout`, and gives those that are not. A kind that
    /// is not held never is.
    pub async fn synced(&self, kinds: &[ParamKind], timeout: Duration) -> Vec<ParamKind> {
        let held = self.shared.held.load_full();
        let ready = kinds.iter().map(async |kind| {
            let Some(held) = find(&held, key(kind)) else { return Some(kind.clone()) };
            let wait = tokio::time::timeout(timeout, held.store.wait_until(|_| true));
            wait.await.is_err().then(|| kind.clone())
        });
        join_all(ready).await.into_iter().flatten().collect()
    }

    /// Why nothing can be said of a kind; none when its objects are known.
    pub fn not_ready(&self, kind: &ParamKind) -> Option<NotReady> {
        let held = self.shared.held.load();
        let Some(held) = find(&held, key(kind)) else { return Some(NotReady::NotHeld) };
        match &**held.store.state() {
            State::Ready(_) => None,
            State::NotReady(why) => Some(*why),
        }
    }

    /// Changes from now on. Whoever is too slow gets [`broadcast::error::RecvError::Lagged`] and has to take it that
    /// anything may have changed.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.shared.changes.subscribe()
    }

    /// Asks a version of the kind's objects, if they are known.
    fn read<T>(&self, kind: Kind<'_>, ask: impl FnOnce(&Version) -> T) -> Fact<T> {
        let held = self.shared.held.load();
        let Some(held) = find(&held, (kind.api_version, kind.kind)) else { return Fact::NotReady };
        match &**held.store.state() {
            State::Ready(version) => Fact::Known(ask(version)),
            State::NotReady(_) => Fact::NotReady,
        }
    }
}

impl ClusterFacts for LiveFacts {
    fn get<'a>(&self, kind: Kind<'_>, namespace: &str, name: &str, into: Into<'a>) -> Fact<Option<Value<'a>>> {
        self.read(kind, |version| version.get(namespace, name, into.arena).map(|json| decoded(json, into)))
    }

    fn namespace_of_request<'a>(&self, name: &str, into: Into<'a>) -> Fact<Option<Value<'a>>> {
        let fact = self.get(NAMESPACE, "", name, into);
        if !matches!(fact, Fact::Known(None)) || name.is_empty() {
            return fact;
        }
        let held = self.shared.held.load();
        let Some(held) = find(&held, (NAMESPACE.api_version, NAMESPACE.kind)) else { return Fact::NotReady };
        match self.shared.missing.look(&held.store, name) {
            Some(Found::InStore) => self.get(NAMESPACE, "", name, into),
            Some(Found::Stored(namespace)) => Fact::Known(Some(decoded(namespace.json(), into))),
            Some(Found::Absent) => Fact::Known(None),
            None => Fact::NotReady,
        }
    }

    fn list<'a>(&self, kind: Kind<'_>, namespace: &str, into: Into<'a>) -> Fact<&'a [Value<'a>]> {
        self.read(kind, |version| {
            let mut values = bumpalo::collections::Vec::new_in(into.arena);
            let listed = version.list(namespace, into.arena).take(MAX_LISTED + 1);
            values.extend(listed.map(|json| decoded(json, into)));
            values.into_bump_slice() as &[Value<'a>]
        })
    }

    fn namespaced(&self, kind: Kind<'_>) -> Option<bool> {
        let snapshot = self.shared.resources.snapshot()?;
        let kind = ParamKind { api_version: kind.api_version.to_owned(), kind: kind.kind.to_owned() };
        snapshot.of_kind(&kind).map(|served| served.namespaced)
    }

    fn authorizer(&self) -> Option<&dyn Authorizer> {
        Some(&self.shared.authorizer)
    }
}

fn namespaces() -> ParamKind {
    ParamKind { api_version: NAMESPACE.api_version.to_owned(), kind: NAMESPACE.kind.to_owned() }
}

fn key(kind: &ParamKind) -> (&str, &str) {
    (&kind.api_version, &kind.kind)
}

fn find<'h>(held: &'h [Arc<Held>], wanted: (&str, &str)) -> Option<&'h Arc<Held>> {
    let found = held.binary_search_by(|h| key(&h.kind).cmp(&wanted));
    found.ok().and_then(|at| held.get(at))
}

/// An object in the request's arena. One that nests too deep to be decoded reads as null, on which every selection
/// errs: it is there, and nothing can be said of it.
fn decoded<'a>(json: &[u8], into: Into<'a>) -> Value<'a> {
    decode(into.arena.alloc_slice_copy(json), into.arena, into.symbols).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests;
