//! IdentitySlices against a real API server: what Pods do is in them exactly, and little is written.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Instant;

use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use stockade_cluster::access::{Access, Options};
use stockade_cluster::identities;
use stockade_e2e::cluster::{ALICE_TOKEN, Cluster};
use stockade_e2e::documents::text;
use stockade_e2e::webhook::{eventually, namespace};
use stockade_e2e::{helm, installed_kinds, tools};
use tokio::runtime::Runtime;
use tokio::sync::watch;

const SLICES: &str = "/apis/stockade.dev/v1alpha1/identityslices";

/// The cluster of all tests but one, in which each has a leader: they do each other no harm. There `alice` may do what the chart lets its replicas do.
fn cluster() -> Option<&'static Cluster> {
    static READY: OnceLock<()> = OnceLock::new();
    if !tools::present() {
        return None;
    }
    let cluster = Cluster::shared();
    READY.get_or_init(|| prepare(cluster));
    Some(cluster)
}

fn prepare(cluster: &Cluster) {
    installed_kinds::own(cluster);
    let rendered = helm::objects(&helm::render(cluster.folder(), &["agent.enabled=true"]).unwrap());
    let role = rendered.iter().find(|o| o["kind"] == "ClusterRole" && o["metadata"]["name"] == "stockade").unwrap();
    let authorization = "/apis/rbac.authorization.k8s.io/v1";
    cluster.client.post(&format!("{authorization}/clusterroles"), role).expect_ok();
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": { "name": "stockade" }, "subjects": [{ "kind": "User", "name": "alice" }],
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "stockade" },
    });
    cluster.client.post(&format!("{authorization}/clusterrolebindings"), &binding).expect_ok();
    let kubeconfig = std::fs::read_to_string(cluster.kubeconfig()).unwrap().replace("admin-token", ALICE_TOKEN);
    std::fs::write(cluster.folder().join("alice.kubeconfig"), kubeconfig).unwrap();
}

/// One who leads until it is dropped.
struct Leader {
    registry: Registry,
    _leads: watch::Sender<bool>,
    _threads: Runtime,
}

impl Leader {
    fn start(cluster: &Cluster) -> Self {
        let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let kubeconfig = Some(cluster.folder().join("alice.kubeconfig"));
        let options = Options { kubeconfig, identity: Some("leader".to_owned()), ..Options::default() };
        let access = threads.block_on(Access::new(&options)).unwrap();
        let (leads, leadership) = watch::channel(true);
        let mut registry = Registry::default();
        threads.spawn(identities::keep(&access, leadership, &mut registry));
        Self { registry, _leads: leads, _threads: threads }
    }

    /// Lines of metrics that begin so.
    fn metrics(&self, name: &str) -> Vec<String> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect()
    }
}

/// Makes a Pod with this label and these addresses.
fn pod(cluster: &Cluster, namespace: &str, name: &str, app: &str, addresses: &[&str]) {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": { "app": app } },
        "spec": { "containers": [{
            "name": "c", "image": "i", "ports": [{ "name": "http", "containerPort": 80 }, { "containerPort": 81 }],
        }] },
    });
    cluster.client.post(&format!("/api/v1/namespaces/{namespace}/pods"), &pod).expect_ok();
    tell(cluster, namespace, name, "Running", addresses);
}

/// As a kubelet does.
fn tell(cluster: &Cluster, namespace: &str, name: &str, phase: &str, addresses: &[&str]) {
    let ips: Vec<_> = addresses.iter().map(|ip| json!({ "ip": ip })).collect();
    let status = json!({ "status": { "phase": phase, "podIP": addresses.first(), "podIPs": ips } });
    cluster.client.merge(&format!("/api/v1/namespaces/{namespace}/pods/{name}/status"), &status).expect_ok();
}

/// Waits until who is made from now on is younger than a Pod: the API server tells of whole seconds.
fn ages(cluster: &Cluster, namespace: &str, name: &str) {
    let pod = cluster.client.get(&format!("/api/v1/namespaces/{namespace}/pods/{name}")).expect_ok();
    let created: jiff::Timestamp = text(&pod, "/metadata/creationTimestamp").parse().unwrap();
    eventually(|| jiff::Timestamp::now().as_second(), |now| *now > created.as_second());
}

fn delete(cluster: &Cluster, namespace: &str, name: &str) {
    cluster.client.delete(&format!("/api/v1/namespaces/{namespace}/pods/{name}?gracePeriodSeconds=0")).expect_ok();
}

/// Slices of namespaces that begin so: `app: addresses` of each identity.
fn slices(cluster: &Cluster, prefix: &str) -> BTreeMap<String, Vec<String>> {
    let list = cluster.client.get(SLICES).expect_ok();
    let ours = list["items"].as_array().unwrap().iter().filter(|s| text(s, "/spec/namespace").starts_with(prefix));
    let told = |identity: &Value| {
        let addresses: Vec<_> = identity["addresses"].as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect();
        format!("{}: {}", text(identity, "/labels/app"), addresses.join(" "))
    };
    ours.map(|slice| {
        let identities = slice["spec"]["identities"].as_array().unwrap();
        (text(slice, "/metadata/name").to_owned(), identities.iter().map(told).collect())
    })
    .collect()
}

/// Waits until the slices of these namespaces are exactly so.
#[track_caller]
fn expect(cluster: &Cluster, prefix: &str, expected: &[(&str, &[&str])]) {
    let expected: BTreeMap<String, Vec<String>> = expected
        .iter()
        .map(|(name, identities)| ((*name).to_owned(), identities.iter().map(|i| (*i).to_owned()).collect()))
        .collect();
    eventually(|| slices(cluster, prefix), |found| *found == expected);
}

#[test]
fn what_pods_do_is_in_slices_exactly() {
    let Some(cluster) = cluster() else { return };
    for name in ["does-a", "does-b"] {
        namespace(cluster, name);
    }
    pod(cluster, "does-a", "one", "web", &["10.1.0.1", "fd00:1::1"]);
    let leader = Leader::start(cluster);
    expect(cluster, "does-", &[("does-a.0", &["web: 10.1.0.1 fd00:1::1"])]);
    let slice = cluster.client.get(&format!("{SLICES}/does-a.0")).expect_ok();
    assert_eq!(
        slice["spec"]["identities"][0]["ports"],
        json!([{ "name": "http", "port": 80, "protocol": "TCP" }]),
        "those without a name are none that a policy can tell"
    );

    pod(cluster, "does-a", "two", "web", &["10.1.0.2"]);
    pod(cluster, "does-a", "three", "db", &["10.1.0.3"]);
    pod(cluster, "does-b", "four", "web", &["10.1.0.4"]);
    pod(cluster, "does-b", "waits", "web", &[]);
    let all: &[&str] = &["db: 10.1.0.3", "web: 10.1.0.1 10.1.0.2 fd00:1::1"];
    expect(cluster, "does-", &[("does-a.0", all), ("does-b.0", &["web: 10.1.0.4"])]);

    let labels = json!({ "metadata": { "labels": { "app": "db" } } });
    cluster.client.merge("/api/v1/namespaces/does-a/pods/two", &labels).expect_ok();
    let all: &[&str] = &["db: 10.1.0.2 10.1.0.3", "web: 10.1.0.1 fd00:1::1"];
    expect(cluster, "does-", &[("does-a.0", all), ("does-b.0", &["web: 10.1.0.4"])]);

    // Finished, and gone.
    tell(cluster, "does-a", "one", "Succeeded", &["10.1.0.1", "fd00:1::1"]);
    delete(cluster, "does-b", "four");
    expect(cluster, "does-", &[("does-a.0", &["db: 10.1.0.2 10.1.0.3"])]);

    // An address is given to another, who is younger.
    ages(cluster, "does-a", "three");
    pod(cluster, "does-b", "five", "web", &["10.1.0.3"]);
    expect(cluster, "does-", &[("does-a.0", &["db: 10.1.0.2"]), ("does-b.0", &["web: 10.1.0.3"])]);
    delete(cluster, "does-b", "five");
    expect(cluster, "does-", &[("does-a.0", &["db: 10.1.0.2 10.1.0.3"])]);
    println!("{}", leader.metrics("stockade_identities").join("\n"));
}

#[test]
fn a_pod_of_the_nodes_network_is_nobody_and_one_that_ends_is_known_until_it_is_gone() {
    let Some(cluster) = cluster() else { return };
    namespace(cluster, "ends");
    let _leader = Leader::start(cluster);
    let pod_of_node = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "node" },
        "spec": { "hostNetwork": true, "containers": [{ "name": "c", "image": "i" }] },
    });
    cluster.client.post("/api/v1/namespaces/ends/pods", &pod_of_node).expect_ok();
    tell(cluster, "ends", "node", "Running", &["192.168.0.1"]);
    pod(cluster, "ends", "held", "web", &["10.2.0.1"]);
    pod(cluster, "ends", "other", "web", &["10.2.0.2"]);
    let finalizer = |names: &[&str]| json!({ "metadata": { "finalizers": names } });
    let path = "/api/v1/namespaces/ends/pods/held";
    cluster.client.merge(path, &finalizer(&["example.com/held"])).expect_ok();
    delete(cluster, "ends", "held");
    delete(cluster, "ends", "other");
    expect(cluster, "ends", &[("ends.0", &["web: 10.2.0.1"])]);
    cluster.client.merge(path, &finalizer(&[])).expect_ok();
    expect(cluster, "ends", &[]);
}

#[test]
fn a_new_leader_takes_over_what_is_there_and_puts_right_what_is_not() {
    if !tools::present() {
        return;
    }
    let cluster = &Cluster::start();
    prepare(cluster);
    for name in ["over-a", "over-b", "over-c"] {
        namespace(cluster, name);
    }
    let leader = Leader::start(cluster);
    cluster.client.make_all(250, |number| {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": format!("p{number}"), "labels": { "app": format!("a{}", number % 7) } },
            "spec": { "containers": [{ "name": "c", "image": "i" }] },
        });
        ("/api/v1/namespaces/over-a/pods".to_owned(), pod)
    });
    for number in 0..250 {
        let address = format!("10.3.{}.{}", number / 200, number % 200 + 1);
        tell(cluster, "over-a", &format!("p{number}"), "Running", &[&address]);
    }
    pod(cluster, "over-b", "one", "web", &["10.3.9.1"]);
    let count = |found: &BTreeMap<String, Vec<String>>| {
        found.values().flatten().map(|identity| identity.split(' ').count() - 1).sum::<usize>()
    };
    eventually(|| slices(cluster, "over-"), |found| count(found) == 251);
    println!("{}", leader.metrics("stockade_identities").join("\n"));
    drop(leader);

    // While nobody leads: one is left over, one is spoilt, a Pod comes.
    let slice = |name: &str, namespace: &str| {
        json!({
            "apiVersion": "stockade.dev/v1alpha1", "kind": "IdentitySlice", "metadata": { "name": name },
            "spec": { "namespace": namespace, "identities": [{ "addresses": ["10.3.9.9"] }] },
        })
    };
    cluster.client.post(SLICES, &slice("over-c.3", "over-c")).expect_ok();
    cluster.client.post(SLICES, &slice("over", "over-a")).expect_ok();
    let spoilt = json!({ "spec": { "identities": [{ "addresses": ["10.3.9.9"] }] } });
    cluster.client.merge(&format!("{SLICES}/over-b.0"), &spoilt).expect_ok();
    let versions = || {
        let list = cluster.client.get(SLICES).expect_ok();
        let ours = list["items"].as_array().unwrap().iter().filter(|s| text(s, "/spec/namespace") == "over-a");
        let of = |s: &Value| (text(s, "/metadata/name").to_owned(), text(s, "/metadata/resourceVersion").to_owned());
        ours.map(of).filter(|(name, _)| name != "over").collect::<BTreeMap<_, _>>()
    };
    let before = versions();
    let _leader = Leader::start(cluster);
    let right: Vec<String> = vec!["web: 10.3.9.1".to_owned()];
    eventually(
        || slices(cluster, "over-"),
        |found| {
            let names = || found.keys().map(String::as_str);
            found.get("over-b.0") == Some(&right)
                && count(found) == 251
                && !names().any(|n| n == "over" || n == "over-c.3")
        },
    );
    assert_eq!(versions(), before, "nothing of what was right is written");
}

#[test]
fn of_two_that_believe_to_lead_none_does_harm() {
    let Some(cluster) = cluster() else { return };
    namespace(cluster, "both");
    let leaders = [Leader::start(cluster), Leader::start(cluster)];
    let start = Instant::now();
    for number in 1..=40 {
        pod(cluster, "both", &format!("p{number}"), "web", &[&format!("10.4.0.{number}")]);
    }
    for number in 1..=38 {
        delete(cluster, "both", &format!("p{number}"));
    }
    expect(cluster, "both", &[("both.0", &["web: 10.4.0.39 10.4.0.40"])]);
    println!("after {:?}:", start.elapsed());
    for leader in &leaders {
        println!("{}", leader.metrics("stockade_identities_writes").join("\n"));
    }
}
