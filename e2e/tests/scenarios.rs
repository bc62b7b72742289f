//! The real webhook asked by a real API server: what a user sees, and what happens while things change.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use stockade_e2e::certificates::Authority;
use stockade_e2e::client::Answer;
use stockade_e2e::cluster::{Cluster, Kubectl};
use stockade_e2e::service::Service;
use stockade_e2e::webhook::{self, Webhook, eventually, namespace, pod, register, write_certificate};
use stockade_e2e::{documents, tools};

/// A webhook with folders of its own, and a namespace whose requests go to it.
struct Scene {
    cluster: &'static Cluster,
    name: &'static str,
    policies: PathBuf,
    state: PathBuf,
    certs: PathBuf,
    authority: Authority,
    packs: Vec<&'static str>,
}

impl Scene {
    /// None when it cannot be had here.
    fn new(name: &'static str, packs: &[&'static str]) -> Option<Scene> {
        if !tools::present() || webhook::binary().is_none() {
            return None;
        }
        let cluster = Cluster::shared();
        let folder = cluster.folder().join(name);
        let [policies, state, certs] = ["policies", "state", "certs"].map(|sub| folder.join(sub));
        for folder in [&policies, &state, &certs] {
            std::fs::create_dir_all(folder).unwrap();
        }
        let authority = Authority::mint(name);
        write_certificate(&certs, &authority, &authority.server());
        namespace(cluster, name);
        let scene = Scene { cluster, name, policies, state, certs, authority, packs: packs.to_vec() };
        scene.export("namespaces,networkpolicies");
        Some(scene)
    }

    fn policy(&self, file: &str, text: &str) {
        let new = self.policies.join(format!(".{file}.new"));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, self.policies.join(file)).unwrap();
    }

    /// A process of the webhook; it is asked once [`Scene::register`] names its port.
    fn start(&self) -> Webhook {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies");
        let mut folders: Vec<PathBuf> = self.packs.iter().map(|pack| repository.join(pack)).collect();
        folders.push(self.policies.clone());
        let folders: Vec<&Path> = folders.iter().map(PathBuf::as_path).collect();
        Webhook::start(self.cluster, self.name, &self.certs, &folders, &self.state)
    }

    fn register(&self, port: u16) {
        register(self.cluster, self.name, port, &self.authority);
    }

    /// `kubectl create` of one object in the scene's namespace.
    fn create(&self, object: &Value, flags: &[&str]) -> Kubectl {
        let mut arguments = vec!["create", "--namespace", self.name, "-f", "-"];
        arguments.extend(flags);
        self.cluster.kubectl(&arguments, &object.to_string())
    }

    fn dry_run(&self, plural: &str, object: &Value) -> Answer {
        self.cluster.client.post(&format!("/api/v1/namespaces/{}/{plural}?dryRun=All", self.name), object)
    }

    /// What the API server's own state is, for a webhook that reads a folder.
    fn export(&self, kinds: &str) {
        let listing = self.cluster.kubectl(&["get", kinds, "--all-namespaces", "-o", "json"], "");
        let new = self.state.join(".state.json.new");
        std::fs::write(&new, listing.stdout).unwrap();
        std::fs::rename(new, self.state.join("state.json")).unwrap();
    }
}

fn config_map(name: &str, data: &Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": data })
}

/// A policy about ConfigMaps: a key must not be there.
fn forbid(key: &str, actions: &str) -> String {
    format!(
        "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: no-{key}}}
spec:
  matchConstraints:
    resourceRules:
      - {{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}}
  validations:
    - expression: \"!('{key}' in object.?data.orValue({{}}))\"
      message: {key} is not allowed
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: no-{key}-binding}}
spec:
  policyName: no-{key}
  validationActions: {actions}
"
    )
}

/// Waits until a registered webhook is asked: a ConfigMap with the key is refused.
fn wait_until_asked(scene: &Scene, key: &str) {
    let probe = config_map("probe", &json!({ key: "x" }));
    eventually(
        || scene.dry_run("configmaps", &probe),
        |answer| answer.message().contains(&format!("{key} is not allowed")),
    );
}

#[test]
fn dangerous_pods_are_refused_in_words_and_a_good_one_is_admitted() {
    let Some(scene) = Scene::new("pods", &["pod-security"]) else { return };
    scene.policy("probe.yaml", &forbid("probe", "[Deny]"));
    let webhook = scene.start();
    scene.register(webhook.port);
    wait_until_asked(&scene, "probe");

    let privileged = json!({ "containers": [
        { "name": "web", "image": "i:1", "securityContext": { "privileged": true } },
    ] });
    let host_path = json!({ "volumes": [{ "name": "root", "hostPath": { "path": "/" } }] });
    let host_network = json!({ "hostNetwork": true });
    let mut refusals = Vec::new();
    for (name, spec) in [("privileged", privileged), ("host-path", host_path), ("host-network", host_network)] {
        let refused = scene.create(&pod(name, &spec), &[]);
        assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
        refusals.push(refused.stderr);
    }
    let prefix = "Error from server (Forbidden): error when creating \"STDIN\": admission webhook \
                  \"validate.pods.stockade.dev\" denied the request: ValidatingAdmissionPolicy 'pod-security-standards' \
                  with binding 'pod-security-standards-enforce' denied request: ";
    for refusal in &refusals {
        assert!(refusal.starts_with(prefix), "{refusal}");
    }
    let rest: Vec<&str> = refusals.iter().map(|refusal| refusal[prefix.len()..].trim_end()).collect();
    assert_eq!(
        rest,
        [
            "violates PodSecurity \"baseline:latest\": privileged (container \"web\" must not set \
         securityContext.privileged=true)",
            "violates PodSecurity \"baseline:latest\": hostPath volumes (volume \"root\")",
            "violates PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true)",
        ]
    );

    let admitted = scene.create(&pod("good", &json!({})), &[]);
    assert_eq!((admitted.code, admitted.stdout.as_str(), admitted.stderr.as_str()), (0, "pod/good created\n", ""));
}

#[test]
fn defaults_are_filled_in_before_the_checks() {
    let Some(scene) = Scene::new("defaults", &[]) else { return };
    scene.policy("probe.yaml", &forbid("probe", "[Deny]"));
    scene.policy(
        "defaults.yaml",
        "apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: defaults}
spec:
  reinvocationPolicy: Never
  matchConstraints:
    resourceRules:
      - {apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}
  mutations:
    - patchType: ApplyConfiguration
      applyConfiguration:
        expression: >
          Object{spec: Object.spec{
            automountServiceAccountToken: false,
            containers: object.spec.containers.map(c, Object.spec.containers{
              name: c.name,
              securityContext: Object.spec.containers.securityContext{readOnlyRootFilesystem: true}
            })
          }}
",
    );
    let webhook = scene.start();
    scene.register(webhook.port);
    wait_until_asked(&scene, "probe");
    // The API server hears of webhooks that mutate by another watch.
    let defaulted = |answer: &Answer| answer.body["spec"]["automountServiceAccountToken"] == false;
    eventually(|| scene.dry_run("pods", &pod("web", &json!({}))), defaulted);
    let created = scene.create(&pod("web", &json!({})), &["-o", "json"]);
    assert_eq!((created.code, created.stderr.as_str()), (0, ""));
    let object: Value = serde_json::from_str(&created.stdout).unwrap();
    assert_eq!(object["spec"]["automountServiceAccountToken"], false);
    assert_eq!(object["spec"]["containers"][0]["securityContext"], json!({ "readOnlyRootFilesystem": true }));
    assert_eq!(object["spec"]["containers"][0]["image"], "registry.example.com/web:1.0.0");
}

#[test]
fn a_pod_needs_a_network_policy_that_selects_it() {
    let Some(scene) = Scene::new("isolated", &["network/require-network-policy"]) else { return };
    scene.policy("probe.yaml", &forbid("probe", "[Deny]"));
    let webhook = scene.start();
    scene.register(webhook.port);
    wait_until_asked(&scene, "probe");

    let refused = scene.create(&pod("web", &json!({})), &[]);
    assert!(
        refused.stderr.contains("no NetworkPolicy in namespace isolated selects Pod web for ingress: create one whose podSelector matches its labels"),
        "{refused:?}"
    );
    let policy = |name: &str, app: &str| {
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": { "name": name },
            "spec": {
                "podSelector": { "matchLabels": { "app": app } }, "policyTypes": ["Ingress", "Egress"],
                "ingress": [{ "from": [{ "podSelector": { "matchLabels": { "app": "front" } } }] }],
            },
        })
    };
    // One that is about other Pods does not help.
    let other = scene.create(&policy("other", "other"), &[]);
    assert_eq!((other.code, other.stderr.as_str()), (0, ""));
    scene.export("namespaces,networkpolicies");
    assert!(scene.create(&pod("web", &json!({})), &[]).stderr.contains("no NetworkPolicy"));

    let made = scene.create(&policy("web", "web"), &[]);
    assert_eq!((made.code, made.stderr.as_str()), (0, ""));
    scene.export("namespaces,networkpolicies");
    let admitted = eventually(|| scene.create(&pod("web", &json!({})), &[]), |answer| answer.code == 0);
    assert_eq!((admitted.stdout.as_str(), admitted.stderr.as_str()), ("pod/web created\n", ""));
}

#[test]
fn a_rollout_warns_and_notes_before_it_refuses() {
    let Some(scene) = Scene::new("rollout", &[]) else { return };
    scene.policy("probe.yaml", &forbid("probe", "[Deny]"));
    scene.policy("warned.yaml", &forbid("warned", "[Warn]"));
    scene.policy("noted.yaml", &forbid("noted", "[Audit]"));
    let webhook = scene.start();
    scene.register(webhook.port);
    wait_until_asked(&scene, "probe");

    let warned = scene.create(&config_map("warned", &json!({ "warned": "x" })), &[]);
    assert_eq!((warned.code, warned.stdout.as_str()), (0, "configmap/warned created\n"));
    assert_eq!(
        warned.stderr,
        "Warning: Validation failed for ValidatingAdmissionPolicy 'no-warned' with binding 'no-warned-binding': warned is not allowed\n"
    );
    let noted = scene.create(&config_map("noted", &json!({ "noted": "x" })), &[]);
    assert_eq!((noted.code, noted.stdout.as_str(), noted.stderr.as_str()), (0, "configmap/noted created\n", ""));
    let written = eventually(
        || audit_annotations(scene.cluster, "/api/v1/namespaces/rollout/configmaps", "noted"),
        |annotations| annotations.is_some(),
    );
    assert!(written.unwrap().contains("noted is not allowed"));
}

/// What our webhook had written to the audit log for the creation of an object, as text.
fn audit_annotations(cluster: &Cluster, uri: &str, name: &str) -> Option<String> {
    let log = std::fs::read_to_string(cluster.audit_log()).unwrap();
    log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|event| {
        let here = documents::text(&event, "/requestURI").starts_with(uri);
        let own = event["annotations"].as_object()?.iter().find(|(key, _)| key.contains("stockade.dev/"))?;
        (here && documents::text(&event, "/objectRef/name") == name).then(|| own.1.to_string())
    })
}

#[test]
fn policies_are_reloaded_and_a_broken_set_does_not_replace_a_good_one() {
    let Some(scene) = Scene::new("reload", &[]) else { return };
    scene.policy("probe.yaml", &forbid("probe", "[Deny]"));
    let webhook = scene.start();
    scene.register(webhook.port);
    wait_until_asked(&scene, "probe");
    assert_eq!(scene.dry_run("configmaps", &config_map("m", &json!({ "second": "x" }))).code, 201);

    scene.policy("second.yaml", &forbid("second", "[Deny]"));
    wait_until_asked(&scene, "second");

    scene.policy("second.yaml", &forbid("third", "[Deny]").replace("object.?data", "object.?data.("));
    eventually(
        || webhook.health("readyz"),
        |health| health.as_ref().is_some_and(|(_, text)| text.contains("second.yaml")),
    );
    assert_eq!(webhook.health("readyz").unwrap().0, 200);
    wait_until_asked(&scene, "second");

    scene.policy("second.yaml", &forbid("third", "[Deny]"));
    wait_until_asked(&scene, "third");
    assert_eq!(scene.dry_run("configmaps", &config_map("m", &json!({ "second": "x" }))).code, 201);
}

/// Asks from several threads until told to stop; gives the number of answers and those that are wrong.
fn under_load(scene: &Scene, during: impl FnOnce(&AtomicUsize)) -> (usize, Vec<String>) {
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let wrong = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let (stop, answered, wrong) = (&stop, &answered, &wrong);
            scope.spawn(move || {
                let bad = thread % 2 == 0;
                let object = config_map("m", &if bad { json!({ "probe": "x" }) } else { json!({ "fine": "x" }) });
                while !stop.load(Ordering::SeqCst) {
                    let answer = scene.dry_run("configmaps", &object);
                    answered.fetch_add(1, Ordering::SeqCst);
                    if answer.ok() == bad || (bad && !answer.message().contains("probe is not allowed")) {
                        wrong.lock().unwrap().push(format!("{} {}", answer.code, answer.message()));
                    }
                }
            });
        }
        during(&answered);
        stop.store(true, Ordering::SeqCst);
    });
    (answered.into_inner(), wrong.into_inner().unwrap())
}

/// Waits for this many more answers.
fn more_answers(answered: &AtomicUsize, count: usize) {
    let goal = answered.load(Ordering::SeqCst) + count;
    eventually(|| answered.load(Ordering::SeqCst), |answered| *answered >= goal);
}

#[test]
fn no_request_fails_while_certificates_change_and_while_processes_are_replaced() {
    let Some(scene) = Scene::new("load", &[]) else { return };
    scene.policy("probe.yaml", &forbid("probe", "[Deny]"));
    let mut current = scene.start();
    let service = Service::start(current.port);
    scene.register(service.port);
    wait_until_asked(&scene, "probe");

    let (answers, wrong) = under_load(&scene, |answered| {
        for number in 1..=3 {
            more_answers(answered, 100);
            write_certificate(&scene.certs, &scene.authority, &scene.authority.server());
            let swapped = || current.metric(r#"stockade_certificate_reloads_total{result="swapped"}"#);
            eventually(swapped, |swapped| *swapped >= f64::from(number));
        }
        more_answers(answered, 200);
    });
    assert_eq!(wrong, [] as [String; 0], "of {answers} while certificates changed");

    let (answers, wrong) = under_load(&scene, |answered| {
        for _ in 0..3 {
            more_answers(answered, 100);
            let next = scene.start();
            // As in a rolling update: the endpoint is gone first, then the process is told.
            service.switch(next.port);
            assert_eq!(current.terminate(), Some(0));
            current = next;
        }
        more_answers(answered, 200);
    });
    assert_eq!(wrong, [] as [String; 0], "of {answers} while processes were replaced");
}
