//! What node agents saw pass within the last hour, for reports and for what is said of a changed policy.
//!
//! ```text
//! FlowSummaries ─┐                             ┌─ what audited policies would deny ─ results in Reports (audit)
//! policies ──────┼─ gathered, every few seconds ┤
//! namespaces ────┘                             └─ talks by namespace ─ warnings of admission ([`Flows::review`])
//! ```
//!
//! Every replica watches for itself. A summary that is older than its agent would let it become says nothing of now and is
//! left out; whoever is told hears of how many nodes that is.

mod gathered;
mod review;
mod would_deny;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Api;
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::watcher::Config;
use stockade_node::flow_summary::FlowSummary;
use stockade_policy::compiled::ParamKind;
use stockade_watch::followed::{Change, map};
use stockade_watch::watch as watch_objects;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use self::gathered::{Gathered, Told};
use crate::access::Access;
use crate::resources::Resources;

pub(crate) use gathered::Known;
#[cfg(test)]
pub(crate) use would_deny::PolicyName;
pub(crate) use would_deny::WouldDeny;

/// How long changes gather: what is made of them goes through all that agents told.
const GATHER: Duration = Duration::from_secs(5);
/// After this time it is looked at all the same: summaries grow old.
const LOOK: Duration = Duration::from_secs(60);
/// Longest wait for what there is to be known before others go on without.
const SYNC_WITHIN: Duration = Duration::from_secs(30);
/// Most events that are looked at together.
const MAX_EVENTS: usize = 1_000;

/// What is known now. Clones know the same.
#[derive(Debug, Clone)]
pub struct Flows(watch::Receiver<Arc<Known>>);

// === impl Flows ===

impl Flows {
    /// Starts to watch. All of it happens in the future, which does not end.
    pub fn watch(access: &Access, resources: &Resources) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (tell, known) = watch::channel(Arc::default());
        (Self(known), keep(access.clone(), resources.clone(), tell))
    }

    /// What there is to know of objects, as the API server has them, and nothing after them: FlowSummaries, Namespaces and
    /// policies of both kinds. What is of no such kind, or cannot be read, is left out.
    pub fn of(objects: impl IntoIterator<Item = serde_json::Value>) -> Self {
        let mut gathered = Gathered::default();
        for told in objects.into_iter().filter_map(Told::of) {
            gathered.take(told);
        }
        Self(watch::channel(Arc::new(gathered.known(Timestamp::now(), &Known::default()))).1)
    }

    pub(crate) fn known(&self) -> Arc<Known> {
        Arc::clone(&self.0.borrow())
    }

    /// What is known when it has changed.
    pub(crate) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// Waits until something is known, for a bounded time: a kind that is not served holds nobody up.
    pub(crate) async fn ready(&mut self) {
        // Either way there is nothing more to wait for.
        let _ = tokio::time::timeout(SYNC_WITHIN, self.0.wait_for(|known| known.is_complete)).await;
    }
}

async fn keep(access: Access, resources: Resources, tell: watch::Sender<Arc<Known>>) {
    let client = access.client;
    let summaries = watch_objects(Api::<FlowSummary>::all(client.clone()), Config::default());
    let summaries = summaries.filter_map(|event| async { map(event, gathered::summary).map(Told::Summary) });
    let network = ApiResource::erase::<NetworkPolicy>(&());
    let network = watch_objects(Api::<DynamicObject>::all_with(client.clone(), &network), Config::default());
    let network = network.filter_map(|event| async { map(event, gathered::network_policy).map(Told::NetworkPolicy) });
    let cluster = stream::once(async { cluster_network_policies(&resources).await })
        .flat_map(|kind| watch_objects(Api::<DynamicObject>::all_with(client.clone(), &kind), Config::default()));
    let cluster = cluster
        .filter_map(|event| async { map(event, gathered::cluster_network_policy).map(Told::ClusterNetworkPolicy) });
    let namespaces = watch_objects(Api::<Namespace>::all(client.clone()), Config::default());
    let namespaces = namespaces.filter_map(|event| async { map(event, gathered::namespace).map(Told::Namespace) });
    let events = stream::select(stream::select(summaries, network), stream::select(cluster, namespaces));
    let mut events = pin!(events.ready_chunks(MAX_EVENTS));

    let mut gathered = Gathered::default();
    let mut due = Instant::now() + GATHER;
    let mut is_new = false;
    loop {
        tokio::select! {
            Some(told) = events.next() => {
                let changed = told.into_iter().map(|told| gathered.take(told)).filter(|c| *c != Change::Nothing).count() > 0;
                if changed && !is_new {
                    is_new = true;
                    due = due.min(Instant::now() + GATHER);
                }
            }
            () = sleep_until(due) => {
                let before = Arc::clone(&tell.borrow());
                let known = gathered.known(Timestamp::now(), &before);
                if known != *before {
                    tell.send_replace(Arc::new(known));
                }
                is_new = false;
                due = Instant::now() + LOOK;
            }
        }
    }
}

/// Waits until the API server has the kind.
async fn cluster_network_policies(resources: &Resources) -> ApiResource {
    let kind = ParamKind {
        api_version: "policy.networking.k8s.io/v1alpha2".to_owned(),
        kind: "ClusterNetworkPolicy".to_owned(),
    };
    let mut snapshots = resources.changes();
    loop {
        let served = snapshots.borrow_and_update().as_ref().and_then(|s| Some(s.of_kind(&kind)?.api_resource()));
        if let Some(resource) = served {
            return resource;
        }
        if snapshots.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

#[cfg(test)]
mod tests;
