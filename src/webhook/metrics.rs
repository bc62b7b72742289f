//! What the server counts. Every label has a closed set of values; every counter of the request path is resolved
//! when it is registered, so that a request touches atomics only.

mod histogram;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

pub use histogram::AtomicHistogram;

use crate::reviewer::{Outcome, Verb};

/// Bounds of the review time buckets, in seconds. A decision takes tens of microseconds; the longest webhook
/// timeout is 30 s.
const REVIEW_BUCKETS: &[f64] = &[
    0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
    2.5, 5.0, 10.0, 30.0,
];

/// The server's metrics. Clones share their values.
#[derive(Debug, Clone)]
pub struct Metrics {
    requests: [[Counter; DECISIONS.len()]; VERBS.len()],
    durations: [AtomicHistogram; VERBS.len()],
    shed: [Counter; SHED.len()],
    handshake_errors: [Counter; HANDSHAKE_ERRORS.len()],
    reloads: [Counter; RELOADS.len()],
    /// Requests accepted and not yet answered.
    pub(crate) in_flight: Gauge,
    /// Open connections of the TLS port.
    pub(crate) connections: Gauge,
    /// Open connections of the plain port.
    pub(crate) plain_connections: Gauge,
    /// `notAfter` of the serving certificate, seconds since the epoch.
    pub(crate) certificate_expiry: Gauge,
}

const VERBS: [Verb; 3] = [Verb::Validate, Verb::Mutate, Verb::Warn];

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The reviewer decided.
    Reviewed(Outcome),
    /// Not an AdmissionReview, refused as such.
    Malformed,
    /// An HTTP error: method, content type, size, time.
    Rejected,
    /// The reviewer panicked: refused, but for what a cluster needs to run.
    Panicked,
    /// Turned away for load.
    Shed,
}

const DECISIONS: [&str; 8] = ["allowed", "mutated", "denied", "errored", "malformed", "rejected", "panicked", "shed"];

/// Why a request or a connection is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shed {
    /// Too many requests in flight.
    InFlight,
    /// Too many bytes of bodies held.
    Memory,
    /// Its deadline passed before its turn came.
    Late,
    /// Too many connections.
    Connections,
}

const SHED: [&str; 4] = ["in_flight", "memory", "late", "connections"];

/// Why a TLS connection did not come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandshakeError {
    /// Not done in time.
    Timeout,
    /// Plain HTTP, or whatever does not begin as TLS.
    Plaintext,
    /// Refused by either side: protocol, cipher, certificate.
    Failed,
}

const HANDSHAKE_ERRORS: [&str; 3] = ["timeout", "plaintext", "failed"];

const RELOADS: [&str; 2] = ["swapped", "refused"];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    verb: &'static str,
    decision: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerbLabel {
    verb: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

impl Metrics {
    /// Registers everything under its `stockade_` name, and `stockade_build_info` with the version given.
    pub fn register(registry: &mut Registry, version: &'static str) -> Self {
        registry.register("stockade_build", "The running version", Info::new([("version", version)]));
        let requests: Family<RequestLabels, Counter> =
            registered(registry, "stockade_admission_requests", "Admission requests by how they ended");
        let durations =
            Family::<VerbLabel, AtomicHistogram, _>::new_with_constructor(|| AtomicHistogram::new(REVIEW_BUCKETS));
        registry.register(
            "stockade_admission_review_duration_seconds",
            "Time from a complete body to its decision",
            durations.clone(),
        );
        Self {
            requests: VERBS.map(|verb| {
                DECISIONS
                    .map(|decision| requests.get_or_create(&RequestLabels { verb: verb.as_str(), decision }).clone())
            }),
            durations: VERBS.map(|verb| durations.get_or_create(&VerbLabel { verb: verb.as_str() }).clone()),
            shed: reasons(registry, "stockade_admission_shed", "Requests and connections turned away", SHED),
            handshake_errors: reasons(
                registry,
                "stockade_tls_handshake_errors",
                "TLS connections that did not come about",
                HANDSHAKE_ERRORS,
            ),
            reloads: reloads(registry),
            in_flight: registered(registry, "stockade_admission_in_flight", "Requests accepted and not yet answered"),
            connections: registered(registry, "stockade_connections", "Open connections of the TLS port"),
            plain_connections: Gauge::default(),
            certificate_expiry: registered(
                registry,
                "stockade_certificate_expiry_timestamp_seconds",
                "When the serving certificate expires",
            ),
        }
    }

    pub(crate) fn request(&self, verb: Verb, decision: Decision) {
        let at = match decision {
            Decision::Reviewed(Outcome::Allowed) => 0,
            Decision::Reviewed(Outcome::Mutated) => 1,
            Decision::Reviewed(Outcome::Denied) => 2,
            Decision::Reviewed(Outcome::Errored) => 3,
            Decision::Malformed => 4,
            Decision::Rejected => 5,
            Decision::Panicked => 6,
            Decision::Shed => 7,
        };
        self.requests[verb as usize][at].inc();
    }

    pub(crate) fn duration(&self, verb: Verb, seconds: f64) {
        self.durations[verb as usize].observe(seconds);
    }

    pub(crate) fn shed(&self, why: Shed) {
        self.shed[why as usize].inc();
    }

    pub(crate) fn handshake_error(&self, why: HandshakeError) {
        self.handshake_errors[why as usize].inc();
    }

    pub(crate) fn reload(&self, swapped: bool) {
        self.reloads[usize::from(!swapped)].inc();
    }
}

/// A metric with its name and what it says, registered. All that is named `stockade_…` is registered by its owner.
pub fn registered<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

fn reasons<const N: usize>(registry: &mut Registry, name: &str, help: &str, all: [&'static str; N]) -> [Counter; N] {
    let family: Family<ReasonLabel, Counter> = registered(registry, name, help);
    all.map(|reason| family.get_or_create(&ReasonLabel { reason }).clone())
}

fn reloads(registry: &mut Registry) -> [Counter; RELOADS.len()] {
    let family: Family<ResultLabel, Counter> =
        registered(registry, "stockade_certificate_reloads", "Changed certificate files, taken or refused");
    RELOADS.map(|result| family.get_or_create(&ResultLabel { result }).clone())
}
