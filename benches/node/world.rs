//! The cluster, the node and the agent.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stockade_cni::gate::Answer;
use stockade_e2e::cluster::Cluster;
use stockade_e2e::webhook::eventually;
use stockade_e2e_agent::agent_binary;
use stockade_e2e_agent::bpffs::Bpffs;
use stockade_e2e_agent::hosts::{Node, Topology};

/// Pods of the node: as many as a kubelet runs by default.
pub(crate) const PODS: usize = 110;
/// Of these, Pods of the namespace whose policies isolate both directions.
const ISOLATED: usize = 100;
/// Identities of the cluster, each with an address of each family.
pub(crate) const IDENTITIES: usize = 20_000;
/// Identities of one slice: with two addresses each, what a slice holds.
const OF_SLICE: usize = 50;
/// Policies of the cluster, besides those that are edited.
pub(crate) const POLICIES: usize = 1_000;
/// Namespaces of the Pods elsewhere.
const NAMESPACES: usize = 100;
/// The namespace of Pods here that policies are about.
const ISOLATING: &str = "isolated";
/// The namespace of the others.
const FREE: &str = "free";

/// All of it.
pub(crate) struct World {
    cluster: Cluster,
    node: Node,
    pins: Bpffs,
    folder: tempfile::TempDir,
    agent: Child,
    uids: Vec<String>,
}

// === impl World ===

impl World {
    /// With so many policies besides those that are edited, an agent that has been told everything, and Pods that have no
    /// network yet.
    pub(crate) fn new(policies: usize) -> Self {
        let cluster = Cluster::with_default_apis();
        for definition in agent_binary::DEFINITIONS {
            cluster.apply(definition);
        }
        for kind in ["identityslices", "nodeenforcements"] {
            let path = format!("/apis/stockade.dev/v1alpha1/{kind}");
            eventually(|| cluster.client.get(&path).ok(), |served| *served);
        }
        fill(&cluster, policies);
        let mut node = Node::new(Topology::Routed);
        agent_binary::lead_to_this_machine(&node, &cluster.url);
        for at in 0..PODS {
            node.add_pod([format!("10.99.1.{}", at + 1), format!("fd99::1:{at:x}")].map(|a| a.parse().unwrap()));
        }
        let uids = (0..PODS).map(|at| make_pod(&cluster, at)).collect();
        let (pins, folder) = (Bpffs::new(), tempfile::tempdir().unwrap());
        let program = std::env::current_exe().unwrap().with_file_name("stockade-agent");
        let program = std::env::var_os("STOCKADE_AGENT").map_or(program, PathBuf::from);
        let mut command = agent_binary::command(&program, &node, &cluster.kubeconfig(), &pins, folder.path());
        let agent = command.spawn().unwrap();
        let is_ready = || {
            let told = cluster.client.get("/apis/stockade.dev/v1alpha1/nodeenforcements/n1").body;
            told["status"]["conditions"].as_array().into_iter().flatten().any(|c| c["status"] == "True")
        };
        eventually(is_ready, |is_ready| *is_ready);
        Self { cluster, node, pins, folder, agent, uids }
    }

    pub(crate) fn is_isolated(pod: usize) -> bool {
        pod < ISOLATED
    }

    pub(crate) fn pins(&self) -> PathBuf {
        self.pins.path().join("stockade")
    }

    pub(crate) fn agent(&self) -> &Child {
        &self.agent
    }

    /// How long the gate holds a Pod, whose address is told after.
    pub(crate) fn start_pod(&self, at: usize) -> Duration {
        let pod = &self.node.pods[at];
        let folder: &Path = self.folder.path();
        let begin = Instant::now();
        let answer = agent_binary::hold(folder, namespace(at), &name(at), &self.uids[at], pod);
        let took = begin.elapsed();
        assert_eq!(answer, Answer::done());
        let addresses = pod.addresses.map(|address| json!({ "ip": address }));
        let status = json!({ "status": { "podIP": pod.addresses[0], "podIPs": addresses } });
        let path = format!("/api/v1/namespaces/{}/pods/{}/status", namespace(at), name(at));
        self.cluster.client.merge(&path, &status).expect_ok();
        took
    }

    /// Edits the policy of one Pod or of all, and gives when that was answered.
    pub(crate) fn edit(&self, policy: &str, edit: usize) -> Instant {
        let path = format!("/apis/networking.k8s.io/v1/namespaces/{ISOLATING}/networkpolicies/{policy}");
        let labels = if policy == "one" { json!({ "pod": "0" }) } else { json!({}) };
        self.cluster.client.put(&path, &policy_object(ISOLATING, policy, &labels, edit)).expect_ok();
        Instant::now()
    }

    /// Gives an identity that somebody has already another address.
    pub(crate) fn give_address(&self, number: usize) -> (IpAddr, Instant) {
        let (slice, address) = (number % (IDENTITIES / OF_SLICE), IpAddr::from([11, 200, 0, number as u8]));
        let (_, mut object) = slice_object(slice);
        let addresses = object["spec"]["identities"][0]["addresses"].as_array_mut().unwrap();
        addresses[0] = json!(address);
        let path = format!("/apis/stockade.dev/v1alpha1/identityslices/s{slice}");
        self.cluster.client.merge(&path, &object).expect_ok();
        (address, Instant::now())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.agent.kill());
        drop(self.agent.wait());
    }
}

fn namespace(pod: usize) -> &'static str {
    if World::is_isolated(pod) { ISOLATING } else { FREE }
}

fn name(pod: usize) -> String {
    format!("pod-{pod}")
}

/// Namespaces, slices and policies.
fn fill(cluster: &Cluster, policies: usize) {
    let names: Vec<String> = (0..NAMESPACES).map(elsewhere).chain([ISOLATING, FREE].map(str::to_owned)).collect();
    cluster.client.make_all(names.len(), |at| {
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": names[at] } });
        ("/api/v1/namespaces".to_owned(), namespace)
    });
    cluster.client.make_all(IDENTITIES / OF_SLICE, slice_object);
    let collection = |namespace: &str| format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies");
    // A tenth of them are about Pods of the node.
    cluster.client.make_all(policies, |at| {
        let here = at % 10 == 0;
        let namespace = if here { ISOLATING.to_owned() } else { elsewhere(at % NAMESPACES) };
        let labels = if here { json!({ "pod": (at / 10).to_string() }) } else { json!({ "app": format!("app-{at}") }) };
        (collection(&namespace), policy_object(&namespace, &format!("policy-{at}"), &labels, at))
    });
    for (name, labels) in [("one", json!({ "pod": "0" })), ("all", json!({}))] {
        cluster.client.post(&collection(ISOLATING), &policy_object(ISOLATING, name, &labels, 0)).expect_ok();
    }
}

fn elsewhere(number: usize) -> String {
    format!("team-{number}")
}

fn slice_object(number: usize) -> (String, Value) {
    let identity = |at: usize| {
        let number = number * OF_SLICE + at;
        let labels = json!({
            "app": format!("app-{}", number % 1_000), "app.kubernetes.io/name": format!("name-{number}"),
            "pod-template-hash": format!("{number:010x}"), "team": format!("team-{}", number % 50), "tier": "backend",
        });
        let v4 = IpAddr::from([11, (number >> 16) as u8, (number >> 8) as u8, number as u8]);
        json!({ "labels": labels, "addresses": [v4, format!("fd00::{number:x}")] })
    };
    let identities: Vec<Value> = (0..OF_SLICE).map(identity).collect();
    let slice = json!({
        "apiVersion": "stockade.dev/v1alpha1", "kind": "IdentitySlice", "metadata": { "name": format!("s{number}") },
        "spec": { "namespace": elsewhere(number % NAMESPACES), "identities": identities },
    });
    ("/apis/stockade.dev/v1alpha1/identityslices".to_owned(), slice)
}

/// About 20 identities of any namespace, 200 of a namespace, and blocks; each edit says another port.
fn policy_object(namespace: &str, name: &str, labels: &Value, edit: usize) -> Value {
    let (app, team) = (format!("app-{}", edit % 1_000), elsewhere(edit % NAMESPACES));
    let apps = json!({ "namespaceSelector": {}, "podSelector": { "matchLabels": { "app": app } } });
    let space = json!({ "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": team } } });
    let block = json!({ "ipBlock": { "cidr": "192.168.0.0/16", "except": ["192.168.7.0/24"] } });
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": { "name": name, "namespace": namespace },
        "spec": {
            "podSelector": { "matchLabels": labels }, "policyTypes": ["Ingress", "Egress"],
            "ingress": [{ "from": [apps, space], "ports": [{ "port": 1_000 + edit % 30_000 }] }],
            "egress": [{ "to": [space, block], "ports": [{ "port": 443 }, { "protocol": "UDP", "port": 53 }] }],
        },
    })
}

fn make_pod(cluster: &Cluster, at: usize) -> String {
    let pods = format!("/api/v1/namespaces/{}/pods", namespace(at));
    let object = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name(at), "labels": { "pod": at.to_string() } },
        "spec": { "nodeName": agent_binary::NODE, "containers": [{ "name": "c", "image": "i" }] },
    });
    cluster.client.post(&pods, &object).expect_ok();
    let made = cluster.client.get(&format!("{pods}/{}", name(at))).expect_ok();
    made["metadata"]["uid"].as_str().unwrap().to_owned()
}
