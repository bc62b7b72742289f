//! Several replicas against a real API server: who leads, who lives, and the certificate they share.

#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::print_stderr, reason = "tests print what they counted")]

mod certificates;
mod leases;
mod processes;
mod rollouts;
mod saturation;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stockade_cluster::access::{Access, Options};
use stockade_e2e::cluster::{ALICE_TOKEN, Cluster};
use stockade_e2e::helm;
use stockade_e2e::webhook::WITHIN;
use tokio::runtime::Runtime;

/// Stockade's own namespace in these tests.
const NAMESPACE: &str = "stockade-system";

/// Threads for the replicas of one test.
fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn make_namespace(cluster: &Cluster, name: &str) {
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": { "e2e": name } },
    });
    cluster.client.post("/api/v1/namespaces", &namespace).expect_ok();
}

/// Makes Stockade's own namespace, in which `alice` may do what the chart lets its ServiceAccount do.
fn install(cluster: &Cluster) {
    make_namespace(cluster, NAMESPACE);
    let rendered = helm::objects(&helm::render(cluster.folder(), &[]).unwrap());
    let authorization = "/apis/rbac.authorization.k8s.io/v1";
    for (kind, roles) in [("ClusterRole", "clusterroles"), ("Role", &format!("namespaces/{NAMESPACE}/roles"))] {
        let is_ours = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == "stockade";
        let role = rendered.iter().find(is_ours).unwrap();
        cluster.client.post(&format!("{authorization}/{roles}"), role).expect_ok();
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": format!("{kind}Binding"),
            "metadata": { "name": "stockade" }, "subjects": [{ "kind": "User", "name": "alice" }],
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": "stockade" },
        });
        let bindings = roles.strip_suffix('s').unwrap();
        cluster.client.post(&format!("{authorization}/{bindings}bindings"), &binding).expect_ok();
    }
    let kubeconfig = std::fs::read_to_string(cluster.kubeconfig()).unwrap().replace("admin-token", ALICE_TOKEN);
    std::fs::write(cluster.folder().join("alice.kubeconfig"), kubeconfig).unwrap();
}

/// The way to the API server of a replica with this name, as `alice`.
async fn access(cluster: &Cluster, identity: &str) -> Access {
    access_as(cluster, "alice.kubeconfig", identity).await
}

/// The way to the API server of whoever a kubeconfig is for.
async fn access_as(cluster: &Cluster, kubeconfig: &str, identity: &str) -> Access {
    let options = Options {
        kubeconfig: Some(cluster.folder().join(kubeconfig)),
        namespace: Some(NAMESPACE.to_owned()),
        identity: Some(identity.to_owned()),
    };
    Access::new(&options).await.unwrap()
}

/// Waits until it is so and tells how long that took, which is to be read and asserted by nobody: machines differ.
///
/// # Panics
/// When it is not within [`WITHIN`].
#[track_caller]
fn until(what: &str, is_so: impl Fn() -> bool) -> Duration {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < WITHIN, "not within {WITHIN:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
    began.elapsed()
}
