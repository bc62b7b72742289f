//! One request through the engine, from JSON to a decision: what the command line does instead of a server.

use anyhow::{Context, Result};
use bumpalo::Bump;
use serde_json::Value as Json;
use stockade_cel::document;
use stockade_engine::decision::Decision;
use stockade_engine::engine::{DecideOptions, Engine};
use stockade_engine::facts::ClusterFacts;
use stockade_engine::request::Request;

/// Decides an AdmissionReview: mutating policies, then validating ones on the result.
///
/// # Errors
/// A document that is no AdmissionReview.
pub(crate) fn judge(engine: &Engine, facts: &dyn ClusterFacts, review: &Json) -> Result<Decision> {
    judge_at(engine, facts, review, None)
}

/// The same at a time, in seconds since 1970.
///
/// # Errors
/// As [`judge`].
pub(crate) fn judge_at(engine: &Engine, facts: &dyn ClusterFacts, review: &Json, now: Option<i64>) -> Result<Decision> {
    let arena = Bump::new();
    let value = document::from_json(review, &arena, engine.symbols()).context("AdmissionReview")?;
    let request = Request::from_review(value).context("AdmissionReview")?;
    Ok(engine.decide(&request, facts, &arena, &DecideOptions { now, ..DecideOptions::default() }))
}
