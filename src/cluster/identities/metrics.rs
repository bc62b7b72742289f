//! What the writer of identities tells of itself.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use stockade_webhook::registered;

/// From what is usual to what somebody should look at.
const SECONDS: [f64; 8] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// What there is, what was written, and how late.
#[derive(Debug, Clone)]
pub(super) struct IdentityMetrics {
    pods: Gauge,
    slices: Gauge,
    cut: Gauge,
    writes: Family<WriteLabels, Counter>,
    delay: Histogram,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    what: &'static str,
    result: &'static str,
}

// === impl IdentityMetrics ===

impl IdentityMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let delay = Histogram::new(SECONDS);
        let help = "From the first change of a namespace's Pods until its IdentitySlices say so";
        registry.register_with_unit("stockade_identities_delay", help, Unit::Seconds, delay.clone());
        Self {
            pods: registered(registry, "stockade_identities_pods", "Pods with addresses; told by the leader"),
            slices: registered(registry, "stockade_identities_slices", "IdentitySlices; told by the leader"),
            cut: registered(
                registry,
                "stockade_identities_namespaces_cut",
                "Namespaces whose Pods node agents do not know because there are too many; told by the leader",
            ),
            writes: registered(
                registry,
                "stockade_identities_writes",
                "Writes of IdentitySlices: create, replace or delete, and whether the API server took them",
            ),
            delay,
        }
    }

    pub(super) fn kept(&self, pods: usize, slices: usize, cut: usize) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.pods.set(number(pods));
        self.slices.set(number(slices));
        self.cut.set(number(cut));
    }

    /// Another leads.
    pub(super) fn forget(&self) {
        self.kept(0, 0, 0);
    }

    pub(super) fn written(&self, what: &'static str) {
        self.writes.get_or_create(&WriteLabels { what, result: "written" }).inc();
    }

    pub(super) fn failed(&self, what: &'static str) {
        self.writes.get_or_create(&WriteLabels { what, result: "failed" }).inc();
    }

    pub(super) fn took(&self, delay: Duration) {
        self.delay.observe(delay.as_secs_f64());
    }
}
