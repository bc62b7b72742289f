//! Who has which address, for node agents: the leader writes IdentitySlices, so that no agent watches all Pods.
//!
//! ```text
//! Pods ── by namespace, labels, named ports ── addresses of each ─┐
//! slices as they are stored ──────────────────────────────────────┴─ packed ─ what differs is written
//! ```
//!
//! Nothing is written before both have been seen whole, so a new leader finds what its predecessor left right, and what
//! no Pod stands behind any more is taken away only when that is known. Writes go over exactly the version that was read:
//! of two that believe to lead, one is refused. One write follows the other, so that an address which moves is never
//! told twice in the wrong order.

mod metrics;
mod packing;
mod pod;
mod pods;
mod queue;
mod slices;

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::core::ApiResource;
use kube::runtime::watcher::Config;
use kube::{Api, ResourceExt as _};
use prometheus_client::registry::Registry;
use stockade_node::identity_slice::IdentitySlice;
use tokio::time::{Instant, sleep_until};

use self::metrics::IdentityMetrics;
use self::pods::Pods;
use self::queue::Queue;
use self::slices::{Change, Slices};
use crate::access::{Access, FIELD_MANAGER};
use crate::replicas::{Leadership, RequestError, bounded};
use stockade_node::pod::SeenPod;
use stockade_watch::watch;

/// The Pods that have an address of their own: one on its node's network has the node's, and one that is finished may
/// have lost its own to another. The API server leaves out the rest, and says of one that finishes that it is deleted.
const PODS: &str = "spec.hostNetwork=false,status.phase!=Succeeded,status.phase!=Failed";

/// Most events that are looked at together.
const MAX_EVENTS: usize = 1_000;

/// After this time all Pods are asked for again, where a namespace had to be let go of: it may be smaller by now.
const LOOK_AGAIN: Duration = Duration::from_secs(600);

/// Keeps the slices while this replica leads. All of it happens in the future, which ends only when leadership does for
/// ever.
pub fn keep(
    access: &Access,
    mut leadership: Leadership,
    registry: &mut Registry,
) -> impl Future<Output = ()> + Send + use<> {
    let metrics = IdentityMetrics::register(registry);
    let access = access.clone();
    async move {
        let mut lost = leadership.clone();
        while leadership.wait_for(|leads| *leads).await.is_ok() {
            let writer = Writer::new(&access, &metrics);
            tokio::select! {
                _ = lost.wait_for(|leads| !*leads) => {}
                () = writer.lead() => {}
            }
            metrics.forget();
        }
    }
}

/// One time of leading.
struct Writer<'i> {
    api: Api<IdentitySlice>,
    pods_api: Api<SeenPod>,
    metrics: &'i IdentityMetrics,
    pods: Pods,
    slices: Slices,
    queue: Queue,
    /// Both watches have brought all that there is.
    synced: bool,
    /// Since when somebody is let go of.
    cut: Option<Instant>,
}

// === impl Writer ===

impl<'i> Writer<'i> {
    fn new(access: &Access, metrics: &'i IdentityMetrics) -> Self {
        Self {
            api: Api::all(access.client.clone()),
            pods_api: Api::all_with(access.client.clone(), &ApiResource::erase::<Pod>(&())),
            metrics,
            pods: Pods::new(),
            slices: Slices::default(),
            queue: Queue::default(),
            synced: false,
            cut: None,
        }
    }

    /// Ends when all has to be looked at anew.
    async fn lead(mut self) {
        let pods = watch(self.pods_api.clone(), Config::default().fields(PODS));
        let mut pods = pin!(pods.ready_chunks(MAX_EVENTS));
        let mut slices = pin!(watch(self.api.clone(), Config::default()).ready_chunks(MAX_EVENTS));
        loop {
            let due = self.queue.next().filter(|_| self.synced);
            let anew = self.cut.map(|since| since + LOOK_AGAIN);
            tokio::select! {
                Some(events) = pods.next() => {
                    let (queue, now) = (&mut self.queue, Instant::now());
                    events.into_iter().for_each(|event| self.pods.take(event, |namespace| queue.mark(namespace, now)));
                }
                Some(events) = slices.next() => {
                    let (queue, now) = (&mut self.queue, Instant::now());
                    events.into_iter().for_each(|event| self.slices.take(event, |namespace| queue.mark(namespace, now)));
                }
                () = until(due) => self.write_next().await,
                () = until(anew) => return,
            }
            self.observe();
        }
    }

    /// What follows from what was seen.
    fn observe(&mut self) {
        if !self.synced && self.pods.is_synced() && self.slices.is_synced() {
            self.synced = true;
            let now = Instant::now();
            let namespaces: BTreeSet<&str> =
                self.pods.namespaces().map(|namespace| &**namespace).chain(self.slices.namespaces()).collect();
            namespaces.into_iter().for_each(|namespace| self.queue.mark(namespace, now));
            tracing::info!(pods = self.pods.len(), slices = self.slices.len(), "identities are kept by this replica");
        }
        if !self.pods.cut().is_empty() {
            self.cut.get_or_insert_with(Instant::now);
        }
        self.metrics.kept(self.pods.len(), self.slices.len(), self.pods.cut().len());
    }

    /// Writes what differs in the namespace that is due.
    async fn write_next(&mut self) {
        let Some((namespace, since)) = self.queue.take(Instant::now()) else { return };
        let changes = self.slices.changes(&namespace, &self.pods.wanted(&namespace));
        let has_changes = !changes.is_empty();
        for change in changes {
            let (what, slice) = change.parts();
            if let Err(error) = self.write(&change).await {
                self.metrics.failed(what);
                let (slice, error): (_, &dyn std::error::Error) = (slice.name_any(), &error);
                tracing::warn!(slice, what, error, "identities not written, trying again");
                return self.queue.again(namespace, since, Instant::now());
            }
            self.metrics.written(what);
        }
        self.queue.done(&namespace);
        if has_changes {
            self.metrics.took(since.elapsed());
        }
    }

    /// # Errors
    /// It was not taken, or somebody else wrote before: the watch brings what is there.
    async fn write(&mut self, change: &Change) -> Result<(), RequestError> {
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let stored = match change {
            Change::Create(slice) => bounded(self.api.create(&params, slice)).await?,
            Change::Replace(slice) => bounded(self.api.replace(&slice.name_any(), &params, slice)).await?,
            Change::Delete(slice) => {
                let (uid, resource_version) = (slice.uid(), slice.resource_version());
                let preconditions = Some(Preconditions { uid, resource_version });
                let params = DeleteParams { preconditions, ..DeleteParams::default() };
                match bounded(self.api.delete(&slice.name_any(), &params)).await {
                    Err(RequestError::Refused(kube::Error::Api(status))) if status.code == 404 => {}
                    answer => drop(answer?),
                }
                self.slices.forget(slice);
                return Ok(());
            }
        };
        self.slices.put(stored, |_| {});
        Ok(())
    }
}

/// Waits until then; for ever without a time.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

// === impl Change ===

impl Change {
    /// What is done to which slice.
    fn parts(&self) -> (&'static str, &IdentitySlice) {
        match self {
            Self::Create(slice) => ("create", slice),
            Self::Replace(slice) => ("replace", slice),
            Self::Delete(slice) => ("delete", slice),
        }
    }
}
