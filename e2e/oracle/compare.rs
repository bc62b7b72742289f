//! Two judgements of one request, side by side.

use std::collections::BTreeMap;

use serde_json::Value;
use stockade_engine::Decision;
use stockade_engine::decision::FindingAction;

use super::Observation;
use super::verdict::Verdict;

/// Warnings longer than this in all are cut by the server (`endpoints/filters/warning.go`) …
const WARNINGS_IN_ALL: usize = 4096;

/// … each to this length.
const WARNING_WHEN_CUT: usize = 256;

/// In which respect two judgements differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `verdict`, `message`, `status`, `warnings`, `audit` or `object`.
    pub aspect: &'static str,
    /// What both say.
    pub detail: String,
}

/// All differences but the mutated object's.
pub fn compare(server: &Observation, ours: &Decision) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut differ = |aspect, server: String, ours: String| {
        differences.push(Difference { aspect, detail: format!("server {server}\n        ours   {ours}") });
    };
    match &server.verdict {
        Verdict::NotJudged(_) => return differences,
        Verdict::Allowed if ours.allowed => {}
        Verdict::Allowed => differ("verdict", "allows".to_owned(), format!("refuse: {:?}", ours.status)),
        Verdict::Denied { message, .. } if ours.allowed => differ("verdict", message.clone(), "allow".to_owned()),
        Verdict::Denied { code, reason, message } => {
            let status = ours.status.as_ref();
            let message = &in_one_order(message);
            let same = status.is_some_and(|status| in_one_order(&status.message) == *message);
            // The server's order of policies is that of a hash map; which of several refuses is chance.
            if !same && !refusals(ours).iter().any(|own| in_one_order(own) == *message) {
                differ("message", message.clone(), format!("{:?}", refusals(ours)));
            }
            if let Some(status) = status
                && same
                && (status.code, &status.reason) != (*code, reason)
            {
                differ("status", format!("{code} {reason}"), format!("{} {}", status.code, status.reason));
            }
        }
    }
    if let Some(detail) = warnings_differ(&server.warnings, &ours.warnings) {
        differences.push(Difference { aspect: "warnings", detail });
    }
    if let Some(detail) = audit_differs(&server.audit, &ours.audit_annotations) {
        differences.push(Difference { aspect: "audit", detail });
    }
    differences
}

/// The server lists the atomic fields of a merge in the order of a hash map.
fn in_one_order(message: &str) -> String {
    const LIST: &str = "may not mutate atomic arrays, maps or structs: ";
    let Some((before, fields)) = message.split_once(LIST) else { return message.to_owned() };
    let mut fields: Vec<&str> = fields.split(", ").collect();
    fields.sort_unstable();
    format!("{before}{LIST}{}", fields.join(", "))
}

/// Every refusal of ours in the words of the API server.
fn refusals(ours: &Decision) -> Vec<String> {
    ours.status
        .iter()
        .map(|status| status.message.clone())
        .chain(ours.findings.iter().filter(|finding| finding.action == FindingAction::Deny).flat_map(|finding| {
            let (policy, binding, message) = (&finding.policy, &finding.binding, &finding.message);
            let tail = format!("'{policy}' with binding '{binding}' denied request: {message}");
            [
                format!("ValidatingAdmissionPolicy {tail}"),
                format!("policy {tail}"),
                format!("ValidatingAdmissionPolicy '{policy}' denied request: {message}"),
            ]
        }))
        .collect()
}

fn warnings_differ(server: &[String], ours: &[String]) -> Option<String> {
    // A header cannot hold a line break; the server leaves such a warning out, whoever gives it.
    let ours: Vec<String> = ours.iter().filter(|warning| !warning.contains(char::is_control)).cloned().collect();
    let total: usize = ours.iter().map(|warning| warning.chars().count()).sum();
    let mut left = ours.clone();
    if total > WARNINGS_IN_ALL {
        // Cut: what remains depends on the order, which is chance. Each must be the start of one of ours.
        let cut: Vec<String> = ours.iter().map(|warning| warning.chars().take(WARNING_WHEN_CUT).collect()).collect();
        let strange: Vec<&String> = server.iter().filter(|warning| !cut.contains(warning)).collect();
        return (!strange.is_empty() || server.is_empty())
            .then(|| format!("server {strange:?}\n        ours   {cut:?}"));
    }
    let mut missing = Vec::new();
    for warning in server {
        match left.iter().position(|own| own == warning) {
            Some(index) => drop(left.remove(index)),
            None => missing.push(warning),
        }
    }
    (!missing.is_empty() || !left.is_empty()).then(|| format!("server only {missing:?}\n        ours only   {left:?}"))
}

/// The failure annotation has one key for all failures, so which one is written is chance when there are several.
fn audit_differs(server: &BTreeMap<String, String>, ours: &BTreeMap<String, String>) -> Option<String> {
    const FAILURE: &str = "validation.policy.admission.k8s.io/validation_failure";
    let without = |map: &BTreeMap<String, String>| {
        let mut map = map.clone();
        let failure = map.remove(FAILURE);
        // So is the order of the params that a selector gives, whose values are joined.
        for value in map.values_mut() {
            let mut parts: Vec<&str> = value.split(", ").collect();
            parts.sort_unstable();
            *value = parts.join(", ");
        }
        (map, failure)
    };
    let ((server_rest, server_failure), (our_rest, our_failure)) = (without(server), without(ours));
    let same_failure = server_failure.is_some() == our_failure.is_some();
    (server_rest != our_rest || !same_failure).then(|| format!("server {server:?}\n        ours   {ours:?}"))
}

/// Whether two mutated objects are the same but for what differs between any two requests.
pub fn same_object(server: &Value, ours: &Value) -> bool {
    comparable(server) == comparable(ours)
}

/// Without nulls, empty structs and the fields that the server writes on each request.
pub fn comparable(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in ["managedFields", "uid", "creationTimestamp", "generation", "resourceVersion"] {
            metadata.remove(field);
        }
    }
    strip_nulls(&mut object);
    object
}

fn strip_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, child| !child.is_null());
            map.values_mut().for_each(strip_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_nulls),
        _ => {}
    }
}
