//! The registration at a real API server: what is asked, what happens without an answer, and who puts it right.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod failsafe;
mod static_files;
mod written;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use stockade_cluster::access::{Access, Options};
use stockade_cluster::policies::{Generation, SourceKind};
use stockade_cluster::registration::{self, Address, Inputs, RegistrationMetrics, Settings};
use stockade_e2e::certificates::Authority;
use stockade_e2e::client::Answer;
use stockade_e2e::cluster::{Cluster, free_ports};
use stockade_e2e::webhook::{self, Webhook, eventually, pod, write_certificate};
use stockade_engine::Engine;
use stockade_policy::compile::{Options as CompileOptions, UnboundPolicy, compile};
use stockade_policy::sources::PolicySources;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// Stockade's own namespace in these tests.
const NAMESPACE: &str = "stockade-system";
/// A namespace of users.
const USERS: &str = "shop";

const CONFIGURATIONS: [&str; 2] = [
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/stockade",
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/stockade",
];

/// A leader that writes the registration of a webhook at a port of loopback.
struct Scene {
    runtime: Runtime,
    access: Access,
    registry: Registry,
    generations: watch::Sender<Arc<Generation>>,
    leads: watch::Sender<bool>,
    _bundle: watch::Sender<Option<Arc<str>>>,
}

impl Scene {
    fn start(cluster: &Cluster, authority: &Authority, port: u16, policies: &str) -> Scene {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let options = Options {
            kubeconfig: Some(cluster.kubeconfig()),
            namespace: Some(NAMESPACE.to_owned()),
            identity: Some("stockade-a".to_owned()),
        };
        let access = runtime.block_on(Access::new(&options)).unwrap();
        for name in [NAMESPACE, USERS] {
            let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
            cluster.client.post("/api/v1/namespaces", &namespace).expect_ok();
        }
        let (generations, generations_out) = watch::channel(Arc::new(generation(1, 1, policies)));
        let (leads, leadership) = watch::channel(true);
        let (bundle, bundle_out) = watch::channel(Some(Arc::from(authority.pem.as_str())));
        let mut registry = Registry::default();
        let metrics = RegistrationMetrics::register(&mut registry);
        let address = Address::Url(format!("https://127.0.0.1:{port}"));
        // What fails fails, and is not merely late.
        let settings = Settings { timeout_seconds: 30, ..Settings::new(address, NAMESPACE.to_owned()) };
        let inputs = Inputs { leadership, generations: generations_out, bundle: bundle_out };
        runtime.spawn(registration::write(access.clone(), settings, inputs, metrics));
        let scene = Scene { runtime, access, registry, generations, leads, _bundle: bundle };
        scene.until_current();
        scene
    }

    /// Waits until both configurations are as they should be.
    fn until_current(&self) {
        let current = |kind| format!("stockade_registration_current{{kind=\"{kind}WebhookConfiguration\"}} 1");
        let both = ["Validating", "Mutating"].map(current);
        eventually(|| self.metrics(), |text| both.iter().all(|line| text.contains(line)));
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        text
    }

    /// How often a configuration was written for this cause.
    fn writes(&self, kind: &str, cause: &str) -> u64 {
        let line = format!("stockade_registration_writes_total{{kind=\"{kind}\",cause=\"{cause}\"}} ");
        let text = self.metrics();
        text.lines().find_map(|l| l.strip_prefix(&line)).map_or(0, |count| count.parse().unwrap())
    }
}

fn generation(number: u64, observed: u64, policies: &str) -> Generation {
    let mut sources = PolicySources::default();
    sources.add("policies.yaml", policies, true);
    let options =
        CompileOptions { unbound: UnboundPolicy::BindEverywhereDeny, type_check: false, ..CompileOptions::default() };
    let compiled = compile(&sources, options).unwrap_or_else(|faults| panic!("{faults}"));
    let engine = Arc::new(Engine::new(Arc::new(compiled.set)));
    let observed = [(SourceKind::AdmissionPolicy, observed)].into_iter().collect();
    Generation { number, audited: engine.clone(), engine, observed, refused: Vec::new(), not_synced: BTreeSet::new() }
}

/// A policy that refuses what has the label `refuse`; in force everywhere with Deny.
fn refuses(name: &str, groups: &str, resources: &str, operations: &str) -> String {
    format!(
        "---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: {{name: {name}}}\n\
         spec:\n  matchConstraints: {{resourceRules: [{{apiGroups: [{groups}], apiVersions: ['*'], operations: \
         [{operations}], resources: [{resources}]}}]}}\n  validations:\n  - expression: \"object == null || \
         !('refuse' in object.metadata.?labels.orValue({{}}))\"\n    message: told to refuse\n"
    )
}

/// The real webhook on these policies.
fn serve(cluster: &Cluster, authority: &Authority, policies: &str) -> Webhook {
    serve_at(cluster, authority, free_ports::<1>()[0], policies)
}

/// The same at a port that is registered already.
fn serve_at(cluster: &Cluster, authority: &Authority, port: u16, policies: &str) -> Webhook {
    let folder = cluster.folder().join("webhook");
    let [certs, sources, state] = ["certs", "policies", "state"].map(|sub| folder.join(sub));
    for folder in [&certs, &sources, &state] {
        std::fs::create_dir_all(folder).unwrap();
    }
    write_certificate(&certs, authority, &authority.server());
    write_state(&state);
    std::fs::write(sources.join("policies.yaml"), policies).unwrap();
    Webhook::start_at(cluster, "webhook", port, &certs, &[&sources], &state)
}

/// Stands in for the cluster of a webhook that judges by folders.
fn write_state(folder: &Path) {
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "default" } });
    std::fs::write(folder.join("state.json"), namespace.to_string()).unwrap();
}

/// Whether a Pod may be made here; it is not.
fn asks(cluster: &Cluster, namespace: &str, spec: &Value) -> Answer {
    cluster.client.post(&format!("/api/v1/namespaces/{namespace}/pods?dryRun=All"), &pod("p", spec))
}

fn can_be_had() -> bool {
    stockade_e2e::tools::present() && webhook::binary().is_some()
}
