//! The response half.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::limits::{MAX_MESSAGE_BYTES, MAX_WARNING_CHARS, MAX_WARNINGS_CHARS};

/// `response` of an AdmissionReview.
#[derive(Debug, Clone)]
pub struct AdmissionResponse<'a> {
    /// The request's.
    pub uid: &'a str,
    /// The decision.
    pub verdict: Verdict<'a>,
    /// Shown to the user; cut by [`truncate_warnings`] when encoded.
    pub warnings: Vec<&'a str>,
    /// Key and value, distinct keys; the API server prefixes keys with the webhook's name.
    pub audit_annotations: Vec<(&'a str, &'a str)>,
    /// A JSON Patch, as JSON text. Only with [`Verdict::Allowed`].
    pub patch: Option<&'a [u8]>,
}

/// The decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// Let it pass.
    Allowed,
    /// Refuse.
    Denied(Status<'a>),
}

/// Why something is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status<'a> {
    /// HTTP code that the user's client gets: 400–599.
    pub code: u16,
    /// Machine-readable (`Invalid`, `Forbidden`, `Unauthorized`, `RequestEntityTooLarge`, …); may be empty.
    pub reason: &'a str,
    /// What the user reads. Cut at [`MAX_MESSAGE_BYTES`].
    pub message: &'a str,
}

impl<'a> AdmissionResponse<'a> {
    /// Allowed, nothing to add.
    pub fn allowed(uid: &'a str) -> Self {
        Self { uid, verdict: Verdict::Allowed, warnings: Vec::new(), audit_annotations: Vec::new(), patch: None }
    }

    /// Refused.
    pub fn denied(uid: &'a str, status: Status<'a>) -> Self {
        Self { verdict: Verdict::Denied(status), ..Self::allowed(uid) }
    }

    /// The AdmissionReview as JSON.
    pub fn encode(&self) -> Vec<u8> {
        let review = Review { kind: "AdmissionReview", api_version: "admission.k8s.io/v1", response: self };
        // Nothing in it fails to serialise. If that ever changes, no response is what the API server refuses.
        serde_json::to_vec(&review).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Review<'a> {
    kind: &'static str,
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    response: &'a AdmissionResponse<'a>,
}

impl Serialize for AdmissionResponse<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("uid", self.uid)?;
        match &self.verdict {
            Verdict::Allowed => {
                map.serialize_entry("allowed", &true)?;
                if let Some(patch) = self.patch {
                    map.serialize_entry("patchType", "JSONPatch")?;
                    map.serialize_entry("patch", &STANDARD.encode(patch))?;
                }
            }
            Verdict::Denied(status) => {
                map.serialize_entry("allowed", &false)?;
                map.serialize_entry("status", status)?;
            }
        }
        if !self.warnings.is_empty() {
            map.serialize_entry("warnings", &truncate_warnings(&self.warnings))?;
        }
        if !self.audit_annotations.is_empty() {
            map.serialize_entry("auditAnnotations", &Annotations(&self.audit_annotations))?;
        }
        map.end()
    }
}

impl Serialize for Status<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("status", "Failure")?;
        map.serialize_entry("message", cut(self.message))?;
        if !self.reason.is_empty() {
            map.serialize_entry("reason", self.reason)?;
        }
        map.serialize_entry("code", &self.code)?;
        map.end()
    }
}

struct Annotations<'a>(&'a [(&'a str, &'a str)]);

impl Serialize for Annotations<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.0.iter().map(|(k, v)| (k, v)))
    }
}

fn cut(message: &str) -> &str {
    &message[..message.floor_char_boundary(MAX_MESSAGE_BYTES)]
}

/// Warnings as the API server's recorder (`pkg/endpoints/filters/warning.go`) keeps them: without empty and repeated
/// ones; whole while all of them together have at most [`MAX_WARNINGS_CHARS`] characters; else each cut to
/// [`MAX_WARNING_CHARS`] until the bound is reached. Never more than the bound in all.
pub fn truncate_warnings<'a>(warnings: &[&'a str]) -> Vec<&'a str> {
    let mut seen = HashSet::new();
    let distinct: Vec<&str> = warnings.iter().copied().filter(|w| !w.is_empty() && seen.insert(*w)).collect();
    let total: usize = distinct.iter().map(|w| w.chars().count()).sum();
    if total <= MAX_WARNINGS_CHARS {
        return distinct;
    }
    let mut left = MAX_WARNINGS_CHARS;
    let mut kept = Vec::new();
    for warning in distinct {
        let room = left.min(MAX_WARNING_CHARS);
        if room == 0 {
            break;
        }
        let end = warning.char_indices().nth(room).map_or(warning.len(), |(end, _)| end);
        left -= warning[..end].chars().count();
        kept.push(&warning[..end]);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_within_the_bound_stay_whole_and_distinct() {
        let long = "x".repeat(3000);
        assert_eq!(truncate_warnings(&[&long, "b", "", "b", &long]), [long.as_str(), "b"]);
    }

    #[test]
    fn warnings_over_the_bound_are_each_cut_at_a_character_until_it_is_reached() {
        let long: Vec<String> = (0..30).map(|i| format!("{i:02}{}", "ü".repeat(300))).collect();
        let all: Vec<&str> = long.iter().map(String::as_str).collect();
        let want: Vec<String> = (0..16).map(|i| format!("{i:02}{}", "ü".repeat(254))).collect();
        assert_eq!(truncate_warnings(&all), want);
        let short = "y".repeat(4000);
        assert_eq!(truncate_warnings(&[&short, &"z".repeat(97)]), ["y".repeat(256), "z".repeat(97)]);
    }

    #[test]
    fn a_message_over_the_bound_is_cut_at_a_character() {
        let message = format!("x{}", "ü".repeat(MAX_MESSAGE_BYTES));
        let encoded = AdmissionResponse::denied("u", Status { code: 403, reason: "", message: &message }).encode();
        let json: serde_json::Value = serde_json::from_slice(&encoded).unwrap();
        let want = serde_json::json!({
            "status": "Failure", "message": &message[..MAX_MESSAGE_BYTES - 1], "code": 403
        });
        assert_eq!(json["response"]["status"], want);
    }

    #[test]
    fn a_refusal_never_carries_a_patch() {
        let mut response = AdmissionResponse::denied("u", Status { code: 403, reason: "", message: "no" });
        response.patch = Some(b"[]");
        let json: serde_json::Value = serde_json::from_slice(&response.encode()).unwrap();
        assert_eq!(json["response"].get("patch"), None);
    }
}
