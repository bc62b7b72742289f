//! What the API server serves: its resources by kind, and which of them hold the same objects.
//!
//! Aggregated discovery (KEP-3352, two requests) tells of all resources; it is asked again when an APIService changes,
//! and now and then. Custom resources are known from their definitions themselves, whose watch tells at once that one
//! came or went, where discovery lags behind.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::core::{ApiResource, PartialObjectMeta};
use kube::runtime::watcher::{Config, Event};
use kube::{Api, Client};
use stockade_engine::equivalents::Equivalents;
use stockade_policy::compiled::ParamKind;
use stockade_watch::watch;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::access::Access;

use self::definitions::{Definitions, Written};
use self::discovery::discover;

mod definitions;
mod discovery;

/// Changes within this time are answered by one discovery: installing a product brings dozens of APIServices.
const SETTLE: Duration = Duration::from_secs(1);
/// Discovery is asked again after this time though nothing changed: an aggregated API server changes unseen.
const REFRESH: Duration = Duration::from_secs(300);
/// Pause after a discovery that failed.
const RETRY: Duration = Duration::from_secs(2);

/// What is served, kept fresh. Cheap to clone; the watch ends with the last clone.
#[derive(Clone)]
pub struct Resources {
    latest: watch::Receiver<Option<Arc<Snapshot>>>,
    equivalents: watch::Receiver<Option<Arc<Equivalents>>>,
    _task: Arc<AbortOnDropHandle<()>>,
}

/// What is served at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// Sorted by group, version and kind, each once.
    served: Vec<Served>,
    definitions: Arc<[definitions::Definition]>,
}

/// One resource in one version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Served {
    /// Empty for core.
    pub group: String,
    /// `v1`
    pub version: String,
    /// `NetworkPolicy`
    pub kind: String,
    /// `networkpolicies`
    pub plural: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// `get`, `list`, `watch`, …, sorted.
    pub verbs: Vec<String>,
}

// === impl Resources ===

impl Resources {
    /// Starts to ask and to watch.
    pub fn new(access: &Access) -> Self {
        let (snapshots, latest) = watch::channel(None);
        let (versions, equivalents) = watch::channel(None);
        let task = tokio::spawn(keep(access.client.clone(), Publish { snapshots, versions }));
        Self { latest, equivalents, _task: Arc::new(AbortOnDropHandle::new(task)) }
    }

    /// What is served now; none before the first discovery.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.latest.borrow().clone()
    }

    /// What is served, once that is known. Ends only then: bound the wait.
    pub async fn ready(&self) -> Arc<Snapshot> {
        let mut latest = self.latest.clone();
        loop {
            if let Some(snapshot) = latest.borrow_and_update().clone() {
                return snapshot;
            }
            if latest.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Which resources hold the same objects: the built-in ones, and the versions of each CustomResourceDefinition. As
    /// the API server has it, versions count that the definition names but no longer serves. None before the first
    /// discovery; a change is told only when something else has become equivalent.
    pub fn equivalents(&self) -> watch::Receiver<Option<Arc<Equivalents>>> {
        self.equivalents.clone()
    }

    /// Tells of each change; holds the newest.
    pub fn changes(&self) -> watch::Receiver<Option<Arc<Snapshot>>> {
        self.latest.clone()
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// The resource that holds the objects of a kind (`v1`, `apps/v1`); one that can be watched, if there is one.
    pub fn of_kind(&self, kind: &ParamKind) -> Option<&Served> {
        let (group, version) = kind.api_version.split_once('/').unwrap_or(("", &kind.api_version));
        let wanted = (group, version, kind.kind.as_str());
        let key = |s: &Served| (s.group.as_str(), s.version.as_str(), s.kind.as_str()).cmp(&wanted);
        let from = self.served.partition_point(|s| key(s).is_lt());
        let mut found = self.served[from..].iter().take_while(|s| key(s).is_eq());
        let first = found.clone().next();
        found.find(|s| s.has_verb("watch")).or(first)
    }

    fn equivalents(&self) -> Equivalents {
        let mut all = Equivalents::builtin();
        for definition in &*self.definitions {
            for subresource in ["", "status", "scale"] {
                let list = definition.equivalents(subresource);
                all.insert(&definition.group, &definition.plural, subresource, list);
            }
        }
        all
    }

    /// All of them, sorted by group, version and kind.
    pub fn served(&self) -> &[Served] {
        &self.served
    }
}

// === impl Served ===

impl Served {
    /// Whether it can be asked for this.
    pub fn has_verb(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| v == verb)
    }

    /// As the client names it.
    pub fn api_resource(&self) -> ApiResource {
        let api_version = match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        };
        ApiResource {
            group: self.group.clone(),
            version: self.version.clone(),
            api_version,
            kind: self.kind.clone(),
            plural: self.plural.clone(),
        }
    }
}

/// Asks and watches for ever.
async fn keep(client: Client, publish: Publish) {
    let mut written = pin!(watch(Api::<Written>::all(client.clone()), Config::default()));
    let mut services = pin!(watch(Api::<PartialObjectMeta<APIService>>::all(client.clone()), Config::default()));
    let mut definitions = Definitions::default();
    let mut discovered = None;
    let mut due = Instant::now();
    loop {
        let is_news = tokio::select! {
            Some(event) = written.next() => definitions.take(event),
            Some(event) = services.next() => {
                if matches!(event, Event::Apply(_) | Event::Delete(_) | Event::InitDone) {
                    due = due.min(Instant::now() + SETTLE);
                }
                false
            }
            () = tokio::time::sleep_until(due) => match discover(&client).await {
                Ok(found) => {
                    definitions.forget_removed(&found);
                    discovered = Some(found);
                    due = Instant::now() + REFRESH;
                    true
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "discovery failed, trying again");
                    due = Instant::now() + RETRY;
                    false
                }
            },
        };
        if let Some(found) = discovered.as_ref().filter(|_| is_news && definitions.are_complete()) {
            publish.news(definitions.merge(found));
        }
    }
}

/// Where news go.
struct Publish {
    snapshots: watch::Sender<Option<Arc<Snapshot>>>,
    versions: watch::Sender<Option<Arc<Equivalents>>>,
}

// === impl Publish ===

impl Publish {
    fn news(&self, snapshot: Snapshot) {
        replace(&self.versions, snapshot.equivalents());
        replace(&self.snapshots, snapshot);
    }
}

/// Tells of a value when it is another than before.
fn replace<T: PartialEq>(to: &watch::Sender<Option<Arc<T>>>, value: T) {
    to.send_if_modified(|last| {
        let differs = last.as_deref() != Some(&value);
        if differs {
            *last = Some(Arc::new(value));
        }
        differs
    });
}
