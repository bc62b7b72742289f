//! What the server calls for each request: bytes to a decision to bytes.

use std::sync::Arc;
use std::time::Instant;

use stockade_webhook::{BadReview, Readiness, Reviewed, Reviewer, Verb, review};

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
        review::judge(&generation.engine, &generation.facts, verb, body, deadline, |decision, took| {
            self.live.metrics.execution.observe(took.as_secs_f64());
            self.live.metrics.record(decision);
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
