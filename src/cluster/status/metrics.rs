//! What the writer of status tells of itself.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use stockade_engine::exceptions::{Age, age};
use stockade_webhook::registered;

use super::objects::Objects;
use super::usage::in_use;
use super::view::View;
use crate::policies::SourceKind;

/// Counts of writes, and of exceptions by how far they have come.
#[derive(Debug, Clone, Default)]
pub(super) struct StatusMetrics {
    writes: Family<WriteLabels, Counter>,
    exceptions: Family<StateLabels, Gauge>,
    in_use: Family<UseLabels, Gauge>,
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

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UseLabels {
    in_use: &'static str,
}

// === impl StatusMetrics ===

impl StatusMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        Self {
            writes: registered(registry, "stockade_status_writes", "Writes of the status of own objects"),
            exceptions: registered(
                registry,
                "stockade_policy_exceptions",
                "PolicyExceptions by how far they have come; told by the leader",
            ),
            in_use: registered(
                registry,
                "stockade_policy_exceptions_in_use",
                "PolicyExceptions by whether they are in use; told by the leader",
            ),
        }
    }

    pub(super) fn written(&self, kind: &'static str) {
        self.writes.get_or_create(&WriteLabels { kind, result: "written" }).inc();
    }

    pub(super) fn failed(&self, kind: &'static str) {
        self.writes.get_or_create(&WriteLabels { kind, result: "failed" }).inc();
    }

    pub(super) fn exceptions(&self, view: &View<'_>, objects: &Objects) {
        let used: Vec<_> = objects.of(SourceKind::PolicyException).map(|(_, seen)| in_use(&seen.status)).collect();
        for (label, wanted) in [("true", Some(true)), ("false", Some(false)), ("unknown", None)] {
            let count = used.iter().filter(|used| **used == wanted).count();
            self.in_use.get_or_create(&UseLabels { in_use: label }).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        for (state, wanted) in [("valid", Age::Valid), ("expires_soon", Age::ExpiresSoon), ("expired", Age::Expired)] {
            let count = view.exceptions().filter(|e| age(e, view.now.as_second()) == wanted).count();
            self.exceptions.get_or_create(&StateLabels { state }).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// The leader tells; this replica no longer is it.
    pub(super) fn forget(&self) {
        self.exceptions.clear();
        self.in_use.clear();
    }
}
