//! What the live cluster's objects cost in memory: 3,200 Namespaces, 10,500 Ingresses and 11,000 RoleBindings, as users
//! reported them of a cluster on which another engine ran out of memory, made on a real API server and held by a
//! process that does nothing else.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program that prints figures")]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bumpalo::Bump;
use prometheus_client::registry::Registry;
use serde_json::{Value as Json, json};
use stockade_benches::measure::{at_most, figure, peak, resident};
use stockade_cel::Symbols;
use stockade_cluster::access::{Access, Options};
use stockade_cluster::facts::{LiveFacts, Read};
use stockade_e2e::cluster::Cluster;
use stockade_engine::ClusterFacts as _;
use stockade_engine::facts::{Fact, Into, Kind};
use stockade_policy::compiled::ParamKind;

const NAMESPACES: usize = 3_200;
const INGRESSES: usize = 10_500;
const ROLE_BINDINGS: usize = 11_000;

/// Longest wait for anything.
const WITHIN: Duration = Duration::from_secs(120);
/// As this argument the process holds the objects of the cluster whose kubeconfig comes next.
const HOLD: &str = "--hold";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|a| a == HOLD) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        return runtime.block_on(hold(Path::new(&arguments[at + 1])));
    }
    let cluster = Cluster::start();
    let begun = Instant::now();
    cluster.client.make_all(NAMESPACES, namespace);
    cluster.client.make_all(INGRESSES, ingress);
    cluster.client.make_all(ROLE_BINDINGS, role_binding);
    figure("objects made", (NAMESPACES + INGRESSES + ROLE_BINDINGS) as f64, "");
    figure("made in", begun.elapsed().as_secs_f64(), "s");
    let mut holder = Command::new(&arguments[0])
        .args([HOLD, cluster.kubeconfig().to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut go_on = holder.stdin.take().unwrap();
    for line in BufReader::new(holder.stdout.take().unwrap()).lines() {
        match line.unwrap().as_str() {
            "restart" => {
                cluster.stop_server();
                cluster.start_server();
                // A change that the holder waits for: then it has listed all again.
                let path = "/api/v1/namespaces/ns-0";
                cluster.client.merge(path, &json!({ "metadata": { "labels": { "again": "1" } } })).expect_ok();
                writeln!(go_on, "restarted").unwrap();
            }
            line => println!("{line}"),
        }
    }
    assert!(holder.wait().unwrap().success());
}

fn namespace(n: usize) -> (String, Json) {
    let labels = json!({
        "team": format!("team-{}", n % 97), "environment": if n.is_multiple_of(3) { "production" } else { "test" },
        "pod-security.kubernetes.io/enforce": "baseline", "pod-security.kubernetes.io/warn": "restricted",
    });
    let metadata = json!({ "name": format!("ns-{n}"), "labels": labels, "annotations": { "owner": "a@example.com" } });
    ("/api/v1/namespaces".to_owned(), json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": metadata }))
}

fn ingress(n: usize) -> (String, Json) {
    let namespace = format!("ns-{}", n % NAMESPACES);
    let host = format!("app-{n}.apps.example.com");
    let backend = json!({ "service": { "name": format!("app-{n}"), "port": { "number": 8080 } } });
    let spec = json!({
        "ingressClassName": "nginx",
        "tls": [{ "hosts": [host], "secretName": format!("app-{n}-tls") }],
        "rules": [{ "host": host, "http": { "paths": [
            { "path": "/", "pathType": "Prefix", "backend": backend },
            { "path": "/api", "pathType": "Prefix", "backend": backend },
        ] } }],
    });
    let labels = json!({
        "app.kubernetes.io/name": format!("app-{n}"), "app.kubernetes.io/instance": format!("app-{n}"),
        "app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": "app-1.2.3",
    });
    let annotations = json!({
        "cert-manager.io/cluster-issuer": "letsencrypt", "nginx.ingress.kubernetes.io/proxy-body-size": "16m",
        "meta.helm.sh/release-name": format!("app-{n}"), "meta.helm.sh/release-namespace": namespace,
    });
    let mut object = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "spec": spec,
        "metadata": { "name": format!("app-{n}"), "labels": labels, "annotations": annotations },
    });
    let applied = object.to_string();
    object["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = json!(applied);
    (format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses"), object)
}

fn role_binding(n: usize) -> (String, Json) {
    let user = |k: usize| json!({ "kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": format!("user-{}@example.com", n + k) });
    let object = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": { "name": format!("edit-{n}"), "labels": { "app.kubernetes.io/managed-by": "access" } },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit" },
        "subjects": [user(0), user(1), { "kind": "ServiceAccount", "namespace": "ci", "name": "deployer" }],
    });
    (format!("/apis/rbac.authorization.k8s.io/v1/namespaces/ns-{}/rolebindings", n % NAMESPACES), object)
}

/// Holds the objects and prints what they take.
async fn hold(kubeconfig: &Path) {
    let options = Options { kubeconfig: Some(kubeconfig.to_owned()), ..Options::default() };
    let access = Access::new(&options).await.unwrap();
    let before = resident("self").unwrap();
    figure("resident before any object", before, "MiB");
    let mut registry = Registry::default();
    let begun = Instant::now();
    let facts = LiveFacts::new(&access, &mut registry);
    let kind = |api_version: &str, kind: &str| ParamKind { api_version: api_version.to_owned(), kind: kind.to_owned() };
    let namespaces = kind("v1", "Namespace");
    let ingresses = kind("networking.k8s.io/v1", "Ingress");
    let bindings = kind("rbac.authorization.k8s.io/v1", "RoleBinding");
    let all = [namespaces, ingresses.clone(), bindings];
    let reads = all.map(Read::all);
    facts.hold(&reads);
    assert_eq!(facts.synced(&reads, WITHIN).await, BTreeSet::new());
    figure("all known after", begun.elapsed().as_secs_f64(), "s");
    // What is known is published before it is counted.
    while sum(&registry, "stockade_facts_objects") < (NAMESPACES + INGRESSES + ROLE_BINDINGS) as f64 {
        tokio::task::yield_now().await;
    }
    let [objects, bytes] = ["stockade_facts_objects", "stockade_facts_bytes"].map(|name| sum(&registry, name));
    figure("objects held", objects, "");
    figure("bytes of an object, with the tree's share", bytes / objects, "B");
    let after = resident("self").unwrap();
    figure("resident for each object", (after - before) * f64::from(1 << 20) / objects, "B");
    at_most("resident with all objects", after, 100.0, "MiB");
    at_most("most resident while they were listed", peak("self").unwrap(), 100.0, "MiB");
    read(&facts, &ingresses);

    println!("restart");
    std::io::stdin().lines().next().unwrap().unwrap();
    let again = || async {
        while !labelled_again(&facts) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(WITHIN, again()).await.unwrap();
    figure("full lists in all", sum(&registry, "stockade_facts_lists_total"), "");
    at_most("resident after the API server restarted", resident("self").unwrap(), 100.0, "MiB");
    at_most("most resident so far", peak("self").unwrap(), 100.0, "MiB");
}

/// What one look-up costs, decoded.
fn read(facts: &LiveFacts, kind: &ParamKind) {
    const TIMES: usize = 20_000;
    let (mut arena, symbols) = (Bump::new(), Symbols::new());
    let begun = Instant::now();
    for n in 0..TIMES {
        let n = n % INGRESSES;
        let (namespace, name) = (format!("ns-{}", n % NAMESPACES), format!("app-{n}"));
        let found = facts.get(of(kind), &namespace, &name, Into { arena: &arena, symbols: &symbols });
        assert!(matches!(found, Fact::Known(Some(_))));
        arena.reset();
    }
    figure("a look-up of an Ingress, decoded", begun.elapsed().as_secs_f64() * 1e6 / TIMES as f64, "µs");
}

fn labelled_again(facts: &LiveFacts) -> bool {
    let (arena, symbols) = (Bump::new(), Symbols::new());
    let kind = Kind { api_version: "v1", kind: "Namespace" };
    match facts.get(kind, "", "ns-0", Into { arena: &arena, symbols: &symbols }) {
        Fact::Known(Some(namespace)) => namespace.path(&["metadata", "labels", "again"]).is_some(),
        Fact::Known(None) | Fact::NotReady => false,
    }
}

fn of(kind: &ParamKind) -> Kind<'_> {
    Kind { api_version: &kind.api_version, kind: &kind.kind }
}

/// A metric over all kinds.
fn sum(registry: &Registry, name: &str) -> f64 {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
    let lines = text.lines().filter(|l| l.starts_with(&format!("{name}{{")));
    lines.filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}
