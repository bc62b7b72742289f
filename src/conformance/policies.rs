//! The suites of other projects' policies: which rows can be asked, and how objects are compared.

use serde_json::Value;

/// Suites whose rows name a plain Kubernetes policy (`native_path`), relative to the folder of all suites.
pub const SUITES: [&str; 6] = [
    "gatekeeper-library/cases-cel.jsonl",
    "kubescape-cel-admission-library/cases.jsonl",
    "kyverno-policies/cases-cel.jsonl",
    "kyverno-policies/cases-vpol.jsonl",
    "kyverno-policies/cases-mpol.jsonl",
    "kyverno-cli/cases.jsonl",
];

/// Whether a plain engine can be asked: a native policy, no further tier, no dispute about the verdict.
pub fn is_askable(row: &Value) -> bool {
    let oracle = row["oracle"].as_str().unwrap_or_default();
    row["tier"].as_u64().unwrap_or(1) <= 2
        && row["native_path"].is_string()
        && row["resource_path"].is_string()
        && row["params_path"] != "MISSING"
        && oracle != "disputed"
        && !oracle.contains("normalisation")
        && !oracle.contains("ignores match")
}

/// Without members that are null.
pub fn stripped(value: &Value) -> Value {
    match value {
        Value::Object(o) => o.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), stripped(v))).collect(),
        Value::Array(a) => a.iter().map(stripped).collect(),
        other => other.clone(),
    }
}

/// Whether every member of `part` is in `whole`; lists must be of one length.
pub fn is_within(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(p), Value::Object(w)) => p.iter().all(|(k, v)| w.get(k).is_some_and(|w| is_within(v, w))),
        (Value::Array(p), Value::Array(w)) => p.len() == w.len() && p.iter().zip(w).all(|(p, w)| is_within(p, w)),
        _ => part == whole,
    }
}
