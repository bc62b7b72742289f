//! What the writer of status tells of itself.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::exception::{Age, age};
use super::view::View;

/// Counts of writes, and of exceptions by how far they have come.
#[derive(Debug, Clone, Default)]
pub(super) struct StatusMetrics {
    writes: Family<WriteLabels, Counter>,
    exceptions: Family<StateLabels, Gauge>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    kind: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

// === impl StatusMetrics ===

impl StatusMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("stockade_status_writes", "Writes of the status of own objects", metrics.writes.clone());
        let help = "PolicyExceptions by how far they have come; told by the leader";
        registry.register("stockade_policy_exceptions", help, metrics.exceptions.clone());
        metrics
    }

    pub(super) fn written(&self, kind: &'static str) {
        self.writes.get_or_create(&WriteLabels { kind, result: "written" }).inc();
    }

    pub(super) fn failed(&self, kind: &'static str) {
        self.writes.get_or_create(&WriteLabels { kind, result: "failed" }).inc();
    }

    pub(super) fn exceptions(&self, view: &View<'_>) {
        for (state, wanted) in [("valid", Age::Valid), ("expires_soon", Age::ExpiresSoon), ("expired", Age::Expired)] {
            let count = view.exceptions().filter(|e| age(e, view.now) == wanted).count();
            self.exceptions.get_or_create(&StateLabels { state }).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// The leader tells; this replica no longer is it.
    pub(super) fn forget(&self) {
        self.exceptions.clear();
    }
}
