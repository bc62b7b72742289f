//! Conditions, as `metav1.Condition` has them.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde_json::Value;

/// Longest message in bytes: enough for a screen of diagnostics. The API's own bound is 32 KiB.
const MAX_MESSAGE_BYTES: usize = 8 * 1024;

/// One condition as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) kind: &'static str,
    pub(super) holds: bool,
    /// A word, `UpperCamelCase`.
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Wanted {
    pub(super) fn new(kind: &'static str, holds: bool, reason: &'static str, message: impl Into<String>) -> Self {
        Self { kind, holds, reason, message: message.into() }
    }
}

/// The conditions with their times: one whose status is as before keeps its time.
pub(super) fn conditions(wanted: Vec<Wanted>, status: &Value, generation: i64, now: Timestamp) -> Vec<Condition> {
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let as_condition = |w: Wanted| {
        let word = if w.holds { "True" } else { "False" };
        let before = find(status, w.kind).filter(|c| c["status"] == word);
        let since = before.and_then(|c| c["lastTransitionTime"].as_str()).and_then(|t| t.parse().ok());
        Condition {
            type_: w.kind.to_owned(),
            status: word.to_owned(),
            reason: w.reason.to_owned(),
            message: cut(w.message),
            observed_generation: Some(generation),
            last_transition_time: Time(since.unwrap_or(now)),
        }
    };
    wanted.into_iter().map(as_condition).collect()
}

/// Whether a status lacks something of what it should be. What it has beside that is somebody else's.
pub(super) fn differs(wanted: &Value, status: &Value) -> bool {
    wanted.as_object().into_iter().flatten().any(|(name, value)| match (name.as_str(), value) {
        ("conditions", Value::Array(conditions)) => conditions.iter().any(|wanted| {
            let kind = wanted["type"].as_str().unwrap_or_default();
            let same = |c: &Value| {
                ["status", "reason", "message", "observedGeneration"].iter().all(|name| c[name] == wanted[name])
            };
            !find(status, kind).is_some_and(same)
        }),
        _ => status.get(name) != Some(value),
    })
}

/// The condition of this type.
pub(super) fn find<'s>(status: &'s Value, kind: &str) -> Option<&'s Value> {
    status["conditions"].as_array()?.iter().find(|c| c["type"] == kind)
}

/// A text of at most [`MAX_MESSAGE_BYTES`].
pub(super) fn cut(mut text: String) -> String {
    if text.len() > MAX_MESSAGE_BYTES {
        let end = (0..=MAX_MESSAGE_BYTES - '…'.len_utf8()).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}
