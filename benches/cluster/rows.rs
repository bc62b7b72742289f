//! What is compared: who judges the Pods of one namespace.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use stockade_benches::inputs;
use stockade_e2e::cluster::{Cluster, free_ports, logged};
use stockade_e2e::webhook::binary;

use crate::machine::REPLICAS;
use crate::{noop, shot};

/// How long a row may take until it judges.
const WITHIN: Duration = Duration::from_secs(60);
/// Port of the replicas.
const PORT: u16 = 8443;

/// One row.
pub(crate) struct Row {
    /// Of its namespace too.
    pub(crate) name: &'static str,
    /// For people.
    pub(crate) title: &'static str,
    /// What serves it beside the API server.
    pub(crate) processes: Vec<u32>,
    /// Whether a Pod without limits is refused there.
    pub(crate) judges: bool,
}

/// Starts and registers all of them.
pub(crate) fn all(cluster: &Cluster) -> Vec<Row> {
    let stockade = binary().unwrap_or_else(|| panic!("needs target/release/stockade"));
    let certs = cluster.folder().join("bench-certs");
    let mut mint = Command::new(&stockade);
    mint.args(["certs", "mint"]).arg(&certs).args(["--san", "127.0.0.1", "--san", "bench.default.svc"]);
    assert!(mint.status().unwrap().success());
    let few = write(cluster, "few", &inputs::matching_policies());
    let many = write(cluster, "many", &[inputs::matching_policies(), inputs::other_policies()].concat());
    let [noop, one, thousand] = free_ports();
    let serve = |name: &str, address: &str, policies: &Path| {
        let [health] = free_ports();
        let mut command = logged(Command::new(&stockade), cluster.folder(), name);
        command.args(["serve", "--log", "json", "--listen", address, "--certs"]).arg(&certs);
        command.args(["--listen-health", &format!("127.0.0.1:{health}"), "--policies"]).arg(policies);
        cluster.reaper.spawn(&mut command).id()
    };
    let at = |port: u16| format!("127.0.0.1:{port}");
    let url = |port: u16| json!({ "url": format!("https://127.0.0.1:{port}/validate") });
    let mut allow = logged(Command::new(std::env::current_exe().unwrap()), cluster.folder(), "noop");
    allow.args([noop::ARGUMENT, &at(noop)]).arg(&certs);

    let rows = vec![
        Row { name: "none", title: "nothing", processes: vec![], judges: false },
        Row {
            name: "noop",
            title: "no-op webhook",
            processes: vec![cluster.reaper.spawn(&mut allow).id()],
            judges: false,
        },
        Row { name: "native", title: "12 native policies", processes: vec![], judges: true },
        Row { name: "one", title: "stockade, 12", processes: vec![serve("one", &at(one), &few)], judges: true },
        Row {
            name: "three",
            title: "stockade, 12, 3 replicas",
            processes: REPLICAS.iter().map(|r| serve(&format!("replica-{r}"), &format!("{r}:{PORT}"), &few)).collect(),
            judges: true,
        },
        Row {
            name: "many",
            title: "stockade, 1,000, 12 match",
            processes: vec![serve("many", &at(thousand), &many)],
            judges: true,
        },
    ];
    for row in &rows {
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": row.name } });
        cluster.client.post("/api/v1/namespaces", &namespace).expect_ok();
    }
    let ca = std::fs::read(certs.join("ca.crt")).unwrap();
    register(cluster, "noop", url(noop), &ca);
    register(cluster, "one", url(one), &ca);
    register(cluster, "many", url(thousand), &ca);
    service(cluster);
    register(
        cluster,
        "three",
        json!({ "service": { "name": "bench", "namespace": "default", "path": "/validate" } }),
        &ca,
    );
    native(cluster);
    rows
}

/// Policy files in a folder of their own.
fn write(cluster: &Cluster, name: &str, policies: &[(String, String)]) -> PathBuf {
    let folder = cluster.folder().join(name);
    std::fs::create_dir(&folder).unwrap();
    for (file, text) in policies {
        std::fs::write(folder.join(file), text).unwrap();
    }
    folder
}

fn register(cluster: &Cluster, name: &str, mut client_config: Json, ca: &[u8]) {
    use base64::Engine as _;
    client_config["caBundle"] = base64::prelude::BASE64_STANDARD.encode(ca).into();
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": { "name": name },
        "webhooks": [{
            "name": format!("{name}.bench.stockade.dev"),
            "clientConfig": client_config,
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": name } },
            "rules": [{ "operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"] }],
            "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": "Fail", "timeoutSeconds": 10,
        }],
    });
    let path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    cluster.client.post(path, &configuration).expect_ok();
}

/// A Service whose addresses are the replicas'.
fn service(cluster: &Cluster) {
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "bench" },
        "spec": { "ports": [{ "port": 443, "targetPort": PORT }] },
    });
    cluster.client.post("/api/v1/namespaces/default/services", &service).expect_ok();
    let endpoints: Vec<Json> =
        REPLICAS.iter().map(|r| json!({ "addresses": [r.to_string()], "conditions": { "ready": true } })).collect();
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": { "name": "bench", "labels": { "kubernetes.io/service-name": "bench" } },
        "ports": [{ "port": PORT, "protocol": "TCP" }], "endpoints": endpoints,
    });
    cluster.client.post("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", &slice).expect_ok();
}

/// The twelve policies, bound in the namespace `native`.
fn native(cluster: &Cluster) {
    let selector = json!({ "matchLabels": { "kubernetes.io/metadata.name": "native" } });
    for (_, text) in inputs::matching_policies() {
        for document in text.split("---\n") {
            let mut object: Json = serde_saphyr::from_str(document).unwrap();
            let kind = object["kind"].as_str().unwrap().to_owned();
            let plural = if kind == "ValidatingAdmissionPolicy" {
                "validatingadmissionpolicies"
            } else {
                object["spec"]["matchResources"] = json!({ "namespaceSelector": selector });
                "validatingadmissionpolicybindings"
            };
            cluster.client.post(&format!("/apis/admissionregistration.k8s.io/v1/{plural}"), &object).expect_ok();
        }
    }
}

// === impl Row ===

impl Row {
    /// Waits until the row judges: a Pod is admitted, and one of an image without a version is refused where policies
    /// say so, many times in a row since each replica and each policy begins for itself.
    pub(crate) fn settle(&self, cluster: &Cluster) {
        let deadline = Instant::now() + WITHIN;
        let mut broken = inputs::pod();
        broken["spec"]["containers"][0]["image"] = "web:latest".into();
        let mut agreed = 0;
        while agreed < 30 {
            let good = self.create(cluster, &inputs::pod());
            let bad = self.create(cluster, &broken);
            agreed = if good && bad != self.judges { agreed + 1 } else { 0 };
            assert!(Instant::now() < deadline, "{} does not judge: {}", self.name, cluster.log(self.name));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn create(&self, cluster: &Cluster, pod: &Json) -> bool {
        let shot = shot(self.name, pod, "settle");
        cluster.client.post(&shot.path, &shot.object).ok()
    }
}
