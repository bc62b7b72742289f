//! What a running replica writes into the status of own objects.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stockade_e2e::cluster::Cluster;
use stockade_e2e::documents::{parse, text};
use stockade_e2e::tools;
use stockade_e2e::webhook::{self, Webhook, eventually};

use super::{collection, define};

const POLICIES: &str = "/apis/stockade.dev/v1alpha1/admissionpolicies";

/// A cluster with the own kinds and one replica.
struct Scene {
    cluster: Cluster,
    webhook: Webhook,
    /// The policies before the replica started.
    before: Value,
}

impl Scene {
    /// None when it cannot be had here. `before` is applied before anybody could refuse it.
    fn new(before: Option<&str>) -> Option<Scene> {
        if !tools::present() || webhook::binary().is_none() {
            return None;
        }
        let cluster = Cluster::with_default_apis();
        define(&cluster);
        webhook::namespace(&cluster, "stockade");
        if let Some(object) = before {
            cluster.apply(object);
        }
        let before = cluster.client.get(POLICIES).expect_ok();
        let webhook = Webhook::start_in(&cluster, "stockade", "stockade", &[]);
        webhook.wait_until_ready(&cluster, "stockade");
        Some(Scene { cluster, webhook, before })
    }

    fn apply(&self, object: &str) -> String {
        let object = parse(object).unwrap().remove(0);
        let path = format!("{}/{}?fieldManager=test&force=true", collection(&object), text(&object, "/metadata/name"));
        let media = "application/apply-patch+yaml";
        self.cluster.client.request("PATCH", &path, media, Some(&object)).expect_ok();
        path.split('?').next().unwrap().to_owned()
    }

    /// The object once it has a condition with this status and reason, and how long that took.
    fn until(&self, path: &str, kind: &str, status: &str, reason: &str) -> (Value, Duration) {
        let began = Instant::now();
        let is_so = |object: &Value| {
            condition(object, kind).is_some_and(|c| {
                let current = c["observedGeneration"] == object["metadata"]["generation"];
                current && c["status"] == status && c["reason"] == reason
            })
        };
        (eventually(|| self.cluster.client.get(path).expect_ok(), is_so), began.elapsed())
    }

    /// How often the status of a policy was written, and how often it became another.
    fn writes_and_changes(&self) -> [usize; 2] {
        let writes = self.webhook.metric(r#"stockade_status_writes_total{kind="AdmissionPolicy",result="written"}"#);
        let generation =
            |object: &Value| (text(object, "/metadata/name").to_owned(), object["metadata"]["generation"].clone());
        let mut generations: BTreeMap<_, _> = self.before["items"].as_array().unwrap().iter().map(generation).collect();
        let version = text(&self.before, "/metadata/resourceVersion");
        let events = self.cluster.client.events_since(POLICIES, version);
        let is_of_status = |event: &&Value| {
            let (name, generation) = generation(&event["object"]);
            generations.insert(name, generation.clone()) == Some(generation)
        };
        [writes as usize, events.iter().filter(is_of_status).count()]
    }
}

fn condition<'o>(object: &'o Value, kind: &str) -> Option<&'o Value> {
    object["status"]["conditions"].as_array()?.iter().find(|c| c["type"] == kind)
}

fn policy(name: &str, expression: &str) -> String {
    format!(
        "apiVersion: stockade.dev/v1alpha1\nkind: AdmissionPolicy\nmetadata: {{name: {name}}}\nspec:\n  \
         matchConstraints:\n    resourceRules: [{{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: \
         [pods]}}]\n  validations:\n  - expression: {expression}\n"
    )
}

#[test]
fn a_policy_tells_whether_it_compiles_and_who_enforces_it() {
    let Some(scene) = Scene::new(Some(&policy("names", "object.metadata.("))) else { return };
    let path = format!("{POLICIES}/names");
    let (object, _) = scene.until(&path, "Enforced", "False", "NotInForce");
    let told = condition(&object, "Compiled").unwrap();
    assert_eq!([&told["status"], &told["observedGeneration"]], [&json!("False"), &json!(1)]);
    insta::assert_snapshot!(told["message"].as_str().unwrap());

    scene.apply(&policy("names", "object.metadata.name != 'a'"));
    let (object, took) = scene.until(&path, "Ready", "True", "AllReplicas");
    println!("from apply to Ready: {} ms", took.as_millis());
    assert_eq!([&object["status"]["enforced"], &object["status"]["observedGeneration"]], [&json!("1/1"), &json!(2)]);

    scene.apply(&policy("names", "object.spec.replicas == 1"));
    let (object, _) = scene.until(&path, "Ready", "True", "AllReplicas");
    assert_eq!(
        object.pointer("/status/typeChecking/expressionWarnings/0/fieldRef"),
        Some(&json!("spec.validations[0].expression"))
    );

    // What is as it should be is not written again, whatever else changes.
    let before = scene.cluster.client.get(&path).expect_ok();
    let other = scene.apply(&policy("other", "object.kind == 'Pod'"));
    scene.until(&other, "Ready", "True", "AllReplicas");
    assert_eq!(scene.cluster.client.get(&path).expect_ok(), before);
    // Nor is anything else: each write changed something.
    let [writes, _] = eventually(|| scene.writes_and_changes(), |[writes, changes]| writes == changes);
    println!("writes for four generations: {writes}");
    let _ = scene.webhook.terminate();
}

#[test]
fn exceptions_and_groups_tell_what_is_missing() {
    let Some(scene) = Scene::new(None) else { return };
    for (expires, status, reason) in
        [("2020-01-01T00:00:00Z", "True", "Expired"), ("2099-01-01T00:00:00Z", "False", "Valid")]
    {
        let path = scene.apply(&format!(
            "apiVersion: stockade.dev/v1alpha1\nkind: PolicyException\nmetadata: {{name: e, namespace: default}}\nspec: \
             {{policies: [{{name: names}}], images: ['a/*'], reason: r, owner: o, expires: '{expires}'}}\n"
        ));
        scene.until(&path, "Expired", status, reason);
        let unready = if reason == "Expired" { "Expired" } else { "PolicyNotFound" };
        scene.until(&path, "Ready", "False", unready);
    }
    scene.apply(&policy("names", "object.metadata.name != 'a'"));
    let path = "/apis/stockade.dev/v1alpha1/namespaces/default/policyexceptions/e";
    scene.until(path, "Ready", "True", "Ready");

    let group = scene.apply(
        "apiVersion: stockade.dev/v1alpha1\nkind: NamespaceGroup\nmetadata: {name: g}\nspec: {names: [default], \
         policies: [{name: names}], requireDefaultDeny: [Ingress]}\n",
    );
    let (object, _) = scene.until(&group, "Ready", "False", "Gaps");
    assert_eq!(object["status"]["gaps"], json!([{ "namespace": "default", "missing": ["default-deny Ingress"] }]));
    let deny = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": { "name": "deny" },
        "spec": { "podSelector": {}, "policyTypes": ["Ingress"] },
    });
    let path = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies";
    scene.cluster.client.post(path, &deny).expect_ok();
    let (object, took) = scene.until(&group, "Ready", "True", "NoGaps");
    println!("from NetworkPolicy to no gap: {} ms", took.as_millis());
    let status = &object["status"];
    assert_eq!(
        [&status["members"], &status["namespaces"], &status["gapCount"], &status["gaps"]],
        [&json!(1), &json!(["default"]), &json!(0), &json!([])]
    );
    let _ = scene.webhook.terminate();
}
