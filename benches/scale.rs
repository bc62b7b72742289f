//! The background audit of a large cluster: 5,000 Namespaces and 50,000 Pods on a real API server, judged by 50
//! policies, ten of which are about Pods.
//!
//! Making the objects takes the API server minutes; what is measured begins after that.
#![expect(clippy::unwrap_used, reason = "a program that prints figures")]

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use stockade_benches::measure::{at_most, cpu, figure, peak};
use stockade_e2e::cluster::Cluster;
use stockade_e2e::installed_kinds;
use stockade_e2e::webhook::{self, Webhook};

const NAMESPACES: usize = 5_000;
const PODS: usize = 50_000;
const POLICIES: usize = 50;

/// Longest wait for the audit and for its reports.
const WITHIN: Duration = Duration::from_secs(600);
/// Name of the replica, and of its log.
const REPLICA: &str = "large";
const OWN_NAMESPACE: &str = "stockade-system";

fn main() {
    // An audit event for each of the objects would cost the API server, and nobody reads it.
    let cluster = Cluster::start_with(&["--audit-log-path=", "--audit-policy-file="]);
    installed_kinds::own(&cluster);
    installed_kinds::reports(&cluster);
    webhook::namespace(&cluster, OWN_NAMESPACE);
    let begun = Instant::now();
    cluster.client.make_all(NAMESPACES, namespace);
    cluster.client.make_all(PODS, pod);
    figure("Namespaces and Pods made", (NAMESPACES + PODS) as f64, "");
    figure("made in", begun.elapsed().as_secs_f64(), "s");
    cluster.client.make_all(POLICIES, policy);

    let etcd = || std::fs::metadata(cluster.folder().join("etcd/member/snap/db")).unwrap().len();
    let before = etcd();
    let replica = Webhook::start_in(&cluster, OWN_NAMESPACE, REPLICA, &[]);
    replica.wait_until_ready(&cluster, REPLICA);
    let begun = Instant::now();
    wait(&cluster, || replica.metric(r#"stockade_audit_objects_judged_total{resource="pods"}"#) >= PODS as f64);
    let processor = || cpu(replica.pid()).unwrap().as_secs_f64();
    at_most("all judged within", begun.elapsed().as_secs_f64(), 60.0, "s");
    at_most("CPU of the replica since its start", processor(), 60.0, "s");

    let written = || replica.metric(r#"stockade_audit_report_writes_total{verb="apply"}"#);
    wait(&cluster, || written() >= NAMESPACES as f64);
    figure("reports written", written(), "");
    figure("CPU of the replica with them", processor(), "s");
    at_most("most resident", peak(&replica.pid().to_string()).unwrap(), 400.0, "MiB");
    figure("etcd grew by", etcd().saturating_sub(before) as f64 / f64::from(1 << 20), "MiB");
}

#[track_caller]
fn wait(cluster: &Cluster, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + WITHIN;
    while !is_so() {
        assert!(Instant::now() < deadline, "{}", cluster.log(REPLICA));
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn namespace(number: usize) -> (String, Json) {
    ("/api/v1/namespaces".to_owned(), json!({ "metadata": { "name": format!("team-{number:04}") } }))
}

/// Every tenth, one of each Namespace, violates a policy.
fn pod(number: usize) -> (String, Json) {
    let path = format!("/api/v1/namespaces/team-{:04}/pods", number % NAMESPACES);
    let violates = number < NAMESPACES;
    (path, webhook::pod(&format!("web-{}", number / NAMESPACES), &json!({ "hostNetwork": violates })))
}

/// A fifth of them is about Pods, one of which is violated.
fn policy(number: usize) -> (String, Json) {
    let (group, resource) = [
        ("", "pods"),
        ("apps", "deployments"),
        ("", "services"),
        ("batch", "jobs"),
        ("networking.k8s.io", "ingresses"),
    ][number % 5];
    let rule = json!({
        "apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": [resource],
    });
    let off_the_network = format!("!object.spec.?hostNetwork.orValue(false) || {number} > 0");
    let policy = json!({
        "apiVersion": "stockade.dev/v1alpha1", "kind": "AdmissionPolicy",
        "metadata": { "name": format!("p-{number}") },
        "spec": {
            "actions": ["Audit"],
            "matchConstraints": { "resourceRules": [rule] },
            "validations": [
                { "expression": off_the_network, "message": "not the host's network" },
                { "expression": format!("object.metadata.name.size() < 60 + {number}"), "message": "long" },
            ],
        },
    });
    ("/apis/stockade.dev/v1alpha1/admissionpolicies".to_owned(), policy)
}
