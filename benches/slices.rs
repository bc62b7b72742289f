//! What a node agent is told: 20,000 Pods on 200 nodes of a real API server, some of which are replaced: all of a few
//! namespaces, as by rollouts, and then a few of each of fifty, where no two changes come together in one slice. Beside
//! the agent's watches, of IdentitySlices and of its own node's Pods, one watches all Pods, as an agent without slices
//! would.
//!
//! Pods are made and told of as a scheduler and a kubelet do, in as few writes as there can be: one that makes, one that
//! says that it runs, one that deletes. Real ones write more, and each write is an event for who watches all Pods.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program that prints figures")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use prometheus_client::registry::Registry;
use serde_json::{Value as Json, json};
use stockade_benches::measure::figure;
use stockade_cluster::access::{Access, Options};
use stockade_cluster::identities;
use stockade_e2e::cluster::Cluster;
use stockade_e2e::installed_kinds;
use tokio::sync::watch;

const PODS: usize = 20_000;
const NODES: usize = 200;
const NAMESPACES: usize = 100;
/// Deployments of a namespace: Pods of one are one identity.
const APPS: usize = 10;
/// Pods that are replaced, each time.
const REPLACED: usize = PODS / 20;
/// The node whose agent is looked at.
const NODE: &str = "node-007";

/// Longest wait for slices that say what Pods there are.
const WITHIN: Duration = Duration::from_secs(300);
/// Silence after which a watch has told everything.
const SILENCE: Duration = Duration::from_secs(2);

const ALL: &str = "/api/v1/pods";
const SLICES: &str = "/apis/stockade.dev/v1alpha1/identityslices";

fn main() {
    // An audit event for each write would cost the API server, and nobody reads it.
    let cluster = Cluster::start_with(&["--audit-log-path=", "--audit-policy-file="]);
    installed_kinds::own(&cluster);
    cluster.client.make_all(NAMESPACES, |number| {
        ("/api/v1/namespaces".to_owned(), json!({ "metadata": { "name": format!("team-{number:03}") } }))
    });
    let begun = Instant::now();
    cluster.client.do_all(PODS, |number| start(&cluster, number, "first"));
    figure("Pods made and running", PODS as f64, "");
    figure("made in", begun.elapsed().as_secs_f64(), "s");

    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let options = Options { kubeconfig: Some(cluster.kubeconfig()), ..Options::default() };
    let access = threads.block_on(Access::new(&options)).unwrap();
    let (_leads, leadership) = watch::channel(true);
    threads.spawn(identities::keep(&access, leadership, &mut Registry::default()));
    settle(&cluster);

    let own = format!("{ALL}?fieldSelector=spec.nodeName%3D{NODE}");
    let watches = [SLICES, &own, ALL].map(|path| Watch::start(&cluster, path));
    let bytes = || watches.each_ref().map(Watch::brought);
    figure("Pods replaced, and as many again", REPLACED as f64, "");
    let mut brought = vec![bytes()];
    let of_namespaces = PODS / NAMESPACES;
    replace(&cluster, |at| at % of_namespaces * NAMESPACES + at / of_namespaces);
    brought.push(bytes());
    // Those of the namespaces after them.
    replace(&cluster, |at| at / (NAMESPACES / 2) * NAMESPACES + NAMESPACES / 2 + at % (NAMESPACES / 2));
    brought.push(bytes());
    let since = |at: usize| [0, 1, 2].map(|watch| brought[at][watch] - brought[at - 1][watch]);
    print(&[watches.each_ref().map(|watch| watch.listed), since(1), since(2)]);
}

/// Replaces Pods, whose numbers are told by place, and waits until slices say so.
fn replace(cluster: &Cluster, number: impl Fn(usize) -> usize + Sync) {
    let begun = Instant::now();
    cluster.client.do_all(REPLACED, |at| {
        let number = number(at);
        start(cluster, number, "second");
        let path = format!("{}/{}?gracePeriodSeconds=0", pods(number), name(number, "first"));
        cluster.client.delete(&path).expect_ok();
    });
    figure("replaced in", begun.elapsed().as_secs_f64(), "s");
    settle(cluster);
}

/// A list of a collection, and what a watch brought after it, in bytes.
struct Watch {
    listed: usize,
    came: Arc<AtomicUsize>,
}

// === impl Watch ===

impl Watch {
    fn start(cluster: &Cluster, path: &str) -> Self {
        let listed = AtomicUsize::new(0);
        cluster.client.count(path, |bytes| _ = listed.fetch_add(bytes, Ordering::Relaxed));
        let join = if path.contains('?') { '&' } else { '?' };
        // Of the list only its version is of interest.
        let version =
            cluster.client.get(&format!("{path}{join}limit=1")).expect_ok()["metadata"]["resourceVersion"].clone();
        let path = format!("{path}{join}watch=true&timeoutSeconds=3600&resourceVersion={}", version.as_str().unwrap());
        let (client, came) = (cluster.client.clone(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&came);
        // It ends with the API server.
        thread::spawn(move || client.count(&path, |bytes| _ = counted.fetch_add(bytes, Ordering::Relaxed)));
        Self { listed: listed.into_inner(), came }
    }

    /// Bytes so far, with those that are still on their way.
    fn brought(&self) -> usize {
        loop {
            let before = self.came.load(Ordering::Relaxed);
            thread::sleep(SILENCE);
            if self.came.load(Ordering::Relaxed) == before {
                return before;
            }
        }
    }
}

/// Columns: at the start, rollouts, scattered; each of slices, own Pods, all Pods.
fn print(columns: &[[usize; 3]; 3]) {
    let line = |what: &str, cells: [f64; 3]| {
        println!("{what:34} {:>14.2} {:>14.2} {:>14.2}", cells[0], cells[1], cells[2]);
    };
    let megabytes = |of: fn(&[usize; 3]) -> usize| columns.each_ref().map(|column| of(column) as f64 / 1e6);
    println!("\n{:34} {:>14} {:>14} {:>14}", "MB that one agent is sent", "at its start", "rollouts", "scattered");
    line("IdentitySlices", megabytes(|column| column[0]));
    line("Pods of its node", megabytes(|column| column[1]));
    let [agent, all] = [megabytes(|column| column[0] + column[1]), megabytes(|column| column[2])];
    line("both: what an agent watches", agent);
    line("all Pods", all);
    line("all Pods / both", [0, 1, 2].map(|at| all[at] / agent[at]));
    line("GB to all nodes: both", agent.map(|bytes| bytes * NODES as f64 / 1e3));
    line("GB to all nodes: all Pods", all.map(|bytes| bytes * NODES as f64 / 1e3));
}

/// Waits until slices tell of as many addresses as there are Pods.
fn settle(cluster: &Cluster) {
    let begun = Instant::now();
    let told = || -> usize {
        let slices = cluster.client.get(SLICES).expect_ok();
        let items = slices["items"].as_array().unwrap().iter();
        let identities = items.flat_map(|slice| slice["spec"]["identities"].as_array().unwrap());
        identities.map(|identity| identity["addresses"].as_array().unwrap().len()).sum()
    };
    while told() != PODS {
        assert!(begun.elapsed() < WITHIN, "slices tell of {} addresses", told());
        thread::sleep(Duration::from_millis(500));
    }
    figure("slices say it after", begun.elapsed().as_secs_f64(), "s");
}

fn pods(number: usize) -> String {
    format!("/api/v1/namespaces/team-{:03}/pods", number % NAMESPACES)
}

fn app(number: usize) -> usize {
    number / NAMESPACES % APPS
}

fn name(number: usize, generation: &str) -> String {
    format!("app-{}-{generation}-{number:05}", app(number))
}

/// A Pod made on its node, and told to run.
fn start(cluster: &Cluster, number: usize, generation: &str) {
    cluster.client.post(&pods(number), &pod(number, generation)).expect_ok();
    let path = format!("{}/{}/status", pods(number), name(number, generation));
    cluster.client.merge(&path, &running(number, generation)).expect_ok();
}

/// As a Deployment of an ordinary chart has it: one container with probes and resources, and a sidecar.
fn pod(number: usize, generation: &str) -> Json {
    let app = format!("app-{}", app(number));
    let probe = |path: &str| json!({ "httpGet": { "path": path, "port": "http" }, "periodSeconds": 10 });
    let resources = json!({ "requests": { "cpu": "100m", "memory": "128Mi" }, "limits": { "memory": "256Mi" } });
    let environment = |name: &str| json!({ "name": name, "value": format!("{name} of {app}") });
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name(number, generation), "labels": {
            "app.kubernetes.io/name": app, "app.kubernetes.io/instance": app,
            "app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": format!("{app}-1.2.3"),
            "pod-template-hash": generation,
        } },
        "spec": {
            "nodeName": format!("node-{:03}", number / 7 % NODES),
            "containers": [
                {
                    "name": "app", "image": format!("registry.example.com/{app}:1.2.3"), "resources": resources,
                    "ports": [{ "name": "http", "containerPort": 8080 }],
                    "env": [environment("DATABASE"), environment("QUEUE"), environment("LOG_LEVEL")],
                    "livenessProbe": probe("/livez"), "readinessProbe": probe("/readyz"),
                },
                {
                    "name": "metrics", "image": "registry.example.com/metrics:4.5.6", "resources": resources,
                    "ports": [{ "name": "metrics", "containerPort": 9090 }],
                },
            ],
        },
    })
}

/// As a kubelet tells of it.
fn running(number: usize, generation: &str) -> Json {
    let since = "2026-01-01T00:00:00Z";
    let half = usize::from(generation == "second") * 128;
    let address = format!("10.{}.{}.{}", number >> 14, half + (number >> 7 & 127), number & 127);
    let condition = |kind: &str| json!({ "type": kind, "status": "True", "lastTransitionTime": since });
    let conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"].map(condition);
    let container = |name: &str, image: &str| {
        json!({
            "name": name, "image": image, "imageID": format!("{image}@sha256:{}", "0".repeat(64)), "ready": true,
            "containerID": format!("containerd://{}", "0".repeat(64)), "restartCount": 0, "started": true,
            "state": { "running": { "startedAt": since } },
        })
    };
    json!({ "status": {
        "phase": "Running", "hostIP": "192.168.0.1", "podIP": address, "podIPs": [{ "ip": address }], "startTime": since,
        "conditions": conditions,
        "containerStatuses": [
            container("app", &format!("registry.example.com/app-{}:1.2.3", app(number))),
            container("metrics", "registry.example.com/metrics:4.5.6"),
        ],
    } })
}
