//! The cluster that truth tables are about: three namespaces with three Pods each, on one node.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Map, Value, json};
use stockade_agent::hold::PodRequest;
use stockade_agent::inputs::{Inputs, NamespaceFacts, PodFacts, PolicyObject};
use stockade_e2e_agent::hosts::{Node, Topology};
use stockade_e2e_agent::traffic::{PORTS, Pair};
use stockade_netpol::addresses::Family;
use stockade_netpol::ports::Protocol;
use stockade_node::identity_slice::NamedPort;

const NAMES: [&str; 3] = ["a", "b", "c"];
const NAMESPACES: [&str; 3] = ["x", "y", "z"];

/// What a test has applied so far.
pub(crate) struct Cluster {
    family: Family,
    policies: BTreeMap<String, Value>,
    /// By namespace, or namespace and Pod.
    labels: BTreeMap<String, Map<String, Value>>,
}

/// A node with all Pods.
pub(crate) fn node(topology: Topology) -> Node {
    let mut node = Node::new(topology);
    for at in 0..9 {
        node.add_pod([address(Family::V4, at), address(Family::V6, at)]);
    }
    node
}

/// Each Pod with each other.
pub(crate) fn pairs() -> impl Iterator<Item = Pair> {
    (0..9).flat_map(|from| (0..9).filter(move |to| *to != from).map(move |to| (from, to)))
}

/// All Pods, as whoever set them up tells of them.
pub(crate) fn requests(node: &Node) -> Vec<PodRequest> {
    node.pods.iter().zip(pods()).map(|(pod, (namespace, name))| pod.request(namespace, name)).collect()
}

/// What a table says of a pair.
pub(crate) fn expects(table: &Value, (from, to): Pair) -> bool {
    let name = |at| {
        let (namespace, name) = pods().nth(at).unwrap();
        format!("{namespace}/{name}")
    };
    let (from, to) = (name(from), name(to));
    let means = |pattern: &str, pod: &str| {
        pattern == "*" || pattern == pod || pattern.strip_suffix('*').is_some_and(|prefix| pod.starts_with(prefix))
    };
    let lines = table["expect"].as_array().unwrap().iter().map(|line| line.as_str().unwrap());
    let mut about = lines.filter(|line| {
        let (a, b) = line[1..].split_once(' ').unwrap();
        means(a, &from) && means(b, &to)
    });
    about.next_back().is_none_or(|line| line.starts_with('+'))
}

fn pods() -> impl Iterator<Item = (&'static str, &'static str)> {
    NAMESPACES.into_iter().flat_map(|namespace| NAMES.map(|name| (namespace, name)))
}

/// Of the Pod at a place. They lie far apart, so that no large block has two that truth tables tell apart by chance.
fn address(family: Family, at: usize) -> IpAddr {
    let text = match family {
        Family::V4 => format!("10.99.0.{}", at + 10),
        Family::V6 => format!("fd99::{}", at + 10),
    };
    text.parse().unwrap()
}

// === impl Cluster ===

impl Cluster {
    /// One without policies, whose blocks of addresses are of this family.
    pub(crate) fn new(family: Family) -> Self {
        Self { family, policies: BTreeMap::new(), labels: BTreeMap::new() }
    }

    /// Takes a step of a test.
    pub(crate) fn take(&mut self, step: &Value) {
        for (name, spec) in step["apply"].as_object().into_iter().flatten() {
            let mut spec = spec.clone();
            self.fill_addresses(&mut spec);
            self.policies.insert(name.clone(), spec);
        }
        for name in step["remove"].as_array().into_iter().flatten() {
            self.policies.remove(name.as_str().unwrap());
        }
        for (name, labels) in step["label"].as_object().into_iter().flatten() {
            self.labels.entry(name.clone()).or_default().extend(labels.as_object().unwrap().clone());
        }
    }

    fn fill_addresses(&self, value: &mut Value) {
        match value {
            Value::String(text) if text.starts_with('{') => {
                let (large, one) = if self.family == Family::V4 { (4, 32) } else { (4, 128) };
                let inner = text.trim_matches(['{', '}']);
                let (pod, bits) = inner.strip_prefix("around ").map_or((inner, one), |pod| (pod, large));
                let at = pods().position(|(namespace, name)| format!("{namespace}/{name}") == pod).unwrap();
                *text = format!("{}/{bits}", address(self.family, at));
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.fill_addresses(item)),
            Value::Object(members) => members.values_mut().for_each(|member| self.fill_addresses(member)),
            _ => {}
        }
    }

    /// What an agent is told of it.
    pub(crate) fn inputs(&self) -> Inputs {
        let mut inputs = Inputs::default();
        let extra = |name: &str| -> BTreeMap<String, String> {
            let labels = self.labels.get(name).into_iter().flatten();
            labels.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
        };
        for namespace in NAMESPACES {
            inputs.namespaces.insert(namespace.to_owned(), NamespaceFacts { labels: extra(namespace), audit: false });
        }
        let mut ports: Vec<NamedPort> = Vec::new();
        for port in PORTS {
            ports.extend(Protocol::ALL.map(|protocol| NamedPort {
                name: format!("serve-{port}-{}", protocol.name().to_lowercase()),
                protocol: protocol.name().to_owned(),
                port,
            }));
        }
        for ((namespace, name), at) in pods().zip(0..) {
            let mut labels = extra(&format!("{namespace}/{name}"));
            labels.insert("pod".to_owned(), name.to_owned());
            let facts = PodFacts {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                labels,
                ports: ports.clone(),
                addresses: vec![address(Family::V4, at), address(Family::V6, at)],
                ..PodFacts::default()
            };
            inputs.pods.insert(format!("{namespace}-{name}"), facts);
        }
        for (name, spec) in &self.policies {
            let (namespace, name) = name.split_once('/').unwrap();
            let policy = PolicyObject::from(json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                "metadata": { "name": name, "namespace": namespace }, "spec": spec,
            }));
            inputs.policies.insert(policy.key(), policy);
        }
        inputs
    }
}
