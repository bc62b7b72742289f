//! What node agents saw pass, in reports and in the answers of admission. The agents are played by the test.

use serde_json::{Value, json};
use stockade_e2e::client::Client;
use stockade_e2e::webhook::eventually;

use super::Scene;

const SUMMARIES: &str = "/apis/stockade.dev/v1alpha1/flowsummaries";

/// Has the API server ask about NetworkPolicies; all are good.
const ASKED: &str = r"
apiVersion: stockade.dev/v1alpha1
kind: AdmissionPolicy
metadata: {name: asked}
spec:
  matchConstraints:
    resourceRules:
      - {apiGroups: [networking.k8s.io], apiVersions: [v1], operations: [CREATE, UPDATE, DELETE], resources: [networkpolicies]}
  validations: [{expression: 'true'}]
";

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

#[test]
fn what_audited_network_policies_would_deny_is_reported_and_who_would_cut_it_is_warned() {
    let Some(scene) = Scene::new() else { return };
    let client = &scene.cluster.client;
    scene.namespace("shop");
    scene.cluster.apply(ASKED);
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

    // Whoever would enforce it is warned, and not refused; nothing is changed.
    let enforced = policy("Enforce").to_string();
    let apply = || scene.cluster.kubectl(&["apply", "--dry-run=server", "-f", "-"], &enforced);
    let warned = eventually(apply, |answer| answer.stderr.contains("would be cut"));
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
