//! Metrics of the facts. Labels are bounded by the kinds that are held.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use stockade_policy::compiled::ParamKind;

/// Handles of all of them.
#[derive(Debug, Clone)]
pub(super) struct FactsMetrics {
    objects: Family<KindLabels, Gauge>,
    bytes: Family<KindLabels, Gauge>,
    /// 1 when the kind's objects are known, 0 when they are not.
    synced: Family<KindLabels, Gauge>,
    lists: Family<KindLabels, Counter>,
}

/// Handles of one kind's.
#[derive(Debug, Clone)]
pub(super) struct KindMetrics {
    objects: Gauge,
    bytes: Gauge,
    synced: Gauge,
    lists: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    api_version: String,
    kind: String,
}

// === impl FactsMetrics ===

impl FactsMetrics {
    /// Registers them under their `stockade_` names.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            objects: Family::default(),
            bytes: Family::default(),
            synced: Family::default(),
            lists: Family::default(),
        };
        registry.register("stockade_facts_objects", "Objects kept of each kind", metrics.objects.clone());
        registry.register(
            "stockade_facts_bytes",
            "Memory that the objects of each kind take, about",
            metrics.bytes.clone(),
        );
        registry.register(
            "stockade_facts_synced",
            "1 when the objects of the kind are known, 0 when policies that read them cannot be judged",
            metrics.synced.clone(),
        );
        registry.register(
            "stockade_facts_lists",
            "Full lists of each kind: the first, and one after each interruption that was too long",
            metrics.lists.clone(),
        );
        metrics
    }

    /// Those of one kind.
    pub(super) fn of_kind(&self, kind: &ParamKind) -> KindMetrics {
        let labels = labels(kind);
        KindMetrics {
            objects: self.objects.get_or_create(&labels).clone(),
            bytes: self.bytes.get_or_create(&labels).clone(),
            synced: self.synced.get_or_create(&labels).clone(),
            lists: self.lists.get_or_create(&labels).clone(),
        }
    }

    /// The kind is not held any more.
    pub(super) fn forget(&self, kind: &ParamKind) {
        let labels = labels(kind);
        self.objects.remove(&labels);
        self.bytes.remove(&labels);
        self.synced.remove(&labels);
        self.lists.remove(&labels);
    }
}

// === impl KindMetrics ===

impl KindMetrics {
    /// A full list begins.
    pub(super) fn listed(&self) {
        self.lists.inc();
    }

    /// The kind's objects are known.
    pub(super) fn ready(&self, objects: usize, bytes: usize) {
        self.set(objects, bytes, 1);
    }

    /// The kind's objects are not known, and none are kept.
    pub(super) fn not_ready(&self) {
        self.set(0, 0, 0);
    }

    fn set(&self, objects: usize, bytes: usize, synced: i64) {
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.objects.set(number(objects));
        self.bytes.set(number(bytes));
        self.synced.set(synced);
    }
}

fn labels(kind: &ParamKind) -> KindLabels {
    KindLabels { api_version: kind.api_version.clone(), kind: kind.kind.clone() }
}
