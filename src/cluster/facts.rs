//! The facts of the live cluster: the objects that policies read, held by watches of no more than those (`scope`).
//!
//! A request is answered from memory, but for two questions that memory cannot answer: a Namespace so new that its watch
//! has not brought it (`missing`), and the `authorizer` variable. What is not known yet is "not ready", which counts under a policy's
//! failurePolicy, and never "absent".

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use futures_util::future::{join_all, select_all};
use prometheus_client::registry::Registry;
use stockade_cel::Value;
use stockade_cel::authorizer::Authorizer;
use stockade_cel::document::decode;
use stockade_engine::facts::{ClusterFacts, Fact, Into, Kind, MAX_LISTED, NAMESPACE};
use stockade_policy::compiled::ParamKind;
use stockade_policy::selector::LabelSelector;
use tokio::runtime::Handle;
use tokio::sync::broadcast;
use tokio_util::task::AbortOnDropHandle;

use crate::access::Access;
use crate::authorizer::AccessReviews;
use crate::resources::Resources;
use crate::store::{Limits, State, Store, Version};

pub use self::scope::{Read, Scope};
pub use crate::store::{NotReady, What};

use self::keep::{Keeper, keep};
use self::metrics::{FactsMetrics, KindMetrics, WatchMetrics};
use self::missing::{Found, Missing};
use self::scope::Asked;

mod keep;
mod metrics;
mod missing;
pub(crate) mod reads;
mod scope;

/// Most kinds that are watched at once, Namespaces among them, each in a few scopes. A watch costs a connection's stream
/// here and in the API server; policies that read more are not ready, and say so.
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

/// One kind with what is held of it; never nothing.
struct Held {
    kind: Arc<ParamKind>,
    metrics: Arc<KindMetrics>,
    watches: Vec<Arc<Watch>>,
}

/// Some objects of a kind, with their watch, which ends when they are let go.
struct Watch {
    scope: Scope,
    store: Arc<Store>,
    _task: AbortOnDropHandle<()>,
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

    /// Watches exactly this beside Namespaces: what is new is begun, the rest let go. A kind that is not served is "not
    /// ready" until it is, and then begins by itself. Kinds beyond [`MAX_KINDS`] are not held, and an error is logged.
    pub fn hold<'r>(&self, reads: impl IntoIterator<Item = &'r Read>) {
        let _holding = self.shared.holding.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wanted: BTreeMap<Arc<ParamKind>, BTreeSet<&Scope>> = BTreeMap::new();
        for read in reads {
            wanted.entry(Arc::clone(&read.kind)).or_default().insert(&read.scope);
        }
        wanted.entry(Arc::new(namespaces())).or_default().insert(&Scope::ALL);
        if wanted.len() > MAX_KINDS {
            tracing::error!(kinds = wanted.len(), MAX_KINDS, "policies read too many kinds, some are not watched");
            // Namespaces are never among those that are left out.
            let mut others = 0;
            wanted.retain(|kind, _| {
                others += usize::from(**kind != namespaces());
                others < MAX_KINDS || **kind == namespaces()
            });
        }
        let before = self.shared.held.load_full();
        let held: Vec<_> = wanted
            .into_iter()
            .map(|(kind, scopes)| {
                let known = before.iter().find(|h| h.kind == kind);
                let metrics = known.map_or_else(|| self.shared.metrics.of_kind(&kind), |h| Arc::clone(&h.metrics));
                let watches = scopes.into_iter().map(|scope| {
                    let known = known.and_then(|h| h.watches.iter().find(|w| w.scope == *scope));
                    known.map_or_else(|| Arc::new(self.begin(&kind, scope, &metrics)), Arc::clone)
                });
                Arc::new(Held { watches: watches.collect(), kind, metrics })
            })
            .collect();
        for gone in before.iter().filter(|old| !held.iter().any(|h| h.kind == old.kind)) {
            self.shared.metrics.forget(&gone.kind);
        }
        self.shared.held.store(Arc::new(held));
    }

    fn begin(&self, kind: &Arc<ParamKind>, scope: &Scope, metrics: &Arc<KindMetrics>) -> Watch {
        let limits = if scope.namespace().is_some() { Limits::ONE_NAMESPACE } else { Limits::MANY_NAMESPACES };
        let (store, writer) = Store::new(limits);
        let keeper = Keeper {
            read: Read { kind: Arc::clone(kind), scope: scope.clone() },
            client: self.shared.access.client.clone(),
            resources: self.shared.resources.clone(),
            changes: self.shared.changes.clone(),
            metrics: WatchMetrics::new(metrics),
        };
        Watch { scope: scope.clone(), store, _task: AbortOnDropHandle::new(tokio::spawn(keep(keeper, writer))) }
    }

    /// Waits until all of this is known, at most `timeout`, and gives what is not. What is not held never is.
    pub async fn synced<'r>(&self, reads: impl IntoIterator<Item = &'r Read>, timeout: Duration) -> BTreeSet<Read> {
        let held = self.shared.held.load_full();
        let ready = reads.into_iter().map(async |read| {
            let covering = covering(&held, read);
            let known = covering.iter().map(|watch| watch.store.wait_until(|_| true).boxed());
            let known = async {
                match covering.is_empty() {
                    true => std::future::pending().await,
                    false => drop(select_all(known).await),
                }
            };
            tokio::time::timeout(timeout, known).await.is_err().then(|| read.clone())
        });
        join_all(ready).await.into_iter().flatten().collect()
    }

    /// Why nothing can be said of what somebody reads; none when it is known.
    pub fn not_ready(&self, read: &Read) -> Option<NotReady> {
        let held = self.shared.held.load();
        let mut why = Some(NotReady::NotHeld);
        for watch in covering(&held, read) {
            match &**watch.store.state() {
                State::Ready(_) => return None,
                State::NotReady(reason) => why = Some(*reason),
            }
        }
        why
    }

    /// Changes from now on. Whoever is too slow gets [`broadcast::error::RecvError::Lagged`] and has to take it that
    /// anything may have changed.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.shared.changes.subscribe()
    }

    /// Asks a version of the objects of a place, if somebody watches for all that is asked for and knows it.
    fn read<T>(&self, kind: Kind<'_>, namespace: &str, asked: Asked<'_>, ask: impl FnOnce(&Version) -> T) -> Fact<T> {
        let held = self.shared.held.load();
        let Some(held) = find(&held, (kind.api_version, kind.kind)) else { return Fact::NotReady };
        for watch in held.watches.iter().filter(|watch| watch.scope.answers(namespace, asked)) {
            match &**watch.store.state() {
                State::Ready(version) if version.is_whole(namespace) => return Fact::Known(ask(version)),
                State::Ready(_) | State::NotReady(_) => {}
            }
        }
        Fact::NotReady
    }

    fn listed<'a>(&self, kind: Kind<'_>, namespace: &str, asked: Asked<'_>, into: Into<'a>) -> Fact<&'a [Value<'a>]> {
        self.read(kind, namespace, asked, |version| {
            let mut values = bumpalo::collections::Vec::new_in(into.arena);
            let listed = version.list(namespace, into.arena).take(MAX_LISTED + 1);
            values.extend(listed.map(|json| decoded(json, into)));
            values.into_bump_slice() as &[Value<'a>]
        })
    }
}

impl ClusterFacts for LiveFacts {
    fn get<'a>(&self, kind: Kind<'_>, namespace: &str, name: &str, into: Into<'a>) -> Fact<Option<Value<'a>>> {
        self.read(kind, namespace, Asked::Named(name), |version| {
            version.get(namespace, name, into.arena).map(|json| decoded(json, into))
        })
    }

    fn namespace_of_request<'a>(&self, name: &str, into: Into<'a>) -> Fact<Option<Value<'a>>> {
        let fact = self.get(NAMESPACE, "", name, into);
        if !matches!(fact, Fact::Known(None)) || name.is_empty() {
            return fact;
        }
        let held = self.shared.held.load();
        let held = find(&held, (NAMESPACE.api_version, NAMESPACE.kind));
        let Some(watch) = held.and_then(|h| h.watches.iter().find(|w| w.scope == Scope::ALL)) else {
            return Fact::NotReady;
        };
        match self.shared.missing.look(&watch.store, name) {
            Some(Found::InStore) => self.get(NAMESPACE, "", name, into),
            Some(Found::Stored(namespace)) => Fact::Known(Some(decoded(namespace.json(), into))),
            Some(Found::Absent) => Fact::Known(None),
            None => Fact::NotReady,
        }
    }

    fn list<'a>(&self, kind: Kind<'_>, namespace: &str, into: Into<'a>) -> Fact<&'a [Value<'a>]> {
        self.listed(kind, namespace, Asked::All, into)
    }

    fn select<'a>(
        &self,
        kind: Kind<'_>,
        namespace: &str,
        selector: &LabelSelector,
        into: Into<'a>,
    ) -> Fact<&'a [Value<'a>]> {
        self.listed(kind, namespace, Asked::Labelled(selector), into)
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

/// Those that hold all of what somebody reads.
fn covering<'h>(held: &'h [Arc<Held>], read: &Read) -> Vec<&'h Arc<Watch>> {
    let watches = find(held, key(&read.kind)).into_iter().flat_map(|h| &h.watches);
    watches.filter(|watch| watch.scope.covers(&read.scope)).collect()
}

/// An object in the request's arena. One that nests too deep to be decoded reads as null, on which every selection
/// errs: it is there, and nothing can be said of it.
fn decoded<'a>(json: &[u8], into: Into<'a>) -> Value<'a> {
    decode(into.arena.alloc_slice_copy(json), into.arena, into.symbols).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests;
