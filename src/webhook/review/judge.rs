//! The whole path of a request: bytes, decision, bytes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use stockade_engine::decision::{Decision, Finding, FindingAction, FindingResult};
use stockade_engine::images::Wanted;
use stockade_engine::{ClusterFacts, DecideOptions, Engine, Request};

use super::{AdmissionResponse, Status, decode, record, with_arena};
use crate::reviewer::{BadReview, Outcome, Reviewed, Verb};

/// What the engine made of a request.
#[derive(Debug)]
pub struct Judged {
    /// The answer; a refusal as long as images are wanted.
    pub reviewed: Reviewed,
    /// Images that have to be looked at before there is a verdict. Only asked for where the facts know of images.
    pub wanted: Vec<Wanted>,
}

/// Decodes a body, has the engine decide it and encodes the answer; what a [`crate::Reviewer`] over an engine does
/// for each request. `observe` sees the request, the decision and the time it took, for findings and metrics; it may
/// add to the decision what is not the engine's to judge. It sees no decision for which images are wanted first. The
/// current span gets the request's facts. Under [`Verb::Warn`] there is no decision but to allow, whatever the policies.
///
/// # Errors
/// As [`decode`].
pub fn judge(
    engine: &Engine,
    facts: &dyn ClusterFacts,
    verb: Verb,
    body: &[u8],
    deadline: Instant,
    observe: impl FnOnce(&Request<'_>, &mut Decision, Duration),
) -> Result<Judged, BadReview> {
    with_arena(|arena| {
        let request = decode(body, arena, engine.symbols())?;
        record(&request, &tracing::Span::current());
        let started = Instant::now();
        let decide = |verb| {
            let options = DecideOptions { verb, deadline: Some(deadline), ..DecideOptions::default() };
            engine.decide(&request, facts, arena, &options)
        };
        let mut decision = match verb {
            Verb::Validate => decide(stockade_engine::Verb::Validate),
            Verb::Mutate => decide(stockade_engine::Verb::Mutate),
            Verb::Warn => Decision::allowed(),
        };
        let wanted = std::mem::take(&mut decision.wanted);
        if wanted.is_empty() {
            observe(&request, &mut decision, started.elapsed());
        }
        Ok(Judged { reviewed: answer(request.uid, &decision), wanted })
    })
}

/// A decision as AdmissionReview.
pub fn answer(uid: &str, decision: &Decision) -> Reviewed {
    let refused = |status| AdmissionResponse::denied(uid, status);
    let patch = (!decision.patch.is_empty()).then(|| serde_json::to_vec(&decision.patch));
    let (mut response, outcome) = match (&decision.status, &patch) {
        (Some(status), _) => {
            let by_error = decision.findings.iter().any(is_refusal_by_error);
            let status = Status { code: status.code, reason: &status.reason, message: &status.message };
            (refused(status), if by_error { Outcome::Errored } else { Outcome::Denied })
        }
        // Neither happens; if it ever does, it must not admit.
        (None, _) if !decision.allowed => (refused(UNEXPLAINED), Outcome::Errored),
        (None, Some(Err(_))) => (refused(UNEXPLAINED), Outcome::Errored),
        (None, Some(Ok(patch))) => {
            (AdmissionResponse { patch: Some(patch), ..AdmissionResponse::allowed(uid) }, Outcome::Mutated)
        }
        (None, None) => (AdmissionResponse::allowed(uid), Outcome::Allowed),
    };
    response.warnings = decision.warnings.iter().map(String::as_str).collect();
    let annotations: BTreeMap<String, &str> =
        decision.audit_annotations.iter().map(|(k, v)| (annotation_key(k), v.as_str())).collect();
    response.audit_annotations = annotations.iter().map(|(k, v)| (k.as_str(), *v)).collect();
    Reviewed { body: response.encode(), outcome }
}

/// Longest name part of an annotation key (`IsQualifiedName`).
const MAX_ANNOTATION_NAME_BYTES: usize = 63;

/// `policy/key` as `policy.key`: the API server puts the webhook's name and a slash before it, and throws away what
/// then has two slashes or a name of more than 63 bytes. Of a longer one the end is kept, where the key is.
fn annotation_key(key: &str) -> String {
    let name = key.replace('/', ".");
    let start = name.ceil_char_boundary(name.len().saturating_sub(MAX_ANNOTATION_NAME_BYTES));
    name[start..].trim_start_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

const UNEXPLAINED: Status<'_> =
    Status { code: 500, reason: "InternalError", message: "the policy engine gave no usable decision" };

fn is_refusal_by_error(finding: &Finding) -> bool {
    finding.action == FindingAction::Deny && finding.result == FindingResult::Error
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use stockade_engine::decision;

    use super::*;

    fn allowed() -> Decision {
        Decision {
            warnings: vec!["old API".to_owned()],
            audit_annotations: BTreeMap::from([("p/k".to_owned(), "v".to_owned())]),
            ..Decision::allowed()
        }
    }

    fn answered(decision: &Decision) -> (Value, Outcome) {
        let reviewed = answer("u", decision);
        let mut review: Value = serde_json::from_slice(&reviewed.body).unwrap();
        (review["response"].take(), reviewed.outcome)
    }

    #[test]
    fn audit_annotations_have_keys_that_the_api_server_keeps() {
        let long = format!("{}-/key", "p".repeat(59));
        assert_eq!(
            ["policy/key", long.as_str()].map(annotation_key),
            ["policy.key".to_owned(), format!("{}-.key", "p".repeat(58))]
        );
        assert_eq!(annotation_key(&format!("p-{}/k", "-".repeat(62))), "k");
    }

    #[test]
    fn a_decision_becomes_a_response() {
        let rest = json!({"uid": "u", "warnings": ["old API"], "auditAnnotations": {"p.k": "v"}});
        let with = |more: Value| {
            let mut all = rest.clone();
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            all
        };
        assert_eq!(answered(&allowed()), (with(json!({"allowed": true})), Outcome::Allowed));

        let mutated = Decision { patch: vec![json!({"op": "remove", "path": "/a"})], ..allowed() };
        let patch = "W3sib3AiOiJyZW1vdmUiLCJwYXRoIjoiL2EifV0=";
        let want = with(json!({"allowed": true, "patchType": "JSONPatch", "patch": patch}));
        assert_eq!(answered(&mutated), (want, Outcome::Mutated));

        let status = decision::Status { code: 403, reason: "Forbidden".to_owned(), message: "no".to_owned() };
        let denied = Decision { allowed: false, status: Some(status), ..mutated };
        let failure = json!({"status": "Failure", "message": "no", "reason": "Forbidden", "code": 403});
        let want = with(json!({"allowed": false, "status": failure}));
        assert_eq!(answered(&denied), (want, Outcome::Denied));
    }

    #[test]
    fn a_decision_that_contradicts_itself_is_refused() {
        let nameless = Decision { allowed: false, ..allowed() };
        let (response, outcome) = answered(&nameless);
        assert_eq!((&response["allowed"], &response["status"]["code"]), (&json!(false), &json!(500)));
        assert_eq!(outcome, Outcome::Errored);
    }
}
