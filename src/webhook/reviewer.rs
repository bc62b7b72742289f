//! The seam to whoever decides: the server knows bytes and deadlines, not policies.

use std::pin::Pin;
use std::time::Instant;

/// Which endpoint was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// `/validate`
    Validate,
    /// `/mutate`
    Mutate,
    /// `/warn`: what comes of a request is told, and no policy judges it. Registered to fail open.
    Warn,
}

/// Answers admission requests. Synchronous and CPU-bound: it runs on the request's own task and must keep to the
/// deadline itself. A panic is caught, and refused with code 500 unless [`Self::admits_unjudged`].
pub trait Reviewer: Send + Sync + 'static {
    /// One request.
    ///
    /// `body` is the AdmissionReview as it came, at most the server's body limit. Over an engine this is
    /// [`crate::review::judge`].
    ///
    /// # Errors
    /// What is wrong with the request. Never a way to let it pass: the caller gets a refusal.
    fn review(&self, verb: Verb, body: &[u8], deadline: Instant) -> Result<Review, BadReview>;

    /// Whether a request is admitted although its review panicked: only what a cluster needs to run, of which every other
    /// error of ours is admitted as well. A panic in here is a no.
    fn admits_unjudged(&self, _body: &[u8]) -> bool {
        false
    }

    /// What `/readyz` shows.
    fn readiness(&self) -> Readiness;
}

/// What comes of a request.
pub enum Review {
    /// It is answered.
    Answered(Reviewed),
    /// Something has to be looked at first, which takes its time: await this, outside of any thread's turn, and review
    /// again. It ends before the deadline, whatever it finds; nothing is admitted meanwhile. That only so many requests
    /// wait ([`crate::limits::MAX_LOOKING`]), and none for ever, is for the reviewer to see to: of more it judges without
    /// looking, as its policies have it.
    Later(Looking),
}

/// Looks at what a review needs.
pub type Looking = Pin<Box<dyn Future<Output = Again> + Send>>;

/// Reviews the same body again, with what was found.
pub type Again = Box<dyn FnOnce(&[u8]) -> Result<Review, BadReview> + Send>;

impl From<Reviewed> for Review {
    fn from(reviewed: Reviewed) -> Self {
        Self::Answered(reviewed)
    }
}

/// An answered request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reviewed {
    /// The AdmissionReview with the response, JSON.
    pub body: Vec<u8>,
    /// What it says, for the metrics.
    pub outcome: Outcome,
}

/// What a decision says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Allowed as it is.
    Allowed,
    /// Allowed with a patch.
    Mutated,
    /// Refused by policy.
    Denied,
    /// Refused because a decision could not be made: a policy failed and fails closed, the deadline passed.
    Errored,
}

/// Why a body is not an AdmissionReview that can be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadReview {
    /// Names the fault and its place; safe to show to the caller.
    pub message: String,
    /// The request's uid when it could be read: then the answer is an AdmissionReview that refuses with code 400,
    /// which no failurePolicy can turn into an allow. Otherwise it is HTTP 400.
    pub uid: Option<String>,
}

/// What `/readyz` shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Readiness {
    /// Why requests cannot be answered; `None` when they can.
    pub not_ready: Option<String>,
    /// Facts worth a line each, ready or not: the set in force, a newer set that was refused and why.
    pub details: Vec<String>,
}

impl Verb {
    /// As metrics and logs spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Validate => "validate",
            Verb::Mutate => "mutate",
            Verb::Warn => "warn",
        }
    }
}

impl Readiness {
    /// Ready, nothing to add.
    pub fn ready() -> Self {
        Self::default()
    }

    /// Not ready.
    pub fn not_ready(reason: impl Into<String>) -> Self {
        Self { not_ready: Some(reason.into()), details: Vec::new() }
    }

    /// Adds a line.
    #[must_use]
    pub fn detail(mut self, line: impl Into<String>) -> Self {
        self.details.push(line.into());
        self
    }
}
