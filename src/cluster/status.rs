//! What became of the own objects, written into their status by the leader; what exceptions are good for is written by
//! the replicas that know.
//!
//! ```text
//! own objects: generation, status ─┐
//! generations, replicas, facts, time ┴─ status as it should be ─ differs? ─ server-side apply of our fields
//! ```
//!
//! Written is only what differs, and what was written is known before the watch brings it, so no write causes another.
//! Other parts may write fields of their own beside these: those of the leader belong to [`STATUS_MANAGER`].

mod conditions;
mod exception;
mod gaps;
mod group;
mod metrics;
mod objects;
mod policy;
mod usage;
mod view;
mod writer;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::select_all;
use futures_util::{Stream, StreamExt as _};
use jiff::Timestamp;
use kube::Api;
use kube::runtime::watcher::{Config, Event};
use prometheus_client::registry::Registry;
use serde_json::Value;
use stockade_watch::watch;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::access::Access;
use crate::facts::{Change, LiveFacts};
use crate::object::Object;
use crate::policies::{Generations, SourceKind};
use crate::replicas::{Leadership, Replicas};
use metrics::StatusMetrics;
use objects::{Key, Objects, Seen};
use view::View;
use writer::{MAX_WRITES, Writer};

pub use usage::UsageInputs;

/// Who owns the fields that are written here.
pub const STATUS_MANAGER: &str = "stockade-status";

/// The kinds whose status is written.
const KINDS: [SourceKind; 4] =
    [SourceKind::AdmissionPolicy, SourceKind::ImagePolicy, SourceKind::PolicyException, SourceKind::NamespaceGroup];

/// What changes within this time is looked at once.
const SETTLE: Duration = Duration::from_millis(100);

/// How often it is looked without a reason: time passes, and writes that failed are tried again.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

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
    /// What exceptions are good for.
    pub usage: UsageInputs,
}

/// Keeps the status of the own objects: most of it while this replica leads, the use of exceptions always. All of it
/// happens in the future, which ends only when an input does.
pub fn keep(access: &Access, inputs: Inputs, registry: &mut Registry) -> impl Future<Output = ()> + Send + use<> {
    let metrics = StatusMetrics::register(registry);
    let access = access.clone();
    async move {
        let Inputs { generations, replicas, leadership, facts, usage } = inputs;
        let using = usage::keep(&access, &metrics, generations.clone(), usage);
        let leading = Leading { access: &access, metrics: &metrics, generations, replicas, facts };
        tokio::select! {
            () = using => {}
            () = leading.keep(leadership) => {}
        }
    }
}

/// What the leader writes with.
struct Leading<'i> {
    access: &'i Access,
    metrics: &'i StatusMetrics,
    generations: Generations,
    replicas: Replicas,
    facts: LiveFacts,
}

// === impl Leading ===

impl Leading<'_> {
    /// Writes whenever this replica leads; begins anew each time, with what the API server then has.
    async fn keep(&self, mut leadership: Leadership) {
        let mut lost = leadership.clone();
        while leadership.wait_for(|leads| *leads).await.is_ok() {
            tokio::select! {
                _ = lost.wait_for(|leads| !*leads) => {}
                () = self.lead() => return,
            }
            self.metrics.forget();
        }
    }

    /// Ends only when an input does.
    async fn lead(&self) {
        let mut writer = Writer::new(self.access, self.metrics);
        let mut events = pin!(events(self.access, &KINDS));
        let (mut generations, mut replicas) = (self.generations.clone(), self.replicas.clone());
        let mut changes = self.facts.changes();
        let mut looks = interval(LOOK_AGAIN);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(batch) = events.next() => writer.objects.take(batch),
                changed = generations.changed() => if changed.is_err() { return },
                changed = replicas.changed() => if changed.is_err() { return },
                () = of_interest(&mut changes) => {}
                _ = looks.tick() => {}
            }
            sleep(SETTLE).await;
            if writer.objects.is_synced(&KINDS) {
                // What failed has been said, and is tried again at the next look.
                let _ = writer.write(STATUS_MANAGER, self.differing(&writer.objects)).await;
            }
        }
    }

    /// The first objects whose status is not as it should be, with what it should be.
    fn differing(&self, objects: &Objects) -> Vec<(Key, Value)> {
        let generation = Arc::clone(&self.generations.borrow());
        let replicas = Arc::clone(&self.replicas.borrow());
        let view = View::new(&generation, &replicas, &self.facts, Timestamp::now());
        self.metrics.exceptions(&view, objects);
        let wanted = |(key, seen): (&Key, &Seen)| Some((key.clone(), view.differing(key, seen)?));
        objects.iter().filter_map(wanted).take(MAX_WRITES).collect()
    }
}

/// What happens to objects of these kinds, in batches.
fn events(access: &Access, kinds: &[SourceKind]) -> impl Stream<Item = Vec<(SourceKind, Event<Object>)>> + use<> {
    let watches = kinds.iter().map(|&kind| {
        let api = Api::<Object>::all_with(access.client.clone(), &kind.api_resource());
        watch(api, Config::default()).map(move |event| (kind, event)).boxed()
    });
    select_all(watches).ready_chunks(MAX_EVENTS)
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
