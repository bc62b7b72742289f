//! The watchdog, and the end of it all.

use std::process::{Child, Command};

use serde_json::{Value, json};
use stockade_cluster::policies::Observed;
use stockade_cluster::replicas::{self, Inputs, Times};
use stockade_e2e::certificates::Authority;
use stockade_e2e::cluster::{Cluster, free_ports, logged};
use stockade_e2e::installed_kinds;
use stockade_e2e::webhook::{binary, eventually, plain};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{CONFIGURATIONS, NAMESPACE, Scene, USERS, asks, can_be_had, refuses, serve_at};

/// `stockade failsafe` as a process.
struct Watchdog<'c> {
    cluster: &'c Cluster,
    health: u16,
    child: Child,
}

impl<'c> Watchdog<'c> {
    fn start(cluster: &'c Cluster, after: u32, health: u16) -> Watchdog<'c> {
        Watchdog { cluster, health, child: spawn(cluster, after, health) }
    }

    fn restart(&mut self, after: u32) {
        self.end();
        self.child = spawn(self.cluster, after, self.health);
    }

    /// `stockade_fail_safe_NAME`; none while it does not answer.
    fn gauge(&self, name: &str) -> Option<u64> {
        let (_, text) = plain(self.health, "metrics")?;
        text.lines().find_map(|l| l.strip_prefix(&format!("stockade_fail_safe_{name} "))?.parse().ok())
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.cluster.reaper.forget(&self.child);
    }
}

impl Drop for Watchdog<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

fn spawn(cluster: &Cluster, after: u32, health: u16) -> Child {
    let mut command = logged(Command::new(binary().unwrap()), cluster.folder(), "failsafe");
    command.args([
        "failsafe",
        "--after",
        &after.to_string(),
        "--log",
        "json",
        "--namespace",
        NAMESPACE,
        "--kubeconfig",
    ]);
    command.arg(cluster.kubeconfig()).args(["--listen-health", &format!("127.0.0.1:{health}")]);
    cluster.reaper.spawn(&mut command)
}

#[test]
fn the_fail_safe_opens_when_nobody_is_ready_and_closes_when_somebody_is() {
    if !can_be_had() {
        return;
    }
    let cluster = Cluster::with_default_apis();
    let [port, health] = free_ports();
    let (authority, policies) = (Authority::mint("failsafe"), refuses("pods", "''", "pods", "CREATE"));
    let scene = Scene::start(&cluster, &authority, port, &policies);
    scene.leads.send_replace(false);
    let refused = || !asks(&cluster, USERS, &json!({})).ok();
    eventually(refused, |refused| *refused);

    installed_kinds::own(&cluster);

    let mut watchdog = Watchdog::start(&cluster, 2, health);
    eventually(refused, |refused| !*refused);
    let opened = cluster.client.get(CONFIGURATIONS[0]).expect_ok();
    let modes: Vec<&Value> = opened["webhooks"].as_array().unwrap().iter().map(|w| &w["failurePolicy"]).collect();
    assert_eq!(modes, ["Ignore", "Ignore", "Ignore"]);
    let told = opened["metadata"]["annotations"]["stockade.dev/fail-safe"].as_str().unwrap();
    let told: Value = serde_json::from_str(told).unwrap();
    assert_eq!(told["fail"], json!(["own.stockade.dev", "validate.stockade.dev"]));
    let events = || cluster.kubectl(&["get", "events", "-o", "jsonpath={.items[*].reason}"], "").stdout;
    eventually(events, |reasons| reasons.contains("FailSafeEngaged"));

    // One that starts meanwhile knows.
    watchdog.restart(86_400);
    eventually(|| watchdog.gauge("engaged"), |engaged| *engaged == Some(1));
    watchdog.restart(2);

    // A replica is ready again.
    let ((_ready, ready), (_observed, observed)) = (watch::channel(true), watch::channel(Observed::default()));
    let inputs = Inputs { ready, observed, pod_uid: None };
    let (_, _, task) = replicas::run(&scene.access, inputs, Times::default(), CancellationToken::new());
    let replica = scene.runtime.spawn(task);
    eventually(refused, |refused| *refused);
    let closed = cluster.client.get(CONFIGURATIONS[0]).expect_ok();
    assert_eq!(closed["webhooks"][0]["failurePolicy"], "Fail");
    assert!(closed["metadata"]["annotations"]["stockade.dev/fail-safe"].is_null());
    eventually(events, |reasons| reasons.contains("FailSafeReleased"));

    // Nobody listens: that the API server gets no answer is told, and opens nothing.
    eventually(|| watchdog.gauge("unanswered_seconds"), |seconds| seconds.is_some_and(|s| s > 2));
    eventually(events, |reasons| reasons.contains("WebhookNotReached"));
    assert_eq!(cluster.client.get(CONFIGURATIONS[0]).expect_ok()["webhooks"][0]["failurePolicy"], "Fail");
    let webhook = serve_at(&cluster, &authority, port, &policies);
    eventually(|| watchdog.gauge("unanswered_seconds"), |seconds| *seconds == Some(0));
    eventually(events, |reasons| reasons.contains("WebhookReached"));
    drop(webhook);

    // An API server that is away for longer than `--after` says nothing of the replicas.
    cluster.stop_server();
    std::thread::sleep(std::time::Duration::from_secs(4));
    cluster.start_server();
    let written = || cluster.client.get("/apis/coordination.k8s.io/v1/namespaces/stockade-system/leases").expect_ok();
    let renewed = |leases: &Value| leases["items"][0]["spec"]["renewTime"].clone();
    let before = renewed(&written());
    eventually(|| renewed(&written()), |now| *now != before);
    let reasons = events();
    assert_eq!(reasons.matches("FailSafeEngaged").count(), 1, "{reasons}");
    assert_eq!(cluster.client.get(CONFIGURATIONS[0]).expect_ok()["webhooks"][0]["failurePolicy"], "Fail");
    replica.abort();
}

#[test]
fn uninstall_removes_what_is_ours_and_may_be_repeated() {
    if !can_be_had() {
        return;
    }
    let cluster = Cluster::with_default_apis();
    let [port] = free_ports();
    let scene = Scene::start(&cluster, &Authority::mint("uninstall"), port, &refuses("pods", "''", "pods", "CREATE"));
    scene.leads.send_replace(false);
    let uninstall = || {
        let mut command = Command::new(binary().unwrap());
        let output = command.arg("uninstall").arg("--kubeconfig").arg(cluster.kubeconfig()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(uninstall(), (Some(0), "removed: 2 webhook configurations, 0 kinds\n".to_owned()));
    assert_eq!(CONFIGURATIONS.map(|path| cluster.client.get(path).code), [404, 404]);
    assert_eq!(uninstall(), (Some(0), "removed: 0 webhook configurations, 0 kinds\n".to_owned()));

    let other = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": { "name": "stockade" },
    });
    cluster.client.post(CONFIGURATIONS[0].trim_end_matches("/stockade"), &other).expect_ok();
    assert_eq!(uninstall(), (Some(0), "removed: 0 webhook configurations, 0 kinds\n".to_owned()));
    assert!(cluster.client.get(CONFIGURATIONS[0]).ok());
}
