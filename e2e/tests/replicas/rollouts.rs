//! A policy on two replicas: both have it in force, one that lags is counted out, what one replica stops the other stops
//! too, and what both count is added up.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use stockade_e2e::client::Client;
use stockade_e2e::cluster::Cluster;
use stockade_e2e::documents::text;
use stockade_e2e::webhook::{self, Webhook, eventually};
use stockade_e2e::{installed_kinds, tools};

use super::processes::{leader, ready};
use super::{NAMESPACE, make_namespace};

const POLICY: &str = "/apis/stockade.dev/v1alpha1/admissionpolicies/budgeted";
const NAMES: [&str; 2] = ["r0", "r1"];

/// Refuses Pods whose names begin with `bad`, until they are more than half of four.
fn policy(message: &str) -> String {
    format!(
        "apiVersion: stockade.dev/v1alpha1\nkind: AdmissionPolicy\nmetadata: {{name: budgeted}}\nspec:\n  \
         matchConstraints: {{resourceRules: [{{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}}]}}\n  \
         validations: [{{expression: \"!object.metadata.name.startsWith('bad')\", message: {message}}}]\n  \
         rollout: {{deny: {{}}, budget: {{maxDenyPercentage: 50, windowSeconds: 600, minRequests: 4}}}}\n"
    )
}

/// Would refuse Pods named `new`, and no others.
const SHADOW: &str = "apiVersion: stockade.dev/v1alpha1\nkind: AdmissionPolicy\nmetadata: {name: shadow}\nspec:\n  \
                      matchConstraints: {resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], \
                      resources: [pods]}]}\n  validations: [{expression: \"object.metadata.name != 'new'\"}]\n  \
                      shadowOf: budgeted\n";

/// A replica, asked as the API server would ask it.
struct Replica {
    webhook: Webhook,
    client: Client,
}

/// What came of a request.
#[derive(Debug)]
enum Told {
    Denied(String),
    Warned(String),
    Allowed,
}

impl Replica {
    fn asked(&self, pod: &str) -> Told {
        let mut object = webhook::pod(pod, &json!({}));
        object["metadata"]["namespace"] = json!("default");
        let pods = json!({ "group": "", "version": "v1", "resource": "pods" });
        let kind = json!({ "group": "", "version": "v1", "kind": "Pod" });
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "u", "kind": kind, "resource": pods, "requestKind": kind, "requestResource": pods,
                "name": pod, "namespace": "default", "operation": "CREATE", "userInfo": { "username": "alice" },
                "object": object, "oldObject": null, "dryRun": false, "options": null,
            },
        });
        let response = self.client.post("/validate", &review).expect_ok()["response"].take();
        match (&response["allowed"], &response["warnings"][0]) {
            (Value::Bool(false), _) => Told::Denied(text(&response, "/status/message").to_owned()),
            (_, Value::String(warning)) => Told::Warned(warning.clone()),
            _ => Told::Allowed,
        }
    }
}

fn start(cluster: &Cluster) -> [Replica; 2] {
    let webhooks = NAMES.map(|name| Webhook::start_in(cluster, NAMESPACE, name, &[]));
    webhooks.iter().zip(NAMES).for_each(|(webhook, name)| webhook.wait_until_ready(cluster, name));
    eventually(|| ready(cluster), |ready| *ready == NAMES);
    let secret = cluster.client.get(&format!("/api/v1/namespaces/{NAMESPACE}/secrets/stockade-tls")).expect_ok();
    let authority = String::from_utf8(BASE64_STANDARD.decode(text(&secret, "/data/ca.crt")).unwrap()).unwrap();
    webhooks.map(|webhook| {
        let client = Client::new(&format!("https://127.0.0.1:{}", webhook.port), &authority, "");
        Replica { webhook, client }
    })
}

/// Waits until the policy's status says by how many replicas this generation is enforced; gives it and the condition's
/// status and reason.
fn enforced(cluster: &Cluster, generation: i64, replicas: &str) -> [Value; 2] {
    let is_so = |policy: &Value| {
        let status = &policy["status"];
        status["observedGeneration"] == generation && status["enforced"] == replicas
    };
    let policy = eventually(|| cluster.client.get(POLICY).expect_ok(), is_so);
    let conditions = policy["status"]["conditions"].as_array().unwrap();
    let condition = conditions.iter().find(|c| c["type"] == "Enforced").unwrap();
    [condition["status"].clone(), condition["reason"].clone()]
}

fn apply(cluster: &Cluster, policy: &str) {
    let applied = cluster.kubectl(&["apply", "-f", "-"], policy);
    assert_eq!(applied.code, 0, "{}", applied.stderr);
}

#[test]
fn a_replica_that_lags_is_counted_out_and_a_rollout_that_one_stops_is_stopped_on_all() {
    if !tools::present() || webhook::binary().is_none() {
        return;
    }
    let cluster = Cluster::with_default_apis();
    installed_kinds::own(&cluster);
    make_namespace(&cluster, NAMESPACE);
    let replicas = start(&cluster);
    apply(&cluster, &policy("first"));
    assert_eq!(enforced(&cluster, 1, "2/2"), ["True", "AllReplicas"]);

    // One that does not look is still there for the term of its Lease, and enforces the version before.
    let leads = eventually(|| leader(&cluster), |leader| !leader.is_empty());
    let [leading, following] = if leads == NAMES[0] { [0, 1] } else { [1, 0] };
    replicas[following].webhook.pause();
    apply(&cluster, &policy("second"));
    assert_eq!(enforced(&cluster, 2, "1/2"), ["False", "Progressing"]);
    replicas[following].webhook.resume();
    assert_eq!(enforced(&cluster, 2, "2/2"), ["True", "AllReplicas"]);

    // The follower alone is asked, and stops the rollout.
    for number in 0..4 {
        let told = replicas[following].asked(&format!("bad-{number}"));
        assert!(matches!(&told, Told::Denied(message) if message.contains("second")), "{told:?}");
    }
    let began = Instant::now();
    let held = |told: &Told| matches!(told, Told::Warned(warning) if warning.contains("now on hold"));
    assert!(held(&replicas[following].asked("bad")), "the one that counted stops at once");
    let rollout = || cluster.client.get(POLICY).expect_ok()["status"]["rollout"].take();
    let status = eventually(rollout, |rollout| rollout["held"] == true);
    assert_eq!(
        [&status["observedGeneration"], &status["denied"], &status["judged"]],
        [&json!(2), &json!(4), &json!(4)]
    );
    eventually(|| replicas[leading].asked("bad"), held);
    let took = began.elapsed();
    eprintln!("a rollout that one replica stopped is stopped on the other after {} ms", took.as_millis());
    assert!(took < Duration::from_secs(5));

    // An edit lets it go on everywhere.
    apply(&cluster, &policy("third"));
    assert_eq!(enforced(&cluster, 3, "2/2"), ["True", "AllReplicas"]);
    for replica in &replicas {
        let told = replica.asked("bad");
        assert!(matches!(&told, Told::Denied(message) if message.contains("third")), "{told:?}");
    }
}

#[test]
fn what_a_shadow_differs_in_on_each_replica_is_added_up_in_its_status() {
    if !tools::present() || webhook::binary().is_none() {
        return;
    }
    let cluster = Cluster::with_default_apis();
    installed_kinds::own(&cluster);
    make_namespace(&cluster, NAMESPACE);
    let replicas = start(&cluster);
    apply(&cluster, &policy("first"));
    apply(&cluster, SHADOW);
    let shadow = || cluster.client.get("/apis/stockade.dev/v1alpha1/admissionpolicies/shadow").expect_ok();
    eventually(shadow, |policy| policy["status"]["enforced"] == "2/2");
    for (replica, names) in replicas.iter().zip([["new", "good"], ["bad", "good"]]) {
        for name in names {
            replica.asked(name);
        }
    }
    let counted =
        json!({ "observedGeneration": 1, "judged": 4, "differences": 2, "newlyFails": 1, "noLongerFails": 1 });
    eventually(|| shadow()["status"]["shadow"].take(), |status| *status == counted);
}
