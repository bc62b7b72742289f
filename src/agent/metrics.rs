//! What the agent counts of its own work.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::contents::{Contents, TableContents};
use crate::desired::{Desired, PolicyState};

/// Bounds of the time from inputs to the kernel, in seconds.
const BUCKETS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 10.0];

/// Counters and gauges. Clones share them.
#[derive(Debug, Clone)]
pub struct AgentMetrics {
    kept: Histogram,
    failures: Counter,
    in_step: Gauge,
    entries: Family<Table, Gauge>,
    closed: Gauge,
    contested: Gauge,
    refused: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Table {
    table: &'static str,
}

// === impl AgentMetrics ===

impl AgentMetrics {
    /// Registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            kept: Histogram::new(BUCKETS),
            failures: Counter::default(),
            in_step: Gauge::default(),
            entries: Family::default(),
            closed: Gauge::default(),
            contested: Gauge::default(),
            refused: Gauge::default(),
        };
        let Self { kept, failures, in_step, entries, closed, contested, refused } = metrics.clone();
        registry.register("stockade_agent_write_seconds", "From changed inputs to the kernel", kept);
        registry.register(
            "stockade_agent_write_failures",
            "Writes that the kernel refused or nobody could decide",
            failures,
        );
        registry.register("stockade_agent_in_step", "Whether the kernel holds what policies ask for", in_step);
        registry.register("stockade_agent_entries", "Entries of the kernel's tables", entries);
        registry.register("stockade_agent_closed_pods", "Pods of which nothing is known, so nothing passes", closed);
        registry.register("stockade_agent_contested_addresses", "Addresses that several Pods claim", contested);
        registry.register("stockade_agent_refused_policies", "Policies that are not in force as they are", refused);
        metrics
    }

    /// The kernel holds what was wanted; it took so long.
    pub fn kept(&self, took: Duration, held: &Contents, desired: &Desired) {
        self.kept.observe(took.as_secs_f64());
        self.in_step.set(1);
        let count = |table, entries: usize| self.entries.get_or_create(&Table { table }).set(entries as i64);
        count("endpoints", held.endpoints.len());
        count("identities", held.identities.len());
        count("tables", held.tables.len());
        count("peers", held.tables.values().map(TableContents::peer_count).sum());
        count("blocks", held.tables.values().map(TableContents::block_count).sum());
        count("ports", held.ports.values().map(|entries| entries.len()).sum());
        self.closed.set(desired.closed.len() as i64);
        self.contested.set(desired.contested.len() as i64);
        let refused = desired.policies.iter().filter(|policy| policy.state != PolicyState::Planned);
        self.refused.set(refused.count() as i64);
    }

    /// It does not.
    pub fn failed(&self) {
        self.failures.inc();
        self.in_step.set(0);
    }
}
