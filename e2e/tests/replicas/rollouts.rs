//! A policy on two replicas: both have it in force, one that lags is counted out, what one replica stops the other stops
//! too, and what both count is added up.

use std::time::Instant;

use serde_json::{Value, json};
use stockade_e2e::client::Client;
use stockade_e2e::cluster::Cluster;
use stockade_e2e::documents::text;
use stockade_e2e::webhook::{self, Webhook, eventually};
use stockade_e2e::{installed_kinds, tools};

use super::certificates::bundle;
use super::processes::{leader, ready};
use super::{NAMESPACE, make_namespace};

const POLICY: &str = "/apis/stockade.dev/v1alpha1/admissionpolicies/budgeted";
const NAMES: [&str; 2] = ["r0", "r1"];
/// Edits in one of which a replica is seen that lags.
const MAX_EDITS: i64 = 5;

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

/// Two replicas that enforce the first policy.
struct Scene {
    replicas: [Replica; 2],
    cluster: Cluster,
}

impl Scene {
    /// None when it cannot be had here.
    fn new() -> Option<Scene> {
        if !tools::present() || webhook::binary().is_none() {
            return None;
        }
        let cluster = Cluster::with_default_apis();
        installed_kinds::own(&cluster);
        make_namespace(&cluster, NAMESPACE);
        let webhooks = NAMES.map(|name| Webhook::start_in(&cluster, NAMESPACE, name, &[]));
        webhooks.iter().zip(NAMES).for_each(|(webhook, name)| webhook.wait_until_ready(&cluster, name));
        eventually(|| ready(&cluster), |ready| *ready == NAMES);
        let replicas = webhooks.map(|webhook| {
            let client = Client::new(&format!("https://127.0.0.1:{}", webhook.port), &bundle(&cluster), "");
            Replica { webhook, client }
        });
        let scene = Scene { replicas, cluster };
        scene.cluster.apply(&policy("first"));
        assert_eq!(scene.enforced(1, &["2/2"]), ["2/2", "True", "AllReplicas"]);
        Some(scene)
    }

    /// The one that leads, and the other.
    fn leader_and_follower(&self) -> [&Replica; 2] {
        let leads = eventually(|| leader(&self.cluster), |leader| !leader.is_empty());
        let [first, second] = &self.replicas;
        if leads == NAMES[0] { [first, second] } else { [second, first] }
    }

    /// Waits until the policy's status says of this generation that so many replicas enforce it: one of these. Gives it
    /// and the condition's status and reason.
    fn enforced(&self, generation: i64, replicas: &[&str]) -> [Value; 3] {
        let is_so = |policy: &Value| {
            let status = &policy["status"];
            status["observedGeneration"] == generation && replicas.contains(&text(status, "/enforced"))
        };
        let policy = eventually(|| self.cluster.client.get(POLICY).expect_ok(), is_so);
        let conditions = policy["status"]["conditions"].as_array().unwrap();
        let condition = conditions.iter().find(|c| c["type"] == "Enforced").unwrap();
        [&policy["status"]["enforced"], &condition["status"], &condition["reason"]].map(Value::clone)
    }

    /// Edits the policy while one replica does not look, and gives what was said of that.
    fn edited_behind(&self, replica: &Replica, generation: i64) -> [Value; 3] {
        replica.webhook.pause();
        self.cluster.apply(&policy(&format!("second {generation}")));
        let said = self.enforced(generation, &["1/2", "1/1"]);
        replica.webhook.resume();
        assert_eq!(self.enforced(generation, &["2/2"]), ["2/2", "True", "AllReplicas"]);
        said
    }
}

#[test]
fn a_replica_that_lags_is_counted_out_and_a_rollout_that_one_stops_is_stopped_on_all() {
    let Some(scene) = Scene::new() else { return };
    let [leading, following] = scene.leader_and_follower();

    // One that does not look is still there for the term of its Lease, and enforces the version before. Where the leader
    // needs longer than that term to say so, there is nothing to see, and it is looked at once more.
    let lagged = |generation: &i64| {
        let said = scene.edited_behind(following, *generation);
        let lagged = said[0] == "1/2";
        assert!(!lagged || said[1..] == ["False", "Progressing"], "{said:?}");
        lagged
    };
    let generation = (2..2 + MAX_EDITS).find(lagged).unwrap();

    // The follower alone is asked, and stops the rollout.
    for number in 0..4 {
        let told = following.asked(&format!("bad-{number}"));
        assert!(matches!(&told, Told::Denied(message) if message.contains("second")), "{told:?}");
    }
    let began = Instant::now();
    let held = |told: &Told| matches!(told, Told::Warned(warning) if warning.contains("now on hold"));
    assert!(held(&following.asked("bad")), "the one that counted stops at once");
    let rollout = || scene.cluster.client.get(POLICY).expect_ok()["status"]["rollout"].take();
    let status = eventually(rollout, |rollout| rollout["held"] == true);
    assert_eq!(
        [&status["observedGeneration"], &status["denied"], &status["judged"]],
        [&json!(generation), &json!(4), &json!(4)]
    );
    eventually(|| leading.asked("bad"), held);
    eprintln!("a rollout that one replica stopped is stopped on the other after {} ms", began.elapsed().as_millis());

    // An edit lets it go on everywhere.
    scene.cluster.apply(&policy("third"));
    assert_eq!(scene.enforced(generation + 1, &["2/2"]), ["2/2", "True", "AllReplicas"]);
    for replica in &scene.replicas {
        let told = replica.asked("bad");
        assert!(matches!(&told, Told::Denied(message) if message.contains("third")), "{told:?}");
    }
}

#[test]
fn what_a_shadow_differs_in_on_each_replica_is_added_up_in_its_status() {
    let Some(scene) = Scene::new() else { return };
    scene.cluster.apply(SHADOW);
    let shadow = || scene.cluster.client.get("/apis/stockade.dev/v1alpha1/admissionpolicies/shadow").expect_ok();
    eventually(shadow, |policy| policy["status"]["enforced"] == "2/2");
    for (replica, names) in scene.replicas.iter().zip([["new", "good"], ["bad", "good"]]) {
        for name in names {
            replica.asked(name);
        }
    }
    let counted =
        json!({ "observedGeneration": 1, "judged": 4, "differences": 2, "newlyFails": 1, "noLongerFails": 1 });
    eventually(|| shadow()["status"]["shadow"].take(), |status| *status == counted);
}
