//! What node agents saw pass, in reports and in the answers of admission. The agents are played by the test.

use serde_json::{Value, json};
use stockade_e2e::client::Client;
use stockade_e2e::cluster::Kubectl;
use stockade_e2e::webhook::eventually;

use super::Scene;

const SUMMARIES: &str = "/apis/stockade.dev/v1alpha1/flowsummaries";

/// The kind, as far as the API server has to know it.
const CLUSTER_NETWORK_POLICIES: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: clusternetworkpolicies.policy.networking.k8s.io
  annotations: {api-approved.kubernetes.io: "https://github.com/kubernetes-sigs/network-policy-api/pull/30"}
spec:
  group: policy.networking.k8s.io
  scope: Cluster
  names: {kind: ClusterNetworkPolicy, plural: clusternetworkpolicies, singular: clusternetworkpolicy}
  versions:
    - name: v1alpha2
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"#;

/// Closes `db`; audited or not.
fn policy(enforcement: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": { "namespace": "shop", "name": "db", "annotations": { "stockade.dev/enforcement": enforcement } },
        "spec": { "podSelector": { "matchLabels": { "app": "db" } }, "policyTypes": ["Ingress"] },
    })
}

/// What an agent writes: `web` talked with `db`, so often.
fn tell(client: &Client, node: &str, count: u64) {
    let now = jiff::Timestamp::now();
    let pods = |app: &str| json!({ "namespace": "shop", "labels": { "app": app } });
    let talk = json!({
        "first": "2026-03-01T10:00:00Z", "last": now.to_string(), "count": count, "direction": "ingress",
        "verdict": "would-deny", "protocol": "TCP", "port": 5432, "from": pods("web"), "to": pods("db"),
    });
    let spec = json!({ "observedTime": now.to_string(), "leftOut": 0, "talks": [talk] });
    let object = json!({
        "apiVersion": "stockade.dev/v1alpha1", "kind": "FlowSummary", "metadata": { "name": node }, "spec": spec,
    });
    if client.post(SUMMARIES, &object).code == 409 {
        client.merge(&format!("{SUMMARIES}/{node}"), &json!({ "spec": spec })).expect_ok();
    }
}

/// The answer to a change that is thrown away, when it tells what would be cut.
fn warned(scene: &Scene, object: &Value) -> Kubectl {
    let apply = || scene.cluster.kubectl(&["apply", "--dry-run=server", "-f", "-"], &object.to_string());
    eventually(apply, |answer| answer.stderr.contains("would be cut"))
}

#[test]
fn what_audited_network_policies_would_deny_is_reported_and_who_would_cut_it_is_warned() {
    let Some(scene) = Scene::new() else { return };
    let client = &scene.cluster.client;
    scene.namespace("shop");
    scene.cluster.apply(&policy("Audit").to_string());
    tell(client, "one", 20);
    tell(client, "two", 22);
    let _replica = scene.replica_with("first", &["--node-agents"]);

    let report = scene.reported("shop", &[["NetworkPolicy", "db", "db", "fail"]]);
    let expected = json!({
        "policy": "db", "rule": "ingress", "category": "Network flows", "result": "fail", "scored": true,
        "timestamp": { "seconds": 1_772_359_200, "nanos": 0 },
        "message": "TCP 5432 from Pods of shop (app=web) would be denied: no rule of the policies that select this Pod \
            accepts it (db)",
        "resources": [{ "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "namespace": "shop", "name": "db" }],
        "properties": {
            "connections": "10 or more", "from": "shop (app=web)", "port": "5432", "protocol": "TCP", "to": "shop (app=db)",
        },
    });
    assert_eq!(report["results"][0], expected);
    assert_eq!((&report["summary"]["fail"], &report["scope"]["name"]), (&json!(1), &json!("shop")));

    // Whoever would enforce it is warned, and not refused; nothing is changed. No policy asks about any of it.
    let warned = warned(&scene, &policy("Enforce"));
    assert_eq!(warned.code, 0, "{}", warned.stderr);
    for line in [
        "Warning: 42 recorded connections of the last hour would be cut by this change\n",
        "Warning: would be cut: shop/web -> shop/db TCP 5432, 42 times, last at ",
    ] {
        assert!(warned.stderr.contains(line), "{}", warned.stderr);
    }

    // More of the same is no write; ten times as much is.
    tell(client, "one", 60);
    tell(client, "two", 80);
    eventually(
        || scene.report("shop").body["results"][0]["properties"]["connections"].clone(),
        |said| said == "100 or more",
    );

    // What is not told of any more is in no report.
    for node in ["one", "two"] {
        client.delete(&format!("{SUMMARIES}/{node}")).expect_ok();
    }
    eventually(|| scene.report("shop").body["results"].clone(), Value::is_null);
}

#[test]
fn who_has_a_namespace_enforced_or_edits_a_cluster_network_policy_is_warned_of_what_it_would_cut() {
    let Some(scene) = Scene::new() else { return };
    let client = &scene.cluster.client;
    let namespace = |name: &str, enforcement: &str| {
        let annotations = json!({ "stockade.dev/enforcement": enforcement });
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "annotations": annotations } })
    };
    scene.cluster.apply(CLUSTER_NETWORK_POLICIES);
    for name in ["shop", "bank"] {
        scene.cluster.apply(&namespace(name, "Audit").to_string());
    }
    scene.cluster.apply(&policy("Enforce").to_string());
    tell(client, "one", 20);
    let replica = scene.replica_with("first", &["--node-agents"]);

    let cut = "Warning: 20 recorded connections of the last hour would be cut by this change\n";
    let enforced = warned(&scene, &namespace("shop", "Enforce"));
    assert_eq!((enforced.code, enforced.stderr.contains(cut)), (0, true), "{}", enforced.stderr);

    let closed = json!({
        "apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy", "metadata": { "name": "closed" },
        "spec": {
            "tier": "Admin", "priority": 1, "subject": { "namespaces": {} },
            "ingress": [{ "action": "Deny", "from": [{ "namespaces": {} }] }],
        },
    });
    let closed = warned(&scene, &closed);
    assert_eq!((closed.code, closed.stderr.contains(cut)), (0, true), "{}", closed.stderr);

    // Nothing else of a Namespace is asked about.
    let asked = || {
        let counted = r#"stockade_admission_requests_total{verb="warn",decision="allowed"}"#;
        replica.metric(counted)
    };
    let before = asked();
    client.merge("/api/v1/namespaces/bank", &json!({ "metadata": { "labels": { "team": "bank" } } })).expect_ok();
    client
        .merge("/api/v1/namespaces/shop", &json!({ "metadata": { "annotations": { "note": "audited" } } }))
        .expect_ok();
    assert_eq!(asked(), before);
}
