//! What exists is judged in the background and reported.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "audit/definitions.rs"]
mod definitions;
#[path = "audit/exceptions.rs"]
mod exceptions;
#[path = "audit/flows.rs"]
mod flows;
#[path = "audit/images.rs"]
mod images;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use stockade_e2e::client::Answer;
use stockade_e2e::cluster::Cluster;
use stockade_e2e::webhook::{self, Webhook, eventually};
use stockade_e2e::{installed_kinds, tools};

const REPORTS: &str = "/apis/openreports.io/v1alpha1";
/// Looks at what is judged again after a change: on a slow machine something else may be due at the same time, but not
/// each time.
const MAX_LOOKS: usize = 5;
const NETWORK_POLICIES: &str = "/apis/networking.k8s.io/v1/namespaces/bank/networkpolicies";

/// ConfigMaps must say that they are good, Pods must be isolated, and, natively, ServiceAccounts must have a team.
const POLICIES: &str = r#"
apiVersion: stockade.dev/v1alpha1
kind: AdmissionPolicy
metadata: {name: good}
spec:
  # Recorded, not refused: the webhook is registered, and these tests make what violates it.
  actions: [Audit]
  severity: high
  category: Manners
  matchConstraints:
    namespaceSelector: {matchLabels: {audited: "true"}}
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps]}]
  matchConditions: [{name: own, expression: "object.metadata.name.startsWith('map-')"}]
  validations: [{expression: "object.data.state == 'good'", message: be good}]
---
apiVersion: stockade.dev/v1alpha1
kind: AdmissionPolicy
metadata: {name: isolated}
spec:
  actions: [Warn]
  matchConstraints:
    namespaceSelector: {matchLabels: {audited: "true"}}
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  validations: [{expression: "network.ingress(object).isolated()", message: isolate it}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: native}
spec:
  matchConstraints:
    namespaceSelector: {matchLabels: {audited: "true"}}
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [serviceaccounts]}]
  validations: [{expression: "has(object.metadata.labels) && 'team' in object.metadata.labels", message: whose is it}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: native-everywhere}
spec: {policyName: native, validationActions: [Audit]}
"#;

/// A cluster with the kinds.
struct Scene {
    cluster: Cluster,
}

impl Scene {
    /// With the definitions of reports that the chart has. None when it cannot be had here.
    fn new() -> Option<Scene> {
        Self::with_reports(installed_kinds::reports)
    }

    /// With others' definitions of reports.
    fn with_reports(install: impl FnOnce(&Cluster)) -> Option<Scene> {
        if !tools::present() || webhook::binary().is_none() {
            return None;
        }
        let cluster = Cluster::with_default_apis();
        installed_kinds::own(&cluster);
        install(&cluster);
        webhook::namespace(&cluster, "stockade-system");
        Some(Scene { cluster })
    }

    fn replica(&self, name: &str) -> Webhook {
        self.replica_with(name, &[])
    }

    fn replica_with(&self, name: &str, flags: &[&str]) -> Webhook {
        let webhook = Webhook::start_with(&self.cluster, "stockade-system", name, &[], flags);
        webhook.wait_until_ready(&self.cluster, name);
        webhook
    }

    fn namespace(&self, name: &str) {
        let namespace = json!({"metadata": {"name": name, "labels": {"audited": "true"}}});
        self.cluster.client.post("/api/v1/namespaces", &namespace).expect_ok();
    }

    fn config_map(&self, namespace: &str, name: &str, state: &str) -> Answer {
        let map = json!({"metadata": {"name": name}, "data": {"state": state}});
        let path = format!("/api/v1/namespaces/{namespace}/configmaps");
        match self.cluster.client.put(&format!("{path}/{name}"), &map) {
            answer if answer.code == 404 => self.cluster.client.post(&path, &map),
            answer => answer,
        }
    }

    /// Runs the command line as the user of the kubeconfig, with policies of files.
    fn command_line(&self, arguments: &[&str], policies: &Path) -> Output {
        let mut command = Command::new(webhook::binary().unwrap());
        command.args(arguments).arg("--policies").arg(policies);
        command.arg("--kubeconfig").arg(self.cluster.kubeconfig()).output().unwrap()
    }

    fn report(&self, namespace: &str) -> Answer {
        self.cluster.client.get(&format!("{REPORTS}/namespaces/{namespace}/reports/stockade"))
    }

    /// Waits until the report of a namespace has results like these: kind, name, policy, result.
    #[track_caller]
    fn reported(&self, namespace: &str, wanted: &[[&str; 4]]) -> Value {
        let results = |answer: &Answer| -> Vec<[String; 4]> {
            let results = answer.body["results"].as_array().cloned().unwrap_or_default();
            let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
            let told = |r: &Value| {
                let object = &r["resources"][0];
                [text(&object["kind"]), text(&object["name"]), text(&r["policy"]), text(&r["result"])]
            };
            results.iter().map(told).collect()
        };
        eventually(|| self.report(namespace), |answer| results(answer) == wanted).body
    }
}

/// Counters `stockade_audit_objects_judged_total` by resource.
fn judged(webhook: &Webhook) -> BTreeMap<String, u64> {
    let text = webhook.health("metrics").unwrap().1;
    let lines = text.lines().filter_map(|l| l.strip_prefix("stockade_audit_objects_judged_total{resource=\""));
    lines.filter_map(|l| l.split_once("\"} ")).map(|(r, n)| (r.to_owned(), n.parse().unwrap())).collect()
}

#[test]
fn what_exists_is_reported_and_what_changes_is_judged_again_and_nothing_else() {
    let Some(scene) = Scene::new() else { return };
    let client = &scene.cluster.client;
    for namespace in ["shop", "bank"] {
        scene.namespace(namespace);
        for pod in ["one", "two"] {
            let path = format!("/api/v1/namespaces/{namespace}/pods");
            client.post(&path, &webhook::pod(pod, &json!({}))).expect_ok();
        }
    }
    scene.config_map("shop", "map-a", "bad").expect_ok();
    scene.config_map("shop", "map-b", "good").expect_ok();
    client.post("/api/v1/namespaces/bank/serviceaccounts", &json!({"metadata": {"name": "robot"}})).expect_ok();
    scene.cluster.apply(POLICIES);
    let replica = scene.replica("first");

    // What was there before.
    let pods = [["Pod", "one", "isolated", "warn"], ["Pod", "two", "isolated", "warn"]];
    let mut report = scene.reported("shop", &[["ConfigMap", "map-a", "good", "fail"], pods[0], pods[1]]);
    let map = client.get("/api/v1/namespaces/shop/configmaps/map-a").expect_ok();
    let time = report["results"][0]["timestamp"].take();
    assert!(time["seconds"].as_i64().unwrap() > 1_700_000_000 && time["nanos"] == 0, "{time}");
    let expected = json!({
        "policy": "good", "rule": "validations[0]", "category": "Manners", "severity": "high", "result": "fail",
        "scored": true, "message": "be good", "timestamp": null, "properties": {"binding": "good"},
        "resources": [{"apiVersion": "v1", "kind": "ConfigMap", "namespace": "shop", "name": "map-a", "uid": map["metadata"]["uid"]}],
    });
    assert_eq!(report["results"][0], expected);
    let scope = json!({"apiVersion": "v1", "kind": "Namespace", "name": "shop"});
    assert_eq!((&report["source"], &report["scope"]), (&json!("stockade"), &scope));
    // A native policy that the API server does not hold against what exists.
    let native = ["ServiceAccount", "robot", "native", "fail"];
    scene.reported("bank", &[native, pods[0], pods[1]]);
    let table = scene.cluster.kubectl(&["get", "reports", "-A"], "").stdout;
    let rows: Vec<Vec<&str>> = table.lines().map(|l| l.split_whitespace().take(7).collect()).collect();
    assert_eq!(rows[0], ["NAMESPACE", "NAME", "PASS", "FAIL", "WARN", "ERROR", "SKIP"]);
    assert!(rows.iter().any(|r| r[..2] == ["shop", "stockade"] && r[3..6] == ["1", "2", "0"]), "{table}");

    // The same, read once by the command line as the user of a kubeconfig.
    let policies = scene.cluster.folder().join("policies.yaml");
    std::fs::write(&policies, POLICIES).unwrap();
    let output = scene.command_line(&["audit", "-q", "-o", "json"], &policies);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!((&found["summary"]["fail"], &found["summary"]["warn"]), (&json!(2), &json!(4)), "{found}");

    // An object is mended.
    scene.config_map("shop", "map-a", "good").expect_ok();
    scene.reported("shop", &pods);

    // What policies read changes: only Pods of that namespace are judged again.
    let policy = json!({"metadata": {"name": "closed"}, "spec": {"podSelector": {}, "policyTypes": ["Ingress"]}});
    let open = || {
        client.delete(&format!("{NETWORK_POLICIES}/closed")).expect_ok();
        scene.reported("bank", &[native, pods[0], pods[1]]);
    };
    let close = || {
        let before = judged(&replica);
        client.post(NETWORK_POLICIES, &policy).expect_ok();
        scene.reported("bank", &[native]);
        let mut again = judged(&replica);
        again.iter_mut().for_each(|(resource, count)| *count -= before.get(resource).copied().unwrap_or(0));
        again.retain(|_, count| *count > 0);
        again
    };
    let only_pods = BTreeMap::from([("pods".to_owned(), 2)]);
    let mut again = close();
    for _ in 1..MAX_LOOKS {
        if again != only_pods {
            open();
            again = close();
        }
    }
    assert_eq!(again, only_pods);

    // A violation that is new is told as an event.
    scene.config_map("shop", "map-b", "bad").expect_ok();
    scene.reported("shop", &[["ConfigMap", "map-b", "good", "fail"], pods[0], pods[1]]);
    let events = || -> Vec<[Value; 3]> {
        let list = client.get("/apis/events.k8s.io/v1/namespaces/shop/events").expect_ok();
        let told = |e: &Value| [e["regarding"]["name"].clone(), e["reason"].clone(), e["note"].clone()];
        list["items"].as_array().unwrap().iter().map(told).collect()
    };
    eventually(events, |events| *events == [["map-b", "PolicyViolation", "policy good: be good"]]);

    // Another process judges everything anew, and writes nothing.
    let versions = || ["shop", "bank"].map(|n| scene.report(n).body["metadata"]["resourceVersion"].clone());
    let written = versions();
    replica.terminate();
    let replica = scene.replica("second");
    let seconds = || replica.metric("stockade_audit_pass_duration_seconds");
    eventually(seconds, |seconds| *seconds > 0.0);
    open();
    assert_eq!(versions()[0], written[0]);
    eventually(|| replica.metric(r#"stockade_audit_report_writes_total{verb="apply"}"#), |writes| *writes == 1.0);

    // Policies go, and what they found with them.
    for (kind, name) in
        [("admissionpolicy", "isolated"), ("admissionpolicy", "good"), ("validatingadmissionpolicy", "native")]
    {
        assert_eq!(scene.cluster.kubectl(&["delete", kind, name], "").code, 0);
    }
    eventually(|| [scene.report("shop").code, scene.report("bank").code], |codes| *codes == [404, 404]);
}

#[test]
fn replicas_share_the_namespaces_and_one_that_is_killed_is_stood_in_for() {
    let Some(scene) = Scene::new() else { return };
    let namespaces: Vec<String> = (0..20).map(|n| format!("team-{n}")).collect();
    for namespace in &namespaces {
        scene.namespace(namespace);
        scene.config_map(namespace, "map-a", "bad").expect_ok();
    }
    scene.cluster.apply(POLICIES);
    let replicas = ["first", "second"].map(|name| scene.replica(name));
    let violations = r#"stockade_audit_violations{policy="good",result="fail"}"#;
    let shares = || [replicas[0].metric(violations), replicas[1].metric(violations)];
    let shares = eventually(shares, |shares| shares.iter().sum::<f64>() == 20.0 && shares.iter().all(|s| *s > 0.0));
    for namespace in &namespaces {
        scene.reported(namespace, &[["ConfigMap", "map-a", "good", "fail"]]);
    }

    replicas[0].kill();
    for namespace in &namespaces {
        scene.config_map(namespace, "map-b", "bad").expect_ok();
    }
    let both = [["ConfigMap", "map-a", "good", "fail"], ["ConfigMap", "map-b", "good", "fail"]];
    for namespace in &namespaces {
        scene.reported(namespace, &both);
    }
    println!("shares of two replicas: {shares:?}; of the one that is left: {}", replicas[1].metric(violations));
}
