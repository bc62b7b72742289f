//! `stockade-agent run` on a node of network namespaces, with a real API server.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Child;

use serde_json::{Value, json};
use stockade_cni::gate::Answer;
use stockade_e2e::cluster::Cluster;
use stockade_e2e::tools;
use stockade_e2e::webhook::eventually;
use stockade_e2e_agent::agent_binary;
use stockade_e2e_agent::bpffs::Bpffs;
use stockade_e2e_agent::hosts::{Node, PodNet, Topology};
use stockade_e2e_agent::traffic::Traffic;
use stockade_netpol::ports::Protocol;
use stockade_netpol_testing::truth_tables::Pair;

/// A node with an agent, and its API server.
struct Setting {
    cluster: Cluster,
    node: Node,
    pins: Bpffs,
    folder: tempfile::TempDir,
    agent: Option<Child>,
}

// === impl Setting ===

impl Setting {
    fn new() -> Self {
        let cluster = Cluster::with_default_apis();
        for definition in agent_binary::DEFINITIONS {
            cluster.apply(definition);
        }
        for kind in ["identityslices", "nodeenforcements"] {
            let path = format!("/apis/stockade.dev/v1alpha1/{kind}");
            eventually(|| cluster.client.get(&path).ok(), |served| *served);
        }
        let node = Node::new(Topology::Routed);
        agent_binary::lead_to_this_machine(&node, &cluster.url);
        Self { cluster, node, pins: Bpffs::new(), folder: tempfile::tempdir().unwrap(), agent: None }
    }

    fn start_agent(&mut self) {
        let program = Path::new(env!("CARGO_BIN_EXE_stand-in")).with_file_name("stockade-agent");
        let kubeconfig = self.cluster.kubeconfig();
        let mut command = agent_binary::command(&program, &self.node, &kubeconfig, &self.pins, self.folder.path());
        self.agent = Some(command.spawn().unwrap());
    }

    fn kill_agent(&mut self) {
        let mut agent = self.agent.take().unwrap();
        agent.kill().unwrap();
        agent.wait().unwrap();
    }

    /// A Pod of the node, as the API server, the CNI plugin and the kubelet tell of it.
    fn make_pod(&self, name: &str, at: usize) -> Answer {
        let client = &self.cluster.client;
        let pods = "/api/v1/namespaces/shop/pods";
        let object = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": { "app": name } },
            "spec": { "nodeName": "n1", "containers": [{ "name": "c", "image": "i" }] },
        });
        client.post(pods, &object).expect_ok();
        let uid = client.get(&format!("{pods}/{name}")).expect_ok()["metadata"]["uid"].as_str().unwrap().to_owned();
        let pod = &self.node.pods[at];
        let answer = self.hold(name, &uid, pod);
        let addresses = pod.addresses.map(|address| json!({ "ip": address }));
        let status = json!({ "status": { "podIP": pod.addresses[0], "podIPs": addresses } });
        client.merge(&format!("{pods}/{name}/status"), &status).expect_ok();
        answer
    }

    fn hold(&self, name: &str, uid: &str, pod: &PodNet) -> Answer {
        agent_binary::hold(self.folder.path(), "shop", name, uid, pod)
    }

    /// Lets nobody but Pods with this label reach `web`.
    fn let_in(&self, app: &str) {
        let from = json!([{ "podSelector": { "matchLabels": { "app": app } } }]);
        let spec = json!({ "podSelector": { "matchLabels": { "app": "web" } }, "ingress": [{ "from": from }] });
        let policy = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": { "name": "web", "namespace": "shop" }, "spec": spec,
        });
        self.cluster.apply(&policy.to_string());
    }

    fn enforcement(&self) -> Value {
        self.cluster.client.get("/apis/stockade.dev/v1alpha1/nodeenforcements/n1").body
    }

    fn ready(&self) -> (String, String) {
        let conditions = self.enforcement()["status"]["conditions"].clone();
        let ready = conditions.as_array().into_iter().flatten().find(|c| c["type"] == "Ready").cloned();
        let ready = ready.unwrap_or_default();
        let text = |name: &str| ready[name].as_str().unwrap_or_default().to_owned();
        (text("status"), text("reason"))
    }

    /// Waits until those and no others of these pairs reach each other.
    #[track_caller]
    fn reaches(&self, traffic: &Traffic, pairs: &[Pair], expected: &[Pair]) {
        let expected: BTreeSet<Pair> = expected.iter().copied().collect();
        let tcp = (false, Protocol::Tcp, 80);
        eventually(|| traffic.reached(&self.node, pairs, tcp, &expected), |reached| *reached == expected);
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            drop(agent.kill());
            drop(agent.wait());
        }
    }
}

#[test]
fn an_agent_enforces_what_the_api_server_says_through_its_absence_and_leaves_nothing_behind() {
    if !tools::present() {
        return;
    }
    let mut setting = Setting::new();
    for at in 0..5 {
        setting
            .node
            .add_pod([format!("10.99.0.{}", at + 10), format!("fd99::{}", at + 10)].map(|a| a.parse().unwrap()));
    }
    let traffic = Traffic::start(&setting.node);
    setting.cluster.apply(r#"{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}"#);
    // Somebody on another node: only a slice tells of them.
    let far = json!({ "labels": { "app": "far" }, "addresses": ["10.99.0.12", "fd99::12"] });
    let slice = json!({
        "apiVersion": "stockade.dev/v1alpha1", "kind": "IdentitySlice", "metadata": { "name": "shop-1" },
        "spec": { "namespace": "shop", "identities": [far] },
    });
    setting.cluster.apply(&slice.to_string());
    setting.let_in("shop");
    setting.start_agent();
    assert_eq!(setting.make_pod("web", 0), Answer::done());
    assert_eq!(setting.make_pod("shop", 1), Answer::done());
    let pairs = [(1, 0), (2, 0), (3, 0)];
    setting.reaches(&traffic, &pairs, &[(1, 0)]);
    setting.let_in("far");
    setting.reaches(&traffic, &pairs, &[(2, 0)]);

    eventually(|| setting.ready(), |ready| *ready == ("True".to_owned(), "ReadBack".to_owned()));
    let policies = json!([{ "kind": "NetworkPolicy", "namespace": "shop", "name": "web", "generation": 2 }]);
    let is_told = |status: &Value| status["endpoints"] == 2 && status["policies"] == policies;
    let status = eventually(|| setting.enforcement()["status"].clone(), is_told);
    assert_eq!(status["canary"]["refused"], true);

    // What hung by clsact first, so that nobody waited, hangs by tcx soon after.
    let links = setting.pins.path().join("stockade/links");
    let hung = [0, 1]
        .map(|at| setting.node.pods[at].interface.index)
        .map(|n| ["from_pod", "to_pod"].map(|p| format!("{n}-{p}")));
    eventually(|| hung.as_flattened().iter().all(|name| links.join(name).exists()), |is_so| *is_so);
    setting.reaches(&traffic, &pairs, &[(2, 0)]);

    // The API server is away, and the agent is another: all stays, and who is not known is closed.
    eventually(|| setting.folder.path().join("state/inputs.json").is_file(), |is_there| *is_there);
    setting.cluster.stop_server();
    setting.kill_agent();
    setting.reaches(&traffic, &pairs, &[(2, 0)]);
    setting.start_agent();
    assert_eq!(setting.hold("new", "unknown-uid", &setting.node.pods[4]), Answer::done());
    setting.reaches(&traffic, &[(2, 0), (1, 0), (1, 4), (4, 1)], &[(2, 0)]);

    setting.cluster.start_server();
    setting.let_in("shop");
    setting.reaches(&traffic, &pairs, &[(1, 0)]);
    eventually(|| setting.ready(), |ready| *ready == ("True".to_owned(), "ReadBack".to_owned()));

    // Nothing is wanted of the node any more.
    let path = "/apis/stockade.dev/v1alpha1/nodeenforcements/n1";
    setting.cluster.client.merge(path, &json!({ "spec": { "desired": "Removed" } })).expect_ok();
    eventually(|| setting.ready(), |ready| *ready == ("False".to_owned(), "Removed".to_owned()));
    setting.reaches(&traffic, &[(1, 0), (2, 0), (1, 4)], &[(1, 0), (2, 0), (1, 4)]);
    assert!(!setting.pins.path().join("stockade").join("links").exists());
}
