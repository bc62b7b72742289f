//! Several replicas against a real API server: who leads, who lives, and the certificate they share.

#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::print_stderr, reason = "tests print what they counted")]

mod certificates;
mod leases;

use std::time::{Duration, Instant};

use serde_json::json;
use stockade_cluster::access::{Access, Options};
use stockade_e2e::cluster::Cluster;
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

/// The way to the API server of a replica with this name.
async fn access(cluster: &Cluster, identity: &str) -> Access {
    let options = Options {
        kubeconfig: Some(cluster.kubeconfig()),
        namespace: Some(NAMESPACE.to_owned()),
        identity: Some(identity.to_owned()),
    };
    Access::new(&options).await.unwrap()
}

/// Waits until it is so and tells how long that took.
///
/// # Panics
/// When it is not within a bound.
#[track_caller]
fn until(what: &str, within: Duration, is_so: impl Fn() -> bool) -> Duration {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < within, "not within {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
    began.elapsed()
}
