//! What is counted of images. Every label has a closed set of values; no registry, repository or policy is one.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Bounds of the buckets, in seconds: from a look into caches to the longest webhook timeout.
const BUCKETS: [f64; 12] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Counts of images, their answers, and what was asked for.
#[derive(Clone)]
pub(super) struct Metrics {
    requests: Family<OutcomeLabel, Counter>,
    caches: Family<CacheLabels, Counter>,
    answers: Family<AnswerLabels, Counter>,
    duration: Histogram,
    late: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CacheLabels {
    cache: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    sought: &'static str,
    answer: &'static str,
}

// === impl Metrics ===

impl Metrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            caches: Family::default(),
            answers: Family::default(),
            duration: Histogram::new(BUCKETS),
            late: Counter::default(),
        };
        let Self { requests, caches, answers, duration, late } = metrics.clone();
        registry.register("stockade_image_registry_requests", "What registries were asked, by how it ended", requests);
        registry.register("stockade_image_cache_lookups", "Look-ups of what is remembered of images", caches);
        registry.register("stockade_image_verdicts", "Verdicts on signatures and attestations that were made", answers);
        let help = "Time to find out what is wanted of one image that is not remembered";
        registry.register("stockade_image_gather_duration_seconds", help, duration);
        registry.register("stockade_image_gather_late", "Images that were not looked at in a request's time", late);
        metrics
    }

    /// Counters of hits and misses.
    pub(super) fn cache(&self, cache: &'static str) -> (Counter, Counter) {
        let of = |result| self.caches.get_or_create(&CacheLabels { cache, result }).clone();
        (of("hit"), of("miss"))
    }

    /// `ok`, or a name of an error.
    pub(super) fn request(&self, outcome: &'static str) {
        self.requests.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    pub(super) fn verdict(&self, sought: &'static str, answer: &'static str) {
        self.answers.get_or_create(&AnswerLabels { sought, answer }).inc();
    }

    pub(super) fn gathered(&self, seconds: f64) {
        self.duration.observe(seconds);
    }

    pub(super) fn late(&self) {
        self.late.inc();
    }
}
