//! What is to hold in a cluster, as tables of who reaches whom: `truth_tables.yaml` is what the end-to-end suite of
//! Kubernetes expects, `tier_tables.yaml` what ClusterNetworkPolicies do.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Map, Value, json};
use stockade_netpol::addresses::Family;
use stockade_netpol::compile::Compiled;
use stockade_netpol::ports::Protocol;
use stockade_netpol::read::ManifestReader;
use stockade_policy::objects::load_documents;

/// Ports that Pods serve, of all protocols.
pub const PORTS: [u16; 2] = [80, 81];

const NAMES: [&str; 3] = ["a", "b", "c"];
const NAMESPACES: [&str; 3] = ["x", "y", "z"];

/// The place of another node, behind those of Pods.
pub const FAR: usize = 9;

/// Two by their places, of which the first asks the second.
pub type Pair = (usize, usize);

/// A test: what is done, and what holds then.
#[derive(Debug, Clone)]
pub struct Test {
    /// What it is about.
    pub name: String,
    /// One after the other.
    pub steps: Vec<Step>,
    /// Places that its tables are about.
    places: usize,
}

/// A step of a test.
#[derive(Debug, Clone)]
pub struct Step {
    /// For [`Cluster::take`].
    pub change: Value,
    /// What holds then.
    pub tables: Vec<Table>,
}

/// Who reaches whom by one port.
#[derive(Debug, Clone)]
pub struct Table {
    /// Of the port.
    pub protocol: Protocol,
    /// One of [`PORTS`].
    pub port: u16,
    /// Lines, of which the last about a pair counts: whether it is allowed, from whom, to whom.
    expect: Vec<(bool, String, String)>,
}

/// The cluster that the tables are about: three namespaces with three Pods each, and a node without any. It has what a
/// test has applied so far.
#[derive(Debug)]
pub struct Cluster {
    family: Family,
    policies: BTreeMap<String, Value>,
    /// By namespace, or namespace and Pod.
    labels: BTreeMap<String, Map<String, Value>>,
    /// By namespace.
    annotations: BTreeMap<String, Map<String, Value>>,
}

/// What the end-to-end suite expects of NetworkPolicies, and what is expected of ClusterNetworkPolicies.
///
/// # Panics
/// Where the suite's are not as many as upstream.
pub fn tests() -> Vec<Test> {
    let upstream = read("truth_tables.yaml", include_str!("truth_tables.yaml"), FAR);
    let tables: usize = upstream.iter().flat_map(|test| &test.steps).map(|step| step.tables.len()).sum();
    assert_eq!((upstream.len(), tables), (48, 65), "as many as there are upstream");
    [upstream, read("tier_tables.yaml", include_str!("tier_tables.yaml"), FAR + 1)].concat()
}

fn read(name: &str, text: &str, places: usize) -> Vec<Test> {
    let documents = load_documents(name, text).unwrap();
    documents[0].value.as_array().unwrap().iter().map(|test| Test::read(test, places)).collect()
}

/// Namespace and name of each Pod, by its place.
pub fn pods() -> impl Iterator<Item = (&'static str, &'static str)> {
    NAMESPACES.into_iter().flat_map(|namespace| NAMES.map(|name| (namespace, name)))
}

fn name(at: usize) -> String {
    pods().nth(at).map_or_else(|| "far".to_owned(), |(namespace, name)| format!("{namespace}/{name}"))
}

/// Of whoever is at a place.
pub fn address(family: Family, at: usize) -> IpAddr {
    let text = match family {
        Family::V4 => format!("10.99.0.{}", at + 10),
        Family::V6 => format!("fd99::{}", at + 10),
    };
    text.parse().unwrap()
}

// === impl Test ===

impl Test {
    fn read(test: &Value, places: usize) -> Self {
        let step = |step: &Value| Step {
            change: step.clone(),
            tables: step["tables"].as_array().unwrap().iter().map(Table::read).collect(),
        };
        Self {
            name: test["test"].as_str().unwrap().to_owned(),
            steps: test["steps"].as_array().unwrap().iter().map(step).collect(),
            places,
        }
    }

    /// Everybody whom its tables are about with everybody else.
    pub fn pairs(&self) -> impl Iterator<Item = Pair> {
        let places = 0..self.places;
        places.clone().flat_map(move |from| places.clone().filter(move |to| *to != from).map(move |to| (from, to)))
    }
}

// === impl Table ===

impl Table {
    fn read(table: &Value) -> Self {
        let named = |p: &Protocol| p.name() == table["protocol"].as_str().unwrap_or("TCP");
        let line = |line: &Value| {
            let line = line.as_str().unwrap();
            let (from, to) = line[1..].split_once(' ').unwrap();
            (line.starts_with('+'), from.to_owned(), to.to_owned())
        };
        Self {
            protocol: Protocol::ALL.into_iter().find(named).unwrap(),
            port: u16::try_from(table["port"].as_u64().unwrap()).unwrap(),
            expect: table["expect"].as_array().unwrap().iter().map(line).collect(),
        }
    }

    /// What it says of a pair.
    pub fn allows(&self, (from, to): Pair) -> bool {
        let (from, to) = (name(from), name(to));
        let means = |pattern: &str, pod: &str| {
            pattern == "*" || pattern == pod || pattern.strip_suffix('*').is_some_and(|prefix| pod.starts_with(prefix))
        };
        let last = self.expect.iter().rfind(|(_, a, b)| means(a, &from) && means(b, &to));
        last.is_none_or(|(allowed, ..)| *allowed)
    }
}

// === impl Cluster ===

impl Cluster {
    /// One without policies, whose blocks of addresses are of this family.
    pub fn new(family: Family) -> Self {
        Self { family, policies: BTreeMap::new(), labels: BTreeMap::new(), annotations: BTreeMap::new() }
    }

    /// Takes a step of a test: `apply`, `remove`, `label`; and `annotate`, of a namespace, which replaces what it had.
    pub fn take(&mut self, step: &Value) {
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
        for (name, annotations) in step["annotate"].as_object().into_iter().flatten() {
            self.annotations.insert(name.clone(), annotations.as_object().unwrap().clone());
        }
    }

    fn fill_addresses(&self, value: &mut Value) {
        match value {
            Value::String(text) if text.starts_with('{') => {
                let (large, one) = if self.family == Family::V4 { (4, 32) } else { (4, 128) };
                let inner = text.trim_matches(['{', '}']);
                let (pod, bits) = inner.strip_prefix("around ").map_or((inner, one), |pod| (pod, large));
                let at = (0..=FAR).position(|at| name(at) == pod).unwrap();
                *text = format!("{}/{bits}", address(self.family, at));
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.fill_addresses(item)),
            Value::Object(members) => members.values_mut().for_each(|member| self.fill_addresses(member)),
            _ => {}
        }
    }

    /// Namespaces, as an API server has them.
    pub fn namespaces(&self) -> impl Iterator<Item = Value> {
        NAMESPACES.into_iter().map(|name| {
            let [labels, annotations] =
                [&self.labels, &self.annotations].map(|all| all.get(name).cloned().unwrap_or_default());
            let meta = json!({ "name": name, "labels": labels, "annotations": annotations });
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": meta })
        })
    }

    /// Pods by their places, as an API server has them. Each has an address of both families.
    pub fn pods(&self) -> impl Iterator<Item = Value> {
        let port = |port: u16| {
            Protocol::ALL.map(|protocol| {
                let name = format!("serve-{port}-{}", protocol.name().to_lowercase());
                json!({ "name": name, "containerPort": port, "protocol": protocol.name() })
            })
        };
        let ports: Vec<Value> = PORTS.into_iter().flat_map(port).collect();
        pods().zip(0..).map(move |((namespace, name), at)| {
            let mut labels = self.labels.get(&format!("{namespace}/{name}")).cloned().unwrap_or_default();
            labels.insert("pod".to_owned(), name.into());
            let ips: Vec<Value> =
                [Family::V4, Family::V6].map(|family| json!({ "ip": address(family, at) })).to_vec();
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": { "name": name, "namespace": namespace, "uid": format!("{namespace}-{name}"), "labels": labels },
                "spec": { "containers": [{ "name": "serve", "ports": ports }] },
                "status": { "podIPs": ips },
            })
        })
    }

    /// The node, as an API server has it.
    pub fn node(&self) -> Value {
        let addresses =
            [Family::V4, Family::V6].map(|family| json!({ "type": "InternalIP", "address": address(family, FAR) }));
        json!({
            "apiVersion": "v1", "kind": "Node", "metadata": { "name": "far", "labels": { "role": "edge" } },
            "status": { "addresses": addresses },
        })
    }

    /// Policies, as an API server has them. A name without a namespace is that of a ClusterNetworkPolicy.
    pub fn policies(&self) -> impl Iterator<Item = Value> {
        self.policies.iter().map(|(name, spec)| match name.split_once('/') {
            Some((namespace, name)) => json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                "metadata": { "name": name, "namespace": namespace }, "spec": spec,
            }),
            None => json!({
                "apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy",
                "metadata": { "name": name }, "spec": spec,
            }),
        })
    }

    /// It as the oracle knows it. Pods have their places as numbers.
    pub fn compiled(&self) -> Compiled {
        let objects: Vec<Value> =
            self.namespaces().chain(self.pods()).chain([self.node()]).chain(self.policies()).collect();
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
        let mut reader = ManifestReader::new("default");
        reader.add("cluster.json", &list.to_string());
        let read = reader.finish();
        assert!(read.diagnostics.is_empty(), "{}", read.diagnostics);
        Compiled::new(read.policies, read.state).unwrap()
    }
}
