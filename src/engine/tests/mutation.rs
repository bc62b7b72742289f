//! The API server's own table of mutations against objects.

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

#[path = "support/kit.rs"]
mod kit;

use serde_json::{Value as Json, json};
use stockade_cel::authorizer::{Attributes, Authorizer, Decision};
use stockade_engine::{DecideOptions, Verb};

/// Allows or denies everything.
struct Always(bool);

impl Authorizer for Always {
    fn authorize(&self, _: &Attributes) -> Decision {
        Decision { allowed: self.0, reason: String::new(), error: None }
    }
}

/// The row's mutations as policy and binding.
fn policy(row: &Json) -> String {
    let spec = json!({
        "paramKind": row["paramKind"],
        "variables": row["variables"],
        "mutations": row["mutations"],
        "reinvocationPolicy": "Never",
        "matchConstraints": {"resourceRules": [
            {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}
        ]},
    });
    let mut binding = json!({"policyName": "p"});
    if row["params"].is_object() {
        binding["paramRef"] = json!({"name": "params", "parameterNotFoundAction": "Deny"});
    }
    let spec: serde_json::Map<_, _> =
        spec.as_object().unwrap().iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), v.clone())).collect();
    let api = "admissionregistration.k8s.io/v1";
    let policy = json!({"apiVersion": api, "kind": "MutatingAdmissionPolicy", "metadata": {"name": "p"}, "spec": spec});
    let binding = json!({"apiVersion": api, "kind": "MutatingAdmissionPolicyBinding", "metadata": {"name": "b"}, "spec": binding});
    format!("{policy}\n---\n{binding}\n")
}

fn review(object: &Json) -> Json {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u",
        "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
        "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
        "name": "d", "namespace": "ns1", "operation": "CREATE", "object": object,
    }})
}

fn row_fault(row: &Json) -> Option<String> {
    let engine = match kit::try_engine(&policy(row)) {
        Ok(engine) => engine,
        Err(faults) => return Some(format!("does not compile: {faults}")),
    };
    let mut objects = Vec::new();
    if row["params"].is_object() {
        let mut params = row["params"].clone();
        params["metadata"] = json!({"name": "params", "namespace": "ns1"});
        params["apiVersion"] = row["paramKind"]["apiVersion"].clone();
        params["kind"] = row["paramKind"]["kind"].clone();
        objects.push(params);
    }
    let facts = kit::facts(objects).with_authorizer(Box::new(Always(true)));
    let options = DecideOptions { verb: Verb::Both, ..DecideOptions::default() };
    let mutate = |object: &Json| kit::decide_review(&engine, &review(object), &facts, &options);
    let decision = mutate(&row["object"]);
    match (&decision.status, row["expect"]["error_contains"].as_str()) {
        (Some(status), Some(text)) if status.message.contains(text) => None,
        (None, None) if decision.object.as_ref() == Some(&row["expect"]["object"]) => None,
        (None, Some(text)) => Some(format!("no error {text:?}")),
        // The table's server holds typed objects, which have the structs that JSON may leave out: as it presents the
        // object, the row must hold, and what it expects must be in the result.
        (_, None) => {
            let presented = mutate(&stockade_schema::normalise::normalise(row["object"].clone()));
            let object = presented.object.clone().unwrap_or_default();
            (!stockade_conformance::policies::is_within(&row["expect"]["object"], &object))
                .then(|| format!("{} {:?}", decision.object.unwrap_or_default(), presented.status))
        }
        (Some(status), _) => Some(format!("refused: {}", status.message)),
    }
}

#[test]
fn every_row_of_the_api_servers_mutation_table_holds() {
    let faults: Vec<_> = stockade_conformance::rows("k8s-apiserver/mutation.jsonl")
        .unwrap_or_default()
        .iter()
        .filter_map(|row| Some(format!("{}: {}", row["id"].as_str().unwrap(), row_fault(row)?)))
        .collect();
    assert_eq!(faults, [] as [String; 0]);
}
