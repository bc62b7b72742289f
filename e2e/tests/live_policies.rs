//! Policies that live in the cluster: from `kubectl apply` to enforced, and what happens when something is wrong.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stockade_e2e::client::Answer;
use stockade_e2e::cluster::Cluster;
use stockade_e2e::documents::text;
use stockade_e2e::webhook::{self, WITHIN, Webhook, eventually};
use stockade_e2e::{installed_kinds, tools};

#[path = "live_policies/native.rs"]
mod native;

const OWN_KINDS: [&str; 4] = ["admissionpolicies", "imagepolicies", "policyexceptions", "namespacegroups"];
const POLICIES: &str = "/apis/stockade.dev/v1alpha1/admissionpolicies";

/// A cluster with the own kinds, and a webhook that judges by them, registered by hand.
struct Scene {
    cluster: Cluster,
    name: &'static str,
    /// `ca.crt` of its Secret, base64.
    authority: String,
    webhook: Webhook,
}

impl Scene {
    /// None when it cannot be had here.
    fn new(name: &'static str) -> Option<Scene> {
        if !tools::present() || webhook::binary().is_none() {
            return None;
        }
        let cluster = Cluster::with_default_apis();
        installed_kinds::own(&cluster);
        webhook::namespace(&cluster, name);
        let webhook = Webhook::start_in(&cluster, name, name, &[]);
        webhook.wait_until_ready(&cluster, name);
        let secret = cluster.client.get(&format!("/api/v1/namespaces/{name}/secrets/stockade-tls")).expect_ok();
        let authority = text(&secret, "/data/ca.crt").to_owned();
        let scene = Scene { cluster, name, authority, webhook };
        scene.register("pods", "", &["pods"], &json!({ "matchLabels": { "e2e": name } }));
        Some(scene)
    }

    /// Has the API server ask about these resources, in namespaces that the selector selects.
    fn register(&self, entry: &str, group: &str, resources: &[&str], namespaces: &Value) {
        let configuration = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": { "name": entry },
            "webhooks": [{
                "name": format!("{entry}.stockade.dev"),
                "clientConfig": {
                    "url": format!("https://127.0.0.1:{}/validate", self.webhook.port),
                    "caBundle": self.authority,
                },
                "namespaceSelector": namespaces,
                "rules": [{
                    "operations": ["CREATE", "UPDATE"], "apiGroups": [group], "apiVersions": ["*"],
                    "resources": resources, "scope": "*",
                }],
                "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": "Fail", "timeoutSeconds": 30,
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
    scene.cluster.apply(&refuses("names", "first"));
    eventually(|| scene.pod("first"), |answer| answer.message().contains("no first here"));
    assert!(scene.pod("second").ok());

    scene.cluster.apply(&refuses("names", "second"));
    eventually(|| scene.pod("second"), |answer| answer.message().contains("no second here"));
    assert!(scene.pod("first").ok());

    scene.cluster.kubectl(&["delete", "admissionpolicy", "names"], "");
    eventually(|| scene.pod("second"), Answer::ok);
}

#[test]
fn an_exception_waives_from_when_it_is_applied_until_it_is_deleted() {
    let Some(scene) = Scene::new("waived") else { return };
    scene.cluster.apply(&refuses("names", "first"));
    eventually(|| scene.pod("first"), |answer| answer.message().contains("no first here"));
    let exception = "apiVersion: stockade.dev/v1alpha1\nkind: PolicyException\nmetadata: {name: agent, namespace: waived}\n\
                     spec: {policies: [{name: names}], resources: [{resources: [pods], names: [fir*]}], reason: r, \
                     owner: o, expires: \"2099-01-01T00:00:00Z\"}\n";
    scene.cluster.apply(exception);
    eventually(|| scene.pod("first"), Answer::ok);
    scene.cluster.kubectl(&["delete", "policyexception", "agent", "-n", "waived"], "");
    eventually(|| scene.pod("first"), |answer| answer.message().contains("no first here"));
}

#[test]
fn a_rollout_that_denies_too_much_stops_says_so_and_goes_on_with_the_next_edit() {
    let Some(scene) = Scene::new("rollout") else { return };
    let rollout = "  rollout: {deny: {}, budget: {maxDenyPercentage: 50, windowSeconds: 600, minRequests: 4}}\n";
    let prefix = "object.metadata.name.startsWith('first') == false";
    let policy = refuses("names", "first").replace("object.metadata.name != 'first'", prefix) + rollout;
    scene.cluster.apply(&policy);
    // What is only tried does not count towards the budget, and what is tried again and again counts once.
    eventually(|| scene.pod("first"), |answer| answer.message().contains("no first here"));
    let create = |number: u32| {
        let pod = webhook::pod(&format!("first-{number}"), &json!({}));
        scene.cluster.client.post("/api/v1/namespaces/rollout/pods", &pod)
    };
    let refused = [0, 0, 0, 0, 0, 0, 1, 2, 3].map(|number| create(number).message().contains("no first here"));
    assert_eq!(refused, [true; 9]);
    let next = create(4);
    assert!(next.ok() && next.warnings[0].contains("no first here (will be denied when"), "{next:?}");

    let path = "/apis/stockade.dev/v1alpha1/admissionpolicies/names";
    let held = eventually(
        || scene.cluster.client.get(path),
        |answer| answer.body.pointer("/status/rollout/held") == Some(&json!(true)),
    );
    assert_eq!(held.body.pointer("/status/rollout/observedGeneration"), held.body.pointer("/metadata/generation"));

    scene.cluster.apply(&policy.replace("no first here", "still no first"));
    eventually(|| scene.pod("first"), |answer| answer.message().contains("still no first"));
}

#[test]
fn a_policy_that_does_not_compile_is_refused_with_its_line_and_a_caret() {
    let Some(scene) = Scene::new("refused") else { return };
    scene.register("own", "stockade.dev", &OWN_KINDS, &json!({}));
    let broken = refuses("names", "first").replace("object.metadata.name", "objct.metadata.name");
    let apply = ["apply", "--dry-run=server", "-f", "-"];
    let answer = eventually(|| scene.cluster.kubectl(&apply, &broken), |answer| answer.stderr.contains("denied"));
    let place = [
        "admission webhook \"own.stockade.dev\" denied the request: this AdmissionPolicy cannot be put in force:",
        "error: spec.validations[0].expression: undeclared reference to 'objct' (in container '')",
        " |   - expression: objct.metadata.name != 'first'",
        " |                 ^^^^^",
        " = help: did you mean `object`?",
    ];
    assert_eq!(place.map(|line| answer.stderr.contains(line)), [true; 5], "{}", answer.stderr);

    let careless = refuses("names", "first").replace("object.metadata.name", "object.metadata.nam");
    let careless = scene.cluster.kubectl(&["apply", "-f", "-"], &careless);
    let warning = "Warning: spec.validations[0].expression: undefined field 'nam' in v1 Pod (line ";
    assert!(careless.code == 0 && careless.stderr.contains(warning), "{careless:?}");
}

#[test]
fn a_broken_policy_that_was_smuggled_in_keeps_its_last_good_version_and_its_finalizers_stay_changeable() {
    let Some(scene) = Scene::new("smuggled") else { return };
    let path = &format!("{POLICIES}/first");
    for policy in [refuses("first", "first"), refuses("second", "second")] {
        scene.cluster.apply(&policy);
    }
    let refused = |answer: &Answer| answer.message().contains("here");
    eventually(|| (scene.pod("first"), scene.pod("second")), |(a, b)| refused(a) && refused(b));

    let spec = json!({ "validations": [{ "expression": "objct.a" }] });
    // The leader would put the registration back.
    scene.webhook.pause();
    let registration = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/stockade";
    scene.cluster.client.delete(registration).expect_ok();
    eventually(|| scene.cluster.client.merge(path, &json!({ "spec": spec })), Answer::ok);
    scene.webhook.resume();
    let told = eventually(
        || scene.webhook.health("readyz").unwrap(),
        |(code, text)| *code == 200 && text.contains("AdmissionPolicy first"),
    );
    assert!(told.1.contains("the last good version stays in force"), "{}", told.1);
    assert!(scene.pod("first").message().contains("no first here"));
    scene.cluster.apply(&refuses("second", "third"));
    eventually(|| scene.pod("third"), |answer| answer.message().contains("no third here"));
    assert!(scene.pod("second").ok());

    scene.register("own", "stockade.dev", &OWN_KINDS, &json!({}));
    let refused = |spec: &Value| scene.cluster.client.merge(path, &json!({ "spec": spec }));
    let also_broken = json!({ "validations": [{ "expression": "objct.b" }] });
    eventually(|| refused(&also_broken), |answer| answer.code == 422);
    scene.cluster.client.merge(path, &json!({ "metadata": { "finalizers": ["e2e/kept"] } })).expect_ok();
    scene.cluster.client.merge(path, &json!({ "metadata": { "finalizers": [] } })).expect_ok();
    scene.cluster.client.delete(path).expect_ok();
    eventually(|| scene.pod("first"), Answer::ok);
}

#[test]
fn native_policies_are_left_to_the_api_server_and_a_configmap_is_a_folder() {
    let Some(scene) = Scene::new("sources") else { return };
    let native = refuses("native", "native")
        .replace("stockade.dev/v1alpha1", "admissionregistration.k8s.io/v1")
        .replace("AdmissionPolicy", "ValidatingAdmissionPolicy");
    let binding = "\n---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\nmetadata: \
                   {name: native}\nspec: {policyName: native, validationActions: [Deny]}\n";
    scene.cluster.apply(&format!("{native}{binding}"));
    let denied = "ValidatingAdmissionPolicy 'native' with binding 'native' denied";
    let refused = eventually(|| scene.pod("native"), |answer| answer.message().contains(denied));
    assert!(!refused.message().contains("admission webhook"), "{}", refused.message());
    let log = eventually(|| scene.cluster.whole_log("sources"), |log| log.contains("\"audited\":1"));
    assert!(log.contains("\"policies\":0"), "{log}");

    let files = json!({ "a.yaml": refuses("one", "one"), "b.yaml": refuses("two", "two") });
    let config = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "pack", "labels": { "stockade.dev/policies": "true" } }, "data": files,
    });
    let path = format!("/api/v1/namespaces/{}/configmaps", scene.name);
    scene.cluster.client.post(&path, &config).expect_ok();
    eventually(|| (scene.pod("one"), scene.pod("two")), |(a, b)| !a.ok() && !b.ok());
    scene.cluster.client.delete(&format!("{path}/pack")).expect_ok();
    eventually(|| (scene.pod("one"), scene.pod("two")), |(a, b)| a.ok() && b.ok());
}

#[test]
fn a_policy_that_reads_a_kind_is_in_force_only_when_the_kind_has_synced() {
    let Some(scene) = Scene::new("reading") else { return };
    let existing = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "allowed" } });
    let path = format!("/api/v1/namespaces/{}/configmaps", scene.name);
    scene.cluster.client.post(&path, &existing).expect_ok();
    let expression = "cluster.get(\"v1\", \"ConfigMap\", object.metadata.namespace, object.metadata.name).hasValue()";
    let policy = refuses("reads", "x").replace("object.metadata.name != 'x'", expression);
    scene.cluster.apply(&policy);
    // Until it is in force everything passes; from then on never a "not ready", but where the kind took longer to sync than
    // anybody waits for it, which is told.
    let mut answers = Vec::new();
    eventually(
        || {
            answers.push(scene.pod("allowed"));
            scene.pod("other")
        },
        |answer| answer.message().contains("no x here"),
    );
    let refused: Vec<_> = answers.iter().filter(|answer| !answer.ok()).map(Answer::message).collect();
    let is_told = scene.cluster.whole_log("reading").contains("has not synced");
    assert!(refused.is_empty() || is_told, "{refused:?}");
    eventually(|| scene.pod("allowed"), Answer::ok);
}

#[test]
fn policies_stay_in_force_while_the_api_server_restarts_and_updates_resume() {
    let Some(scene) = Scene::new("restarted") else { return };
    scene.cluster.apply(&refuses("names", "first"));
    eventually(|| scene.pod("first"), |answer| !answer.ok());
    scene.cluster.stop_server();
    scene.cluster.start_server();
    assert_eq!(scene.webhook.health("readyz").unwrap().0, 200);
    let first = || {
        let answer = scene.pod("first");
        assert!(!answer.ok(), "{answer:?}");
        answer
    };
    eventually(first, |answer| answer.message().contains("no first here"));
    scene.cluster.apply(&refuses("names", "second"));
    eventually(|| scene.pod("second"), |answer| answer.message().contains("no second here"));
    assert!(scene.pod("first").ok());
}

/// Policies beside the one that is edited.
const BESIDE: usize = 1_000;
const EDITS: usize = 200;
/// Between the starts of two edits.
const EVERY: Duration = Duration::from_millis(100);

#[test]
fn each_edit_among_a_thousand_policies_is_enforced_also_at_ten_a_second() {
    let Some(scene) = Scene::new("edited") else { return };
    let all: String = (0..BESIDE).map(|n| refuses(&format!("p{n}"), &format!("refused-{n}")) + "---\n").collect();
    let created = scene.cluster.kubectl(&["create", "-f", "-"], &all);
    assert_eq!(created.code, 0, "{}", created.stderr);
    scene.cluster.apply(&refuses("edited", "start"));
    eventually(|| scene.pod("start"), |answer| !answer.ok());

    let started = Instant::now();
    let mut took: Vec<Duration> = (0..EDITS)
        .map(|n| {
            std::thread::sleep((started + EVERY * n as u32).saturating_duration_since(Instant::now()));
            let name = format!("edit-{n}");
            let rule = json!([{ "expression": format!("object.metadata.name != '{name}'") }]);
            let edit = json!({ "spec": { "validations": rule } });
            scene.cluster.client.merge(&format!("{POLICIES}/edited"), &edit).expect_ok();
            let edited = Instant::now();
            while scene.pod(&name).ok() {
                assert!(edited.elapsed() < WITHIN, "edit {n} is not enforced");
            }
            edited.elapsed()
        })
        .collect();
    took.sort_unstable();
    let at = |share: usize| took[(EDITS * share / 100).min(EDITS - 1)];
    println!(
        "edit to enforced, {BESIDE} policies, {EDITS} edits in {:.1} s: p50 {:?}, p90 {:?}, p99 {:?}, most {:?}",
        started.elapsed().as_secs_f64(),
        at(50),
        at(90),
        at(99),
        took[EDITS - 1],
    );
}
