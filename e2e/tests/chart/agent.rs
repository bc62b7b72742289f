//! The node agent's part of the chart: what it may do on its node, and at the API server.

use serde_json::{Value, json};
use stockade_e2e::client::{Answer, Client};
use stockade_e2e::cluster::Cluster;
use stockade_e2e::documents::text;
use stockade_e2e::helm::{objects, render};
use stockade_e2e::webhook::eventually;
use stockade_e2e::{installed_kinds, tools};

use super::AGENT;

const SUMMARIES: &str = "/apis/stockade.dev/v1alpha1/flowsummaries";
const ENFORCEMENTS: &str = "/apis/stockade.dev/v1alpha1/nodeenforcements";

#[test]
fn the_agent_has_the_capabilities_and_folders_that_it_needs_and_no_more() {
    if !tools::present() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let of = |values: &[&str]| {
        let all = objects(&render(home.path(), values).unwrap());
        let agent = all.into_iter().find(|o| o["kind"] == "DaemonSet").unwrap();
        let pod = agent["spec"]["template"]["spec"].clone();
        let container = pod["containers"][0].clone();
        let paths: Vec<_> =
            pod["volumes"].as_array().unwrap().iter().map(|v| text(v, "/hostPath/path").to_owned()).collect();
        (container, paths, pod["containers"].as_array().unwrap().len())
    };
    let (container, paths, containers) = of(AGENT);
    assert_eq!(containers, 1);
    let expected = json!({
        "privileged": false, "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
        "capabilities": { "drop": ["ALL"], "add": ["BPF", "PERFMON", "NET_ADMIN"] },
    });
    assert_eq!(container["securityContext"], expected);
    let folders = ["/sys/fs/bpf", "/var/lib/stockade", "/run/stockade", "/opt/cni/bin", "/etc/cni/net.d"];
    assert_eq!(paths, folders);
    let image =
        "ghcr.io/stockade/stockade-agent@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    assert_eq!(container["image"], image);
    let (container, paths, _) = of(&["agent.enabled=true", "agent.gate.enabled=false"]);
    assert_eq!(paths, folders[..3]);
    assert_eq!(container["image"], "ghcr.io/stockade/stockade-agent:test");
    assert!(!container["args"].to_string().contains("cni"), "{}", container["args"]);
}

/// The user of a token that is bound to a Pod of the agent on this node, as a kubelet has it made.
fn agent_on(cluster: &Cluster, node: &str) -> Client {
    let name = format!("agent-{node}");
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name },
        "spec": { "serviceAccountName": "stockade-agent", "nodeName": node, "containers": [{ "name": "c", "image": "i" }] },
    });
    cluster.client.post("/api/v1/nodes", &json!({ "kind": "Node", "metadata": { "name": node } })).expect_ok();
    let made = cluster.client.post("/api/v1/namespaces/stockade-system/pods", &pod).expect_ok();
    let bound = json!({ "apiVersion": "v1", "kind": "Pod", "name": name, "uid": made["metadata"]["uid"] });
    let request = json!({ "kind": "TokenRequest", "spec": { "boundObjectRef": bound } });
    let path = "/api/v1/namespaces/stockade-system/serviceaccounts/stockade-agent/token";
    let token = cluster.client.post(path, &request).expect_ok();
    cluster.client.with_token(text(&token, "/status/token"))
}

fn enforcement(node: &str, desired: &str) -> Value {
    json!({
        "apiVersion": "stockade.dev/v1alpha1", "kind": "NodeEnforcement", "metadata": { "name": node },
        "spec": { "desired": desired },
    })
}

#[test]
fn an_agent_says_what_is_enforced_and_what_passes_on_its_own_node_alone() {
    if !tools::present() {
        return;
    }
    let cluster = &Cluster::start();
    installed_kinds::own(cluster);
    let create = cluster.kubectl(&["create", "namespace", "stockade-system"], "");
    assert_eq!(create.code, 0, "{}", create.stderr);
    let rendered = objects(&render(cluster.folder(), &["agent.enabled=true"]).unwrap());
    let access =
        rendered.into_iter().filter(|o| text(o, "/metadata/name") == "stockade-agent" && o["kind"] != "DaemonSet");
    cluster.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": access.collect::<Vec<_>>() }).to_string());
    let [one, two] = ["one", "two"].map(|node| agent_on(cluster, node));

    // The policy is in force a moment after it was made.
    let foreign = || one.post(&format!("{ENFORCEMENTS}?dryRun=All"), &enforcement("three", "Enforced"));
    let refused = eventually(foreign, |answer| answer.code == 422);
    let why = "an agent writes the NodeEnforcement of its own node alone: one";
    assert!(refused.message().ends_with(why), "{}", refused.message());
    for (agent, node) in [(&one, "one"), (&two, "two")] {
        agent.post(ENFORCEMENTS, &enforcement(node, "Enforced")).expect_ok();
    }
    let tell = |agent: &Client, node: &str| {
        agent.merge(&format!("{ENFORCEMENTS}/{node}/status"), &json!({ "status": { "endpoints": 7 } }))
    };
    assert_eq!(tell(&one, "one").expect_ok()["status"]["endpoints"], 7);
    assert!(tell(&one, "two").message().ends_with(why));

    // What is wanted is not for it to say; who may, tells all of them.
    let off = |client: &Client, node: &str| -> Answer {
        client.merge(&format!("{ENFORCEMENTS}/{node}"), &json!({ "spec": { "desired": "Removed" } }))
    };
    assert_eq!(off(&one, "one").code, 403);
    assert_eq!(one.delete(&format!("{ENFORCEMENTS}/one")).code, 403);
    let spec = json!({ "spec": { "desired": "Removed" }, "status": { "endpoints": 8 } });
    let told = one.merge(&format!("{ENFORCEMENTS}/one/status"), &spec).expect_ok();
    assert_eq!((&told["spec"]["desired"], &told["status"]["endpoints"]), (&json!("Enforced"), &json!(8)));
    off(&cluster.client, "one").expect_ok();
    // Nor does it say what passes on another's.
    let summary = |node: &str| {
        json!({
            "apiVersion": "stockade.dev/v1alpha1", "kind": "FlowSummary", "metadata": { "name": node },
            "spec": { "observedTime": "2026-03-01T10:00:00Z", "leftOut": 0, "talks": [] },
        })
    };
    one.post(SUMMARIES, &summary("one")).expect_ok();
    two.post(SUMMARIES, &summary("two")).expect_ok();
    let seen =
        |agent: &Client, node: &str| agent.merge(&format!("{SUMMARIES}/{node}"), &json!({ "spec": { "leftOut": 7 } }));
    assert_eq!(seen(&one, "one").expect_ok()["spec"]["leftOut"], 7);
    let why = "an agent writes the FlowSummary of its own node alone: one";
    assert!(seen(&one, "two").message().ends_with(why), "{}", seen(&one, "two").message());
    assert_eq!(one.delete(&format!("{SUMMARIES}/one")).code, 403);
    // A token that is bound to no Pod is of no node.
    let path = "/api/v1/namespaces/stockade-system/serviceaccounts/stockade-agent/token";
    let token = cluster.client.post(path, &json!({ "kind": "TokenRequest", "spec": {} })).expect_ok();
    let unbound = cluster.client.with_token(text(&token, "/status/token"));
    assert_eq!(tell(&unbound, "one").code, 422);
}
