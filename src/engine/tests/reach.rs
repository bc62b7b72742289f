//! How far policies reach: exceptions, groups of namespaces, staged rollouts, shadows. One crate, as linking is slow.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "reach/exceptions.rs"]
mod exceptions;
#[path = "reach/groups.rs"]
mod groups;
#[path = "support/kit.rs"]
mod kit;
#[path = "reach/passes.rs"]
mod passes;
#[path = "reach/rollouts.rs"]
mod rollouts;
#[path = "reach/shadows.rs"]
mod shadows;

use serde_json::{Value as Json, json};
use stockade_engine::decision::{FindingAction, FindingResult};
use stockade_engine::{DecideOptions, Decision, Engine, RequestBuilder};

/// 2026-06-01T00:00:00Z
const NOW: i64 = 1_780_272_000;

/// An AdmissionPolicy about everything; `spec` is its rest in flow style.
fn policy(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: stockade.dev/v1alpha1\nkind: AdmissionPolicy\nmetadata: {{name: {name}}}\nspec: {{matchConstraints: \
         {{resourceRules: [{{apiGroups: ['*'], apiVersions: ['*'], operations: ['*'], resources: ['*/*']}}]}}, {spec}}}\n---\n"
    )
}

/// One that refuses everything.
fn never(name: &str, spec: &str) -> String {
    policy(name, &format!("validations: [{{expression: 'false', message: refused}}], {spec}"))
}

/// An exception; `spec` is what it has beside reason, owner and expiry.
fn exception(namespace: &str, name: &str, spec: &str) -> String {
    format!(
        "apiVersion: stockade.dev/v1alpha1\nkind: PolicyException\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         spec: {{reason: old, owner: team, expires: '2027-01-01T00:00:00Z', {spec}}}\n---\n"
    )
}

fn pod() -> Json {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "registry.example.com/web:1"}]}})
}

fn named(name: &str) -> Json {
    let mut object = pod();
    object["metadata"]["name"] = json!(name);
    object
}

fn namespace(name: &str, labels: &Json) -> Json {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
}

fn at_now() -> DecideOptions {
    DecideOptions { now: Some(NOW), ..DecideOptions::default() }
}

fn decide(engine: &Engine, request: RequestBuilder, existing: impl IntoIterator<Item = Json>) -> Decision {
    kit::decide_review(engine, &request.review().unwrap(), &kit::facts(existing), &at_now())
}

fn judge(policies: &str, object: Json) -> Decision {
    decide(&kit::engine(policies), RequestBuilder::new().object(object), [])
}

/// Action, result and exception of each finding.
fn told(decision: &Decision) -> Vec<(FindingAction, FindingResult, Option<&str>)> {
    decision.findings.iter().map(|f| (f.action, f.result, f.exception.as_deref())).collect()
}
