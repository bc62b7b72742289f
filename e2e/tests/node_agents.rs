//! What becomes of the word of node agents, against a real API server: `stockade net status`, and uninstalling. The agents
//! are played by the test.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use stockade_e2e::cluster::Cluster;
use stockade_e2e::documents::text;
use stockade_e2e::webhook::{binary, eventually, namespace};
use stockade_e2e::{installed_kinds, tools};

const ENFORCEMENTS: &str = "/apis/stockade.dev/v1alpha1/nodeenforcements";

fn stockade(binary: &Path, cluster: &Cluster, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary);
    command.args(arguments).arg("--kubeconfig").arg(cluster.kubeconfig());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn said(output: &Output) -> (i32, String) {
    let text = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    (output.status.code().unwrap_or(-1), text.concat())
}

/// What an agent says of its node.
fn tell(cluster: &Cluster, node: &str, ready: &str, reason: &str, policies: &Value) {
    let object = json!({
        "apiVersion": "stockade.dev/v1alpha1", "kind": "NodeEnforcement", "metadata": { "name": node }, "spec": {},
    });
    cluster.client.post(ENFORCEMENTS, &object);
    let generation =
        cluster.client.get(&format!("{ENFORCEMENTS}/{node}")).expect_ok()["metadata"]["generation"].clone();
    let now = jiff::Timestamp::now().to_string();
    let condition = json!({
        "type": "Ready", "status": ready, "reason": reason, "message": "", "observedGeneration": generation,
        "lastTransitionTime": now,
    });
    let count = policies.as_array().unwrap().len();
    let status = json!({
        "conditions": [condition], "observedTime": now, "policies": policies, "policyCount": count,
        "kernel": "6.12.1", "agent": "0.1.0", "attach": "tcx", "endpoints": 2,
    });
    cluster.client.merge(&format!("{ENFORCEMENTS}/{node}/status"), &json!({ "status": status })).expect_ok();
}

#[test]
fn net_status_tells_where_a_policy_is_in_force_and_follows_its_generation() {
    let Some(binary) = binary().filter(|_| tools::present()) else { return };
    let cluster = &Cluster::start();
    let status = |output: &str| said(&stockade(&binary, cluster, &["net", "status", "-o", output]).output().unwrap());
    let (code, told) = status("table");
    assert_eq!((code, told.contains("NodeEnforcements are not served")), (2, true), "{told}");

    installed_kinds::own(cluster);
    namespace(cluster, "web");
    let policy = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": { "name": "closed" },
        "spec": { "podSelector": {}, "policyTypes": ["Ingress"] },
    });
    let path = "/apis/networking.k8s.io/v1/namespaces/web/networkpolicies";
    cluster.client.post(path, &policy).expect_ok();
    let nowhere = "\
        POLICY                    IN FORCE\n\
        NetworkPolicy web/closed  selects no Pod of these nodes\n\
        0 of 0 nodes enforce network policies\n";
    assert_eq!(status("table"), (0, nowhere.to_owned()));
    let closed = |generation: i64| json!([{ "kind": "NetworkPolicy", "namespace": "web", "name": "closed", "generation": generation }]);
    tell(cluster, "one", "True", "Enforced", &closed(1));
    tell(cluster, "two", "True", "Enforced", &closed(1));
    let everywhere = "\
        POLICY                    IN FORCE\n\
        NetworkPolicy web/closed  on 2 nodes\n\
        2 of 2 nodes enforce network policies\n";
    assert_eq!(status("table"), (0, everywhere.to_owned()));

    cluster.client.merge(&format!("{path}/closed"), &json!({ "spec": { "policyTypes": ["Egress"] } })).expect_ok();
    tell(cluster, "one", "True", "Enforced", &closed(2));
    tell(cluster, "three", "False", "KernelRefused", &json!([]));
    let behind = "\
        POLICY                    IN FORCE\n\
        NetworkPolicy web/closed  on 1 of 2 nodes\n  \
          two: generation 1 of 2\n\
        node three not ready: KernelRefused\n\
        2 of 3 nodes enforce network policies\n";
    assert_eq!(status("table"), (1, behind.to_owned()));
    let (_, json) = status("json");
    let json: Value = serde_json::from_str(&json).unwrap();
    let expected = json!([{
        "kind": "NetworkPolicy", "namespace": "web", "name": "closed", "generation": 2, "inForce": 1, "behind": 1,
        "why": [{ "node": "two", "message": "generation 1 of 2" }],
    }]);
    assert_eq!(json["policies"], expected);
    let of_all = said(&stockade(&binary, cluster, &["status", "--wait=0"]).output().unwrap()).1;
    assert!(of_all.contains("2 of 3 nodes enforce network policies"), "{of_all}");
}

#[test]
fn uninstalling_waits_for_each_node_ends_the_agents_and_leaves_nothing_said_of_nodes() {
    let Some(binary) = binary().filter(|_| tools::present()) else { return };
    let cluster = &Cluster::start();
    installed_kinds::own(cluster);
    namespace(cluster, "stockade-system");
    let labels = json!({ "app": "agent" });
    let agents = json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": { "name": "stockade-agent" },
        "spec": {
            "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": { "containers": [{ "name": "a", "image": "i" }] } },
        },
    });
    let path = "/apis/apps/v1/namespaces/stockade-system/daemonsets";
    cluster.client.post(path, &agents).expect_ok();
    for node in ["one", "two", "down"] {
        tell(cluster, node, "True", "Enforced", &json!([]));
    }
    let arguments = ["uninstall", "--namespace=stockade-system", "--within=20"];
    let uninstalling: Child = stockade(&binary, cluster, &arguments).spawn().unwrap();
    for node in ["one", "two"] {
        let asked = || cluster.client.get(&format!("{ENFORCEMENTS}/{node}")).expect_ok();
        eventually(asked, |object| text(object, "/spec/desired") == "Removed");
        assert_eq!(cluster.client.get(&format!("{path}/stockade-agent")).code, 200, "agents that are needed yet");
        tell(cluster, node, "False", "Removed", &json!([]));
    }
    // There is nobody who collects what the DaemonSet owns, so it is held by its finalizer until it is taken off.
    eventually(
        || cluster.client.get(&format!("{path}/stockade-agent")).body,
        |agents| !text(agents, "/metadata/deletionTimestamp").is_empty(),
    );
    assert_eq!(cluster.client.get(&format!("{ENFORCEMENTS}/one")).code, 200, "nobody is to begin anew");
    let free = json!({ "metadata": { "finalizers": null } });
    cluster.client.merge(&format!("{path}/stockade-agent"), &free).expect_ok();

    let (code, told) = said(&uninstalling.wait_with_output().unwrap());
    let expected = "\
        node down: its agent did not say that everything is taken off\n\
        cleared: 2 nodes\n\
        removed: 0 webhook configurations, 0 kinds\n";
    assert_eq!((code, told.as_str()), (0, expected));
    assert_eq!(cluster.client.get(ENFORCEMENTS).expect_ok()["items"], json!([]));
    // Once more there is nothing to do.
    let again = stockade(&binary, cluster, &arguments).output().unwrap();
    assert_eq!(said(&again), (0, "removed: 0 webhook configurations, 0 kinds\n".to_owned()));
}
