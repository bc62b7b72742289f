//! The open suites of other projects' policies, as ValidatingAdmissionPolicies and MutatingAdmissionPolicies.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of a test")]

#[path = "support/kit.rs"]
mod kit;

use serde_json::{Value as Json, json};
use stockade_conformance::policies::{is_askable, is_within, stripped};
use stockade_engine::request::Operation;
use stockade_engine::source_object::carry_over;
use stockade_engine::{DecideOptions, Decision, Engine, RequestBuilder};
use stockade_policy::objects::load_objects;
use stockade_schema::normalise::normalise;

fn objects(path: &Json) -> Vec<Json> {
    let Some(path) = path.as_str() else { return Vec::new() };
    let text = stockade_conformance::text(path).unwrap();
    load_objects(path, &text).unwrap_or_else(|d| panic!("{path} {d:?}")).into_iter().map(|o| o.value).collect()
}

/// The decision, and the resource as written with the mutations applied.
fn decided(row: &Json, engine: &Engine) -> (Decision, Json) {
    let written = objects(&row["resource_path"]).remove(0);
    let namespace = written["metadata"]["namespace"].as_str().unwrap_or("default").to_owned();
    let mut existing = Vec::new();
    for path in [&row["params_path"], &row["namespace_path"]] {
        existing.extend(objects(path));
    }
    for path in row["cluster_context_paths"].as_array().into_iter().flatten() {
        existing.extend(objects(path));
    }
    existing.extend(namespaces_of_values(&row["variables_path"]));
    let mut request = RequestBuilder::new().object(normalise(written.clone())).namespace(&namespace);
    request = request.operation(Operation::parse(row["operation"].as_str().unwrap_or("CREATE")).unwrap());
    if let Some(old) = objects(&row["old_resource_path"]).pop() {
        request = request.old_object(normalise(old));
    }
    let review = request.review().unwrap();
    let decision = kit::decide_review(engine, &review, &kit::facts(existing), &DecideOptions::default());
    let object = match &decision.object {
        Some(mutated) => carry_over(&written, &review["request"]["object"], mutated),
        None => written,
    };
    (decision, stripped(&object))
}

/// The namespaces whose labels a Kyverno values file gives.
fn namespaces_of_values(path: &Json) -> Vec<Json> {
    let values = objects(path);
    let labelled = values.iter().flat_map(|v| v["namespaceSelector"].as_array().into_iter().flatten());
    labelled
        .map(|n| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": n["name"], "labels": n["labels"]}}))
        .collect()
}

fn is_mutated_as_expected(row: &Json, object: &Json) -> bool {
    let Some(expected) = objects(&row["mutated_path"]).pop() else {
        return *object != stripped(&objects(&row["resource_path"]).remove(0));
    };
    let expected = stripped(&expected);
    if row["mutated_match"] == "exact" { *object == expected } else { is_within(&expected, object) }
}

fn fault(row: &Json) -> Option<String> {
    let mut text = stockade_conformance::text(row["native_path"].as_str().unwrap()).unwrap();
    if let Some(path) = row["binding_path"].as_str() {
        text = format!("{text}\n---\n{}", stockade_conformance::text(path).unwrap());
    }
    let engine = match kit::try_engine(&text) {
        Ok(engine) => engine,
        Err(faults) => return Some(format!("does not compile: {faults}")),
    };
    let (decision, object) = decided(row, &engine);
    let holds = match row["expect"].as_str().unwrap() {
        "allow" => decision.allowed,
        "deny" => !decision.allowed,
        "warn" => decision.allowed && !decision.warnings.is_empty(),
        "unchanged" => decision.allowed && object == stripped(&objects(&row["resource_path"]).remove(0)),
        "mutated" => decision.allowed && is_mutated_as_expected(row, &object),
        "not-mutated" => decision.allowed && !is_mutated_as_expected(row, &object),
        _ => false,
    };
    (!holds).then(|| format!("{} expected: {object} {:?} {:?}", row["expect"], decision.status, decision.findings))
}

fn faults(suite: &str) -> Vec<String> {
    let rows = stockade_conformance::rows(suite).unwrap_or_default();
    let asked = rows.iter().filter(|r| is_askable(r));
    asked.filter_map(|row| Some(format!("{}: {}", row["id"].as_str().unwrap(), fault(row)?))).collect()
}

#[test]
fn every_row_of_the_gatekeeper_library_holds() {
    assert_eq!(faults("gatekeeper-library/cases-cel.jsonl"), [] as [String; 0]);
}

#[test]
fn every_row_of_the_kubescape_library_holds() {
    assert_eq!(faults("kubescape-cel-admission-library/cases.jsonl"), [] as [String; 0]);
}

#[test]
fn every_row_of_the_kyverno_validating_policies_holds() {
    assert_eq!(faults("kyverno-policies/cases-vpol.jsonl"), [] as [String; 0]);
}

#[test]
fn every_row_of_the_kyverno_cel_policies_holds() {
    assert_eq!(faults("kyverno-policies/cases-cel.jsonl"), [] as [String; 0]);
}

#[test]
fn every_row_of_the_kyverno_mutating_policies_holds() {
    assert_eq!(faults("kyverno-policies/cases-mpol.jsonl"), [] as [String; 0]);
}

#[test]
fn every_row_of_the_kyverno_command_lines_own_tests_holds() {
    assert_eq!(faults("kyverno-cli/cases.jsonl"), [] as [String; 0]);
}
