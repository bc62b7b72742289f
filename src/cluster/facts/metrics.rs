//! Metrics of the facts. Labels are bounded by the kinds that are held; what the watches of one kind tell is added up.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use stockade_policy::compiled::ParamKind;
use stockade_webhook::registered;

use crate::store::Size;

/// Handles of all of them.
#[derive(Debug, Clone)]
pub(super) struct FactsMetrics {
    objects: Family<KindLabels, Gauge>,
    bytes: Family<KindLabels, Gauge>,
    cut: Family<KindLabels, Gauge>,
    /// 1 when all that is read of the kind is known, 0 when something is not.
    synced: Family<KindLabels, Gauge>,
    lists: Family<KindLabels, Counter>,
}

/// Those of one kind, for all its watches.
#[derive(Debug)]
pub(super) struct KindMetrics {
    objects: Gauge,
    bytes: Gauge,
    cut: Gauge,
    synced: Gauge,
    lists: Counter,
    /// Watches that are not ready; guards the gauges too, which are set together.
    not_ready: Mutex<usize>,
}

/// What one watch tells. It is taken back when the watch ends.
#[derive(Debug)]
pub(super) struct WatchMetrics {
    kind: Arc<KindMetrics>,
    /// None while it is not ready.
    told: Mutex<Option<Size>>,
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
        Self {
            objects: registered(registry, "stockade_facts_objects", "Objects kept of each kind"),
            bytes: registered(registry, "stockade_facts_bytes", "Memory that the objects of each kind take, about"),
            cut: registered(
                registry,
                "stockade_facts_cut_namespaces",
                "Namespaces that hold too much of a kind: policies that read it there cannot be judged",
            ),
            synced: registered(
                registry,
                "stockade_facts_synced",
                "1 when the objects of the kind are known, 0 when policies that read them cannot be judged",
            ),
            lists: registered(
                registry,
                "stockade_facts_lists",
                "Full lists of each kind: the first, and one after each interruption that was too long",
            ),
        }
    }

    /// Those of one kind.
    pub(super) fn of_kind(&self, kind: &ParamKind) -> Arc<KindMetrics> {
        let labels = labels(kind);
        Arc::new(KindMetrics {
            objects: self.objects.get_or_create(&labels).clone(),
            bytes: self.bytes.get_or_create(&labels).clone(),
            cut: self.cut.get_or_create(&labels).clone(),
            synced: self.synced.get_or_create(&labels).clone(),
            lists: self.lists.get_or_create(&labels).clone(),
            not_ready: Mutex::default(),
        })
    }

    /// The kind is not held any more.
    pub(super) fn forget(&self, kind: &ParamKind) {
        let labels = labels(kind);
        self.objects.remove(&labels);
        self.bytes.remove(&labels);
        self.cut.remove(&labels);
        self.synced.remove(&labels);
        self.lists.remove(&labels);
    }
}

// === impl KindMetrics ===

impl KindMetrics {
    /// Takes over what one watch tells now in place of what it told before.
    fn replace(&self, before: Option<Size>, after: Option<Size>, ended: bool) {
        let mut not_ready = self.not_ready.lock().unwrap_or_else(PoisonError::into_inner);
        *not_ready += usize::from(after.is_none() && !ended);
        *not_ready -= usize::from(before.is_none());
        self.synced.set((*not_ready == 0).into());
        let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.objects.inc_by(number(after.objects) - number(before.objects));
        self.bytes.inc_by(number(after.bytes) - number(before.bytes));
        self.cut.inc_by(number(after.cut) - number(before.cut));
    }
}

// === impl WatchMetrics ===

impl WatchMetrics {
    /// Those of one more watch of the kind, which is not ready.
    pub(super) fn new(kind: &Arc<KindMetrics>) -> Self {
        let mut not_ready = kind.not_ready.lock().unwrap_or_else(PoisonError::into_inner);
        *not_ready += 1;
        kind.synced.set(0);
        drop(not_ready);
        Self { kind: Arc::clone(kind), told: Mutex::default() }
    }

    /// A full list begins.
    pub(super) fn listed(&self) {
        self.kind.lists.inc();
    }

    /// The objects are known.
    pub(super) fn ready(&self, size: Size) {
        self.tell(Some(size));
    }

    /// The objects are not known, and none are kept.
    pub(super) fn not_ready(&self) {
        self.tell(None);
    }

    fn tell(&self, after: Option<Size>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if *told != after {
            self.kind.replace(*told, after, false);
            *told = after;
        }
    }
}

impl Drop for WatchMetrics {
    fn drop(&mut self) {
        let told = self.told.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.kind.replace(*told, None, true);
    }
}

fn labels(kind: &ParamKind) -> KindLabels {
    KindLabels { api_version: kind.api_version.clone(), kind: kind.kind.clone() }
}
