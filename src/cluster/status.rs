//! What became of the own objects, written into their status by the leader.
//!
//! ```text
//! own objects: generation, status ─┐
//! generations, replicas, facts, time ┴─ status as it should be ─ differs? ─ server-side apply of our fields
//! ```
//!
//! Written is only what differs, and what was written is known before the watch brings it, so no write causes another.
//! Other parts may write fields of their own beside these: the fields here belong to [`STATUS_MANAGER`].

mod conditions;
mod exception;
mod gaps;
mod group;
mod metrics;
mod objects;
mod policy;
mod view;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::select_all;
use jiff::Timestamp;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::DynamicObject;
use kube::runtime::watcher::Config;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::access::Access;
use crate::facts::{Change, LiveFacts};
use crate::policies::{Generations, SourceKind};
use crate::replicas::{Leadership, Replicas, RequestError, bounded};
use crate::watch::watch;
use metrics::StatusMetrics;
use objects::{Key, Objects, Seen};
use view::View;

/// Who owns the fields that are written here.
pub const STATUS_MANAGER: &str = "stockade-status";

/// The kinds whose status is written.
const KINDS: [SourceKind; 3] = [SourceKind::AdmissionPolicy, SourceKind::PolicyException, SourceKind::NamespaceGroup];

/// What changes within this time is looked at once.
const SETTLE: Duration = Duration::from_millis(100);

/// How often it is looked without a reason: time passes, and writes that failed are tried again.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Most writes between two looks; with [`SPACING`] fifty a second. The next look goes on where this one ended.
const MAX_WRITES: usize = 100;

/// Between two writes: a thousand policies that change at once are no reason to press the API server.
const SPACING: Duration = Duration::from_millis(20);

/// Most events of own objects that are looked at together.
const MAX_EVENTS: usize = 1_000;

/// What the status is made of.
pub struct Inputs {
    /// What is in force here.
    pub generations: Generations,
    /// Who else runs.
    pub replicas: Replicas,
    /// Whether this replica writes.
    pub leadership: Leadership,
    /// Namespaces, and NetworkPolicies where a group asks for them.
    pub facts: LiveFacts,
}

/// Keeps the status of the own objects while this replica leads. All of it happens in the future, which ends only when
/// an input does.
pub fn keep(access: &Access, inputs: Inputs, registry: &mut Registry) -> impl Future<Output = ()> + Send + use<> {
    let metrics = StatusMetrics::register(registry);
    let access = access.clone();
    async move {
        let mut leadership = inputs.leadership.clone();
        let mut lost = leadership.clone();
        while leadership.wait_for(|leads| *leads).await.is_ok() {
            let mut writer =
                Writer { access: &access, inputs: &inputs, metrics: &metrics, objects: Objects::default() };
            tokio::select! {
                _ = lost.wait_for(|leads| !*leads) => {}
                () = writer.lead() => return,
            }
            metrics.forget();
        }
    }
}

/// Writes while this replica leads; begins anew each time, with what the API server then has.
struct Writer<'i> {
    access: &'i Access,
    inputs: &'i Inputs,
    metrics: &'i StatusMetrics,
    objects: Objects,
}

// === impl Writer ===

impl Writer<'_> {
    /// Ends only when an input does.
    async fn lead(&mut self) {
        let events = KINDS.map(|kind| {
            let api = Api::<DynamicObject>::all_with(self.access.client.clone(), &kind.api_resource());
            watch(api, Config::default()).map(move |event| (kind, event)).boxed()
        });
        let mut events = pin!(select_all(events).ready_chunks(MAX_EVENTS));
        let (mut generations, mut replicas) = (self.inputs.generations.clone(), self.inputs.replicas.clone());
        let mut changes = self.inputs.facts.changes();
        let mut looks = interval(LOOK_AGAIN);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(batch) = events.next() => {
                    for (kind, event) in batch {
                        self.objects.apply(kind, event);
                    }
                }
                changed = generations.changed() => if changed.is_err() { return },
                changed = replicas.changed() => if changed.is_err() { return },
                () = of_interest(&mut changes) => {}
                _ = looks.tick() => {}
            }
            sleep(SETTLE).await;
            if self.objects.is_synced(&KINDS) {
                self.look().await;
            }
        }
    }

    /// Looks at all objects and writes what differs.
    async fn look(&mut self) {
        for (key, status) in self.differing() {
            let kind = key.kind.as_str();
            match self.write(&key, &status).await {
                Ok(object) => {
                    self.metrics.written(kind);
                    self.objects.put(key.kind, object);
                }
                Err(RequestError::Refused(kube::Error::Api(answer))) if answer.code == 404 => {}
                Err(error) => {
                    self.metrics.failed(kind);
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(kind, namespace = key.namespace, name = key.name, error, "status not written");
                    // What ails one write ails the next; the next look tries again.
                    return;
                }
            }
            sleep(SPACING).await;
        }
    }

    /// The first objects whose status is not as it should be, with what it should be.
    fn differing(&self) -> Vec<(Key, Value)> {
        let generation = Arc::clone(&self.inputs.generations.borrow());
        let replicas = Arc::clone(&self.inputs.replicas.borrow());
        let view = View::new(&generation, &replicas, &self.inputs.facts, Timestamp::now());
        self.metrics.exceptions(&view);
        let wanted = |(key, seen): (&Key, &Seen)| Some((key.clone(), view.differing(key, seen)?));
        self.objects.iter().filter_map(wanted).take(MAX_WRITES).collect()
    }

    async fn write(&self, key: &Key, status: &Value) -> Result<DynamicObject, RequestError> {
        let resource = key.kind.api_resource();
        let client = self.access.client.clone();
        let api: Api<DynamicObject> = match key.namespace.as_str() {
            "" => Api::all_with(client, &resource),
            namespace => Api::namespaced_with(client, namespace, &resource),
        };
        let object = json!({
            "apiVersion": resource.api_version, "kind": resource.kind,
            "metadata": { "name": key.name }, "status": status,
        });
        let params = PatchParams::apply(STATUS_MANAGER).force();
        bounded(api.patch_status(&key.name, &params, &Patch::Apply(&object))).await
    }
}

/// Waits for a change of what groups look at. One who lags has missed some.
async fn of_interest(changes: &mut broadcast::Receiver<Change>) {
    loop {
        match changes.recv().await {
            Ok(change) if !matches!(change.kind.kind.as_str(), "Namespace" | "NetworkPolicy") => {}
            Ok(_) | Err(RecvError::Lagged(_)) => return,
            // The facts end with the process.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests;
