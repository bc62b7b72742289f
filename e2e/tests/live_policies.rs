//! Policies that live in the cluster: from `kubectl apply` to enforced, and what happens when something is wrong.

#![expect(clippy::unwrap_used, reason = "tests")]

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use stockade_e2e::certificates::Authority;
use stockade_e2e::client::Answer;
use stockade_e2e::cluster::Cluster;
use stockade_e2e::tools;
use stockade_e2e::webhook::{self, Webhook, eventually, write_certificate};

const CRD_PATH: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// A cluster with the own kinds, and a webhook that judges by them, registered by hand.
struct Scene {
    cluster: Cluster,
    name: &'static str,
    authority: Authority,
    webhook: Webhook,
}

impl Scene {
    /// None when it cannot be had here.
    fn new(name: &'static str) -> Option<Scene> {
        if !tools::present() || webhook::binary().is_none() {
            return None;
        }
        let cluster = Cluster::with_default_apis();
        let folder = cluster.folder().join(name);
        let certs = folder.join("certs");
        std::fs::create_dir_all(&certs).unwrap();
        let authority = Authority::mint(name);
        write_certificate(&certs, &authority, &authority.server());
        own_kinds(&cluster);
        webhook::namespace(&cluster, name);
        let webhook = Webhook::start_in(&cluster, name, &certs, &[]);
        webhook.wait_until_ready(&cluster, name);
        let scene = Scene { cluster, name, authority, webhook };
        scene.register("pods", "", &["configmaps", "pods"], json!({ "matchLabels": { "e2e": name } }));
        Some(scene)
    }

    /// Has the API server ask about these resources, in namespaces that the selector selects.
    fn register(&self, entry: &str, group: &str, resources: &[&str], namespaces: Value) {
        let configuration = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": { "name": entry },
            "webhooks": [{
                "name": format!("{entry}.stockade.dev"),
                "clientConfig": {
                    "url": format!("https://127.0.0.1:{}/validate", self.webhook.port),
                    "caBundle": BASE64_STANDARD.encode(&self.authority.pem),
                },
                "namespaceSelector": namespaces,
                "rules": [{
                    "operations": ["CREATE", "UPDATE"], "apiGroups": [group], "apiVersions": ["*"],
                    "resources": resources, "scope": "*",
                }],
                "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": "Fail", "timeoutSeconds": 10,
            }],
        });
        let path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
        self.cluster.client.post(path, &configuration).expect_ok();
    }

    /// Asks for a Pod of this name, which is not made.
    fn pod(&self, name: &str) -> Answer {
        let path = format!("/api/v1/namespaces/{}/pods?dryRun=All", self.name);
        self.cluster.client.post(&path, &webhook::pod(name, &json!({})))
    }
}

/// Serves the own kinds.
fn own_kinds(cluster: &Cluster) {
    for (kind, plural, scope) in [
        ("AdmissionPolicy", "admissionpolicies", "Cluster"),
        ("PolicyException", "policyexceptions", "Namespaced"),
        ("NamespaceGroup", "namespacegroups", "Cluster"),
    ] {
        let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": { "name": format!("{plural}.stockade.dev") },
            "spec": {
                "group": "stockade.dev", "scope": scope,
                "names": { "kind": kind, "plural": plural },
                "versions": [{
                    "name": "v1alpha1", "served": true, "storage": true,
                    "schema": { "openAPIV3Schema": schema }, "subresources": { "status": {} },
                }],
            },
        });
        cluster.client.post(CRD_PATH, &definition).expect_ok();
        let path = format!("/apis/stockade.dev/v1alpha1/{plural}");
        eventually(|| cluster.client.get(&path), Answer::ok);
    }
}

/// An AdmissionPolicy that refuses Pods of this name.
fn refuses(policy: &str, pod: &str) -> String {
    format!(
        "apiVersion: stockade.dev/v1alpha1\nkind: AdmissionPolicy\nmetadata: {{name: {policy}}}\nspec:\n  \
         matchConstraints: {{resourceRules: [{{apiGroups: [\"\"], apiVersions: [v1], operations: [CREATE], resources: \
         [pods]}}]}}\n  validations:\n  - expression: object.metadata.name != '{pod}'\n    message: no {pod} here\n"
    )
}

#[test]
fn a_policy_is_enforced_when_it_is_applied_edited_and_until_it_is_deleted() {
    let Some(scene) = Scene::new("applied") else { return };
    assert!(scene.pod("first").ok());
    let applied = scene.cluster.kubectl(&["apply", "-f", "-"], &refuses("names", "first"));
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    let refused = eventually(|| scene.pod("first"), |answer| !answer.ok());
    assert!(refused.message().contains("no first here"), "{}", refused.message());
    assert!(scene.pod("second").ok());

    scene.cluster.kubectl(&["apply", "-f", "-"], &refuses("names", "second"));
    eventually(|| scene.pod("second"), |answer| answer.message().contains("no second here"));
    assert!(scene.pod("first").ok());

    scene.cluster.kubectl(&["delete", "admissionpolicy", "names"], "");
    eventually(|| scene.pod("second"), Answer::ok);
}
