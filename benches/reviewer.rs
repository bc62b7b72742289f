//! The reviewer of `stockade serve`, with a set of policies that stays.

use std::time::Instant;

use stockade_engine::{Engine, FolderFacts};
use stockade_webhook::{AtomicHistogram, BadReview, Readiness, Review, Reviewer, Verb, review};

/// Judges by one engine and counts the time it takes, as the binary does.
pub struct Policies {
    /// The policies.
    pub engine: Engine,
    /// The cluster.
    pub facts: FolderFacts,
    /// Seconds a decision took.
    pub took: AtomicHistogram,
}

impl Policies {
    /// Judges by these policies.
    pub fn new(engine: Engine) -> Self {
        Self { engine, facts: FolderFacts::default(), took: AtomicHistogram::new(&[0.000_01, 0.000_1, 0.001, 0.01]) }
    }
}

impl Reviewer for Policies {
    fn review(&self, verb: Verb, body: &[u8], deadline: Instant) -> Result<Review, BadReview> {
        let judged = review::judge(&self.engine, &self.facts, verb, body, deadline, |_request, _decision, took| {
            self.took.observe(took.as_secs_f64());
        })?;
        Ok(judged.reviewed.into())
    }

    fn readiness(&self) -> Readiness {
        Readiness::ready()
    }
}
