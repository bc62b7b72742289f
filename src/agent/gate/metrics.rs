//! How Pods start: held by the gate, or open for a while where nothing holds them.

use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use stockade_cni::gate::Command;

/// Bounds of both times, in seconds: the gate adds milliseconds; a Pod that is not held is found within seconds.
const BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// Times and counts. Clones share them.
#[derive(Debug, Clone)]
pub struct StartMetrics {
    delay: Histogram,
    exposure: Histogram,
    requests: Family<Labels, Counter>,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was not, and why was said.
    Refused,
    /// Whoever asked stopped waiting.
    Gone,
    /// It was no request.
    Malformed,
    /// Somebody asked who may not.
    Forbidden,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    command: &'static str,
    outcome: Outcome,
}

// === impl StartMetrics ===

impl StartMetrics {
    /// Registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics =
            Self { delay: Histogram::new(BUCKETS), exposure: Histogram::new(BUCKETS), requests: Family::default() };
        registry.register(
            "stockade_agent_gate_delay_seconds",
            "How long a Pod's start was held until its policies were in the kernel",
            metrics.delay.clone(),
        );
        registry.register(
            "stockade_agent_start_exposure_seconds",
            "How long a Pod that nothing held ran before its policies were in the kernel",
            metrics.exposure.clone(),
        );
        registry.register(
            "stockade_agent_gate_requests",
            "Requests of the CNI plugin by what became of them",
            metrics.requests.clone(),
        );
        metrics
    }

    /// A Pod that nothing held ran for so long before its endpoint was in the kernel.
    pub fn exposed(&self, time: Duration) {
        self.exposure.observe(time.as_secs_f64());
    }

    /// A Pod was held for so long.
    pub(crate) fn held(&self, time: Duration) {
        self.delay.observe(time.as_secs_f64());
    }

    /// A request ended so; no command when it could not be read.
    pub(crate) fn answered(&self, command: Option<Command>, outcome: Outcome) {
        let command = match command {
            Some(Command::Add) => "ADD",
            Some(Command::Check) => "CHECK",
            Some(Command::Del) => "DEL",
            None => "",
        };
        self.requests.get_or_create(&Labels { command, outcome }).inc();
    }
}
