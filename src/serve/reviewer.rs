//! What the server calls for each request: bytes to a decision to bytes.

use std::sync::Arc;
use std::time::Instant;

use stockade_cel::document;
use stockade_engine::decision::{Decision, Finding, FindingAction, FindingResult};
use stockade_engine::engine::{DecideOptions, Verb as Judged};
use stockade_engine::request::Request;
use stockade_webhook::review::{AdmissionResponse, Status, Verdict, peek_uid, with_arena};
use stockade_webhook::{BadReview, Outcome, Readiness, Reviewed, Reviewer, Verb};

use super::live::Live;

/// Judges by the generation in force.
pub(crate) struct PolicyReviewer {
    live: Arc<Live>,
}

impl PolicyReviewer {
    /// Judges by what `live` holds at the moment of each request.
    pub(crate) fn new(live: Arc<Live>) -> Self {
        Self { live }
    }
}

impl Reviewer for PolicyReviewer {
    fn review(&self, verb: Verb, body: &[u8], deadline: Instant) -> Result<Reviewed, BadReview> {
        let generation = self.live.current();
        let verb = match verb {
            Verb::Validate => Judged::Validate,
            Verb::Mutate => Judged::Mutate,
        };
        with_arena(|arena| {
            let bad = |message: String| BadReview { message, uid: peek_uid(body) };
            let value = document::decode(body, arena, generation.engine.symbols())
                .map_err(|e| bad(format!("the body is not an AdmissionReview: {e}")))?;
            let request = Request::from_review(value).map_err(|e| bad(e.to_string()))?;
            record(&request);
            let started = Instant::now();
            let options = DecideOptions { verb, deadline: Some(deadline) };
            let decision = generation.engine.decide(&request, &generation.facts, arena, &options);
            self.live.metrics.execution.observe(started.elapsed().as_secs_f64());
            self.live.metrics.record(&decision);
            Ok(answer(request.uid, &decision))
        })
    }

    fn readiness(&self) -> Readiness {
        let generation = self.live.current();
        let line =
            format!("policies: {} in force, generation {}", generation.engine.set().policies.len(), generation.number);
        let readiness = Readiness::ready().detail(line);
        match self.live.refusal() {
            None => readiness,
            Some(why) => readiness.detail(format!("changed policies refused, the last good ones stay in force: {why}")),
        }
    }
}

/// Puts the facts of a request into its span, so that every line logged below carries them.
fn record(request: &Request<'_>) {
    let span = tracing::Span::current();
    span.record("uid", request.uid);
    span.record("kind", request.kind.kind);
    span.record("namespace", request.namespace);
    span.record("name", request.name);
    span.record("operation", request.operation.name());
}

/// A rule that refused because it could not be evaluated.
fn undecided(finding: &Finding) -> bool {
    finding.action == FindingAction::Deny && finding.result == FindingResult::Error
}

fn answer(uid: &str, decision: &Decision) -> Reviewed {
    let patch = (decision.allowed && !decision.patch.is_empty())
        .then(|| serde_json::to_vec(&decision.patch).unwrap_or_default());
    let verdict = match &decision.status {
        Some(status) if !decision.allowed => {
            Verdict::Denied(Status { code: status.code, reason: &status.reason, message: &status.message })
        }
        _ if decision.allowed => Verdict::Allowed,
        _ => Verdict::Denied(Status { code: 403, reason: "Forbidden", message: "refused" }),
    };
    let outcome = match (decision.allowed, &patch) {
        (true, None) => Outcome::Allowed,
        (true, Some(_)) => Outcome::Mutated,
        (false, _) if decision.findings.iter().any(undecided) => Outcome::Errored,
        (false, _) => Outcome::Denied,
    };
    let response = AdmissionResponse {
        uid,
        verdict,
        warnings: decision.warnings.iter().map(String::as_str).collect(),
        audit_annotations: decision.audit_annotations.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect(),
        patch: patch.as_deref(),
    };
    Reviewed { body: response.encode(), outcome }
}
