//! `truth_tables.yaml`, by both families of addresses.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use stockade_netpol::addresses::Family;
use stockade_netpol::compile::Compiled;
use stockade_netpol::plan::Limits;
use stockade_netpol::ports::Protocol;
use stockade_netpol::read::ManifestReader;
use stockade_netpol::state::PodId;
use stockade_netpol::verdict::Endpoint;
use stockade_policy::objects::load_documents;

use crate::planned::Planned;

const NAMES: [&str; 3] = ["a", "b", "c"];
const NAMESPACES: [&str; 3] = ["x", "y", "z"];

/// What a test has applied so far.
struct Cluster {
    family: Family,
    policies: BTreeMap<String, Value>,
    /// By namespace, or namespace and Pod.
    labels: BTreeMap<String, Map<String, Value>>,
}

#[test]
fn every_table_of_the_end_to_end_suite_holds_for_both_families() {
    let documents = load_documents("truth_tables.yaml", include_str!("truth_tables.yaml")).unwrap();
    let tests = documents[0].value.as_array().unwrap();
    let (mut faults, mut tables) = (Vec::new(), 0);
    for test in tests {
        let name = test["test"].as_str().unwrap();
        for family in [Family::V4, Family::V6] {
            let mut cluster = Cluster { family, policies: BTreeMap::new(), labels: BTreeMap::new() };
            for step in test["steps"].as_array().unwrap() {
                cluster.take(step);
                let planned = Planned::of(cluster.compiled(), &Limits::default());
                for table in step["tables"].as_array().unwrap() {
                    tables += 1;
                    faults
                        .extend(cluster.wrong(&planned, table).into_iter().map(|f| format!("{name}, {family:?}: {f}")));
                }
            }
        }
    }
    assert_eq!((tests.len(), tables), (48, 2 * 65), "as many as there are upstream");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

impl Cluster {
    fn take(&mut self, step: &Value) {
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
                *text = format!("{}/{bits}", self.address(pod));
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.fill_addresses(item)),
            Value::Object(members) => members.values_mut().for_each(|member| self.fill_addresses(member)),
            _ => {}
        }
    }

    fn address(&self, pod: &str) -> String {
        let at = pods().position(|(namespace, name)| format!("{namespace}/{name}") == pod).unwrap() + 1;
        if self.family == Family::V4 { format!("10.0.0.{at}") } else { format!("fd00::{at}") }
    }

    fn compiled(&self) -> Compiled {
        let mut reader = ManifestReader::new("default");
        let extra = |name: &str| self.labels.get(name).cloned().unwrap_or_default();
        let mut objects = Vec::new();
        for namespace in NAMESPACES {
            objects.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": extra(namespace)}}));
        }
        for (namespace, name) in pods() {
            let full = format!("{namespace}/{name}");
            let mut labels = extra(&full);
            labels.insert("pod".to_owned(), name.into());
            let ports: Vec<Value> = [80, 81].iter().flat_map(|port| Protocol::ALL.map(|protocol| {
                json!({"name": format!("serve-{port}-{}", protocol.name().to_lowercase()), "containerPort": port, "protocol": protocol.name()})
            })).collect();
            objects.push(json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": name, "namespace": namespace, "labels": labels},
                "spec": {"containers": [{"name": "serve", "ports": ports}]},
                "status": {"podIPs": [{"ip": self.address(&full)}]},
            }));
        }
        for (name, spec) in &self.policies {
            let (namespace, name) = name.split_once('/').unwrap();
            objects.push(json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                "metadata": {"name": name, "namespace": namespace}, "spec": spec,
            }));
        }
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        reader.add("cluster.json", &list.to_string());
        let read = reader.finish();
        assert!(read.diagnostics.is_empty(), "{}", read.diagnostics);
        Compiled::new(read.policies, read.state).unwrap()
    }

    /// Where one connection, all connections at once, and the tables for kernels differ from what is expected.
    fn wrong(&self, planned: &Planned, table: &Value) -> Vec<String> {
        let compiled = &planned.compiled;
        let port = u16::try_from(table["port"].as_u64().unwrap()).unwrap();
        let named = |p: &Protocol| p.name() == table["protocol"].as_str().unwrap_or("TCP");
        let protocol = Protocol::ALL.into_iter().find(named).unwrap();
        let mut faults = Vec::new();
        for (from, a) in compiled.state().pods() {
            for (to, b) in compiled.state().pods().filter(|(to, _)| *to != from) {
                let expected = expected(table, &a.to_string(), &b.to_string());
                let end = |pod: PodId| Endpoint::Pod(pod, Some(self.family));
                let verdict = compiled.verdict(end(from), end(to), protocol, port);
                let at_once = compiled.allowed(end(from), end(to)).contains(protocol, port);
                let by_tables = planned.allows(from, to, protocol, port);
                if [verdict.is_allowed(), at_once, by_tables] != [expected; 3] {
                    faults.push(format!(
                        "{a} to {b}, {protocol} {port}: expected {expected}: {verdict:?}, {at_once}, {by_tables}"
                    ));
                }
            }
        }
        faults
    }
}

fn pods() -> impl Iterator<Item = (&'static str, &'static str)> {
    NAMESPACES.into_iter().flat_map(|namespace| NAMES.map(|name| (namespace, name)))
}

fn expected(table: &Value, from: &str, to: &str) -> bool {
    let mut allowed = true;
    for line in table["expect"].as_array().unwrap() {
        let line = line.as_str().unwrap();
        let (a, b) = line[1..].split_once(' ').unwrap();
        let means = |pattern: &str, pod: &str| {
            pattern == "*" || pattern == pod || pattern.strip_suffix('*').is_some_and(|prefix| pod.starts_with(prefix))
        };
        if means(a, from) && means(b, to) {
            allowed = line.starts_with('+');
        }
    }
    allowed
}
