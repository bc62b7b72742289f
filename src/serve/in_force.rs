//! What requests are judged by at this moment, whatever it comes from: folders or a cluster.

use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, ArcSwapOption};
use stockade_cluster::events::Events;
use stockade_cluster::flows::Flows;
use stockade_engine::engine::Engine;
use stockade_engine::facts::ClusterFacts;
use stockade_engine::rollout::Hold;
use tokio::sync::mpsc;

use super::policy_metrics::PolicyMetrics;

/// Policies, and the facts they see.
pub(crate) struct Judge {
    /// Policies, indexed.
    pub(crate) engine: Arc<Engine>,
    /// What exists.
    pub(crate) facts: Arc<dyn ClusterFacts + Send + Sync>,
    /// Number of the generation: counts up from 1.
    pub(crate) number: u64,
}

/// The judge in force, swapped whole under requests that never wait.
pub(crate) struct InForce {
    /// What it counts.
    pub(crate) metrics: PolicyMetrics,
    judge: ArcSwapOption<Judge>,
    /// What is not in force though it should be, a line each, for `/readyz`.
    refused: ArcSwap<Vec<String>>,
    /// Who makes known that a rollout has stopped; nobody where there is no cluster.
    holds: OnceLock<mpsc::Sender<Hold>>,
    /// Where refusals are told; nowhere where there is no cluster.
    events: OnceLock<Events>,
    /// What passes between Pods; nobody tells where there are no node agents.
    flows: OnceLock<Flows>,
    /// Where exceptions are told that requests needed; nowhere where there is no cluster.
    used: OnceLock<mpsc::Sender<String>>,
}

// === impl InForce ===

impl InForce {
    /// Nothing in force yet.
    pub(crate) fn new(metrics: PolicyMetrics) -> Self {
        Self {
            metrics,
            judge: ArcSwapOption::empty(),
            refused: ArcSwap::default(),
            holds: OnceLock::new(),
            events: OnceLock::new(),
            flows: OnceLock::new(),
            used: OnceLock::new(),
        }
    }

    /// The judge in force; none before the first.
    pub(crate) fn judge(&self) -> Option<Arc<Judge>> {
        self.judge.load_full()
    }

    /// Puts another one in force.
    pub(crate) fn put(&self, judge: Judge) {
        self.metrics.in_force(judge.engine.set());
        self.judge.store(Some(Arc::new(judge)));
    }

    /// Names who makes known that a rollout has stopped.
    pub(crate) fn tell_holds(&self, tell: mpsc::Sender<Hold>) {
        // It is named once, at the start.
        let _ = self.holds.set(tell);
    }

    /// Names where refusals are told.
    pub(crate) fn tell_events(&self, events: Events) {
        // It is named once, at the start.
        let _ = self.events.set(events);
    }

    /// Where refusals are told.
    pub(crate) fn events(&self) -> Option<&Events> {
        self.events.get()
    }

    /// Names who knows what passes between Pods.
    pub(crate) fn tell_flows(&self, flows: Flows) {
        // It is named once, at the start.
        let _ = self.flows.set(flows);
    }

    /// Who knows what passes between Pods.
    pub(crate) fn flows(&self) -> Option<&Flows> {
        self.flows.get()
    }

    /// Names where exceptions are told that requests needed.
    pub(crate) fn tell_used(&self, used: mpsc::Sender<String>) {
        // It is named once, at the start.
        let _ = self.used.set(used);
    }

    /// Where exceptions are told that requests needed.
    pub(crate) fn used(&self) -> Option<&mpsc::Sender<String>> {
        self.used.get()
    }

    /// A rollout has stopped on this replica.
    pub(crate) fn held(&self, hold: &Hold) {
        self.metrics.held(hold);
        if let Some(Err(_)) = self.holds.get().map(|tell| tell.try_send(hold.clone())) {
            tracing::error!(policy = &*hold.policy, "too many rollouts stopped at once: this one on this replica only");
        }
    }

    /// What is not in force though it should be.
    pub(crate) fn refused(&self) -> Arc<Vec<String>> {
        self.refused.load_full()
    }

    /// Tells what is not in force; nothing when everything is.
    pub(crate) fn refuse(&self, lines: Vec<String>) {
        self.metrics.current(lines.is_empty());
        self.refused.store(Arc::new(lines));
    }
}
