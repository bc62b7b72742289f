//! Policies that show when all changes of policies before them are in force.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{IN_FORCE_WITHIN, Oracle, collection_of};
use crate::documents::text;

impl Oracle<'_> {
    /// Puts a marker policy of each kind behind all changes so far and waits until it acts. Events of one kind keep
    /// their order, so what was posted or deleted before it is then in force or gone too.
    pub(super) fn wait_until_in_force(&self) {
        let generation = self.generation.fetch_add(1, Ordering::Relaxed) + 1;
        let old = markers(generation - 1);
        for document in markers(generation) {
            self.client.post(&collection_of(&document), &document).expect_ok();
        }
        for document in old {
            self.client.delete(&format!("{}/{}", collection_of(&document), text(&document, "/metadata/name")));
        }
        // No suite has a policy about Leases.
        let probe = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": { "name": "stockade-marker" },
            "spec": { "holderIdentity": generation.to_string() },
        });
        let deadline = Instant::now() + IN_FORCE_WITHIN;
        let path = "/apis/coordination.k8s.io/v1/namespaces/default/leases?dryRun=All&fieldManager=marker";
        loop {
            let answer = self.client.post(path, &probe);
            let mutated =
                self.recorder.take("marker").mutating.is_some_and(|review| {
                    text(&review, "/request/object/metadata/labels/seen") == generation.to_string()
                });
            let marker = format!("'stockade-marker-{generation}'");
            if mutated && answer.warnings.iter().any(|warning| warning.contains(&marker)) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "the marker is never in force: {answer:?}\n{}",
                self.cluster.log("kube-apiserver")
            );
            std::thread::sleep(Duration::from_millis(25));
        }
    }
}

/// A policy and binding of each kind, about a Lease of its own.
pub(super) fn markers(generation: usize) -> Vec<Value> {
    if generation == 0 {
        return Vec::new();
    }
    let name = format!("stockade-marker-{generation}");
    let rules = json!({ "resourceRules": [{
        "apiGroups": ["coordination.k8s.io"], "apiVersions": ["v1"], "resources": ["leases"], "operations": ["CREATE"],
    }] });
    let condition = json!([{ "name": "marker", "expression": "request.name == 'stockade-marker'" }]);
    let document = |kind: &str, spec: Value| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": { "name": name }, "spec": spec,
        })
    };
    let seen = format!("Object{{metadata: Object.metadata{{labels: {{'seen': '{generation}'}}}}}}");
    vec![
        document(
            "MutatingAdmissionPolicy",
            json!({
                "matchConstraints": rules, "matchConditions": condition, "failurePolicy": "Fail", "reinvocationPolicy": "Never",
                "mutations": [{ "patchType": "ApplyConfiguration", "applyConfiguration": { "expression": seen } }],
            }),
        ),
        document("MutatingAdmissionPolicyBinding", json!({ "policyName": name })),
        document(
            "ValidatingAdmissionPolicy",
            json!({
                "matchConstraints": rules, "matchConditions": condition,
                "validations": [{ "expression": format!("object.spec.holderIdentity != '{generation}'") }],
            }),
        ),
        document("ValidatingAdmissionPolicyBinding", json!({ "policyName": name, "validationActions": ["Warn"] })),
    ]
}
