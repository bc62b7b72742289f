//! Metrics of the audit. Labels are bounded: by policies, of which [`MAX_POLICIES`] are told, and by fixed words.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use stockade_webhook::registered;

/// Most policies with a count of their own; a cluster that has more sees those first by name.
const MAX_POLICIES: usize = 1_000;

/// Handles of all of them.
#[derive(Debug, Clone, Default)]
pub struct AuditMetrics {
    judged: Family<ResourceLabels, Counter>,
    requests: Family<OutcomeLabels, Counter>,
    violations: Family<PolicyLabels, Gauge>,
    unjudged: Family<PolicyLabels, Gauge>,
    queued: Gauge,
    pass_seconds: Gauge<f64, std::sync::atomic::AtomicU64>,
    writes: Family<WriteLabels, Counter>,
    events: Family<OutcomeLabels, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResourceLabels {
    resource: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PolicyLabels {
    policy: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    verb: &'static str,
}

// === impl AuditMetrics ===

impl AuditMetrics {
    /// Registers them under their `stockade_` names.
    pub fn register(registry: &mut Registry) -> Self {
        Self {
            judged: registered(registry, "stockade_audit_objects_judged", "Existing objects judged, by resource"),
            requests: registered(registry, "stockade_audit_requests", "Pages of lists asked for"),
            violations: registered(
                registry,
                "stockade_audit_violations",
                "Violations that exist in this replica's share",
            ),
            unjudged: registered(
                registry,
                "stockade_audit_unjudged_policies",
                "1 for each policy that cannot judge what exists",
            ),
            queued: registered(registry, "stockade_audit_queue_length", "Resources and namespaces to be judged again"),
            pass_seconds: registered(
                registry,
                "stockade_audit_pass_duration_seconds",
                "Time of the last judgement of everything",
            ),
            writes: registered(registry, "stockade_audit_report_writes", "Reports applied and deleted"),
            events: registered(registry, "stockade_events", "Events written, and left out because there were too many"),
        }
    }

    pub(crate) fn judged(&self, resource: &str, objects: usize) {
        self.judged.get_or_create(&ResourceLabels { resource: resource.to_owned() }).inc_by(objects as u64);
    }

    pub(crate) fn requested(&self, outcome: &'static str) {
        self.requests.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    pub(crate) fn queued(&self, length: usize) {
        self.queued.set(i64::try_from(length).unwrap_or(i64::MAX));
    }

    pub(crate) fn passed(&self, time: Duration) {
        self.pass_seconds.set(time.as_secs_f64());
    }

    pub(crate) fn written(&self, verb: &'static str) {
        self.writes.get_or_create(&WriteLabels { verb }).inc();
    }

    pub(crate) fn event(&self, outcome: &'static str) {
        self.events.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// Says anew how many violations of each policy there are.
    pub(crate) fn violations(&self, counts: &BTreeMap<(Arc<str>, &'static str), usize>) {
        self.violations.clear();
        for ((policy, result), count) in counts.iter().take(MAX_POLICIES) {
            let labels = PolicyLabels { policy: policy.to_string(), result };
            self.violations.get_or_create(&labels).set(i64::try_from(*count).unwrap_or(i64::MAX));
        }
    }

    /// Says anew which policies judge nothing.
    pub(crate) fn unjudged<'p>(&self, policies: impl Iterator<Item = (&'p str, &'static str)>) {
        self.unjudged.clear();
        for (policy, result) in policies.take(MAX_POLICIES) {
            self.unjudged.get_or_create(&PolicyLabels { policy: policy.to_owned(), result }).set(1);
        }
    }
}
