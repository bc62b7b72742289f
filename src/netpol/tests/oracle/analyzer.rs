//! The connectivity lists of netpol-analyzer, by path.
//!
//! That analyzer does not know the host's network and prints IPv4 only, so this reads its manifests as it does. It cuts
//! what is outside in pieces of its own: addresses are compared one by one, where either begins another piece.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::Path;

use serde_json::{Value, json};
use stockade_netpol::addresses::Family;
use stockade_netpol::compile::Compiled;
use stockade_netpol::connectivity::Party;
use stockade_netpol::ports::Connections;
use stockade_netpol::read::ManifestReader;
use stockade_policy::objects::load_documents;

/// A workload as it is printed there, or an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Workload(String),
    /// First and last.
    Outside(u32, u32),
}

type Edges = BTreeMap<(End, End), String>;

#[test]
fn every_list_of_the_suite_is_the_same_or_listed_with_a_reason() {
    let Some(rows) = stockade_conformance::rows("netpol-analyzer/cases.jsonl") else { return };
    let mut failures = BTreeMap::new();
    let mut ids = Vec::new();
    for row in &rows {
        let id = row["id"].as_str().unwrap();
        ids.push(id);
        let text = |member: &str| stockade_conformance::text(row[member].as_str().unwrap()).unwrap();
        let expected = theirs(&text("expect_connlist"));
        let found = ours(&text("manifests"));
        let points = points(&[&expected, &found]);
        let (expected, found) = (at_points(&expected, &points), at_points(&found, &points));
        let missing = expected.iter().filter(|edge| found.get(edge.0) != Some(edge.1)).map(|e| format!("- {e:?}"));
        let more = found.iter().filter(|edge| expected.get(edge.0) != Some(edge.1)).map(|e| format!("+ {e:?}"));
        let differences: Vec<String> = missing.chain(more).take(10).collect();
        if !differences.is_empty() {
            failures.insert(id.to_owned(), differences.join("\n"));
        }
    }
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exceptions/netpol-analyzer.txt");
    stockade_conformance::assert_exceptions(&list, &ids, &failures);
}

/// `0.0.0.0-9.255.255.255[External] => default/web[Deployment] : TCP 80`
fn theirs(list: &str) -> Edges {
    let end = |text: &str| match text.strip_suffix("[External]") {
        Some(range) => {
            let (from, to) = range.split_once('-').unwrap();
            let number = |a: &str| u32::from(a.parse::<Ipv4Addr>().unwrap());
            End::Outside(number(from), number(to))
        }
        None => End::Workload(text.to_owned()),
    };
    let edge = |line: &str| {
        let (ends, connections) = line.split_once(" : ")?;
        let (from, to) = ends.split_once(" => ")?;
        Some(((end(from), end(to)), connections.to_owned()))
    };
    list.lines().filter_map(edge).collect()
}

fn ours(manifests: &str) -> Edges {
    let mut reader = ManifestReader::new("default");
    let documents = load_documents("manifests.yaml", manifests).unwrap();
    let items: Vec<Value> = documents.into_iter().map(|d| completed(d.value)).collect();
    reader.add("manifests.json", &json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string());
    let read = reader.finish();
    assert!(!read.diagnostics.has_errors(), "{}", read.diagnostics);
    let connectivity = Compiled::new(read.policies, read.state).unwrap().connectivity().unwrap();
    let ends = |at: usize| match &connectivity.parties[at] {
        Party::Workload { namespace, name, kind } => vec![End::Workload(format!("{namespace}/{name}[{kind}]"))],
        Party::Outside(addresses) => {
            let number = |n: u128| u32::try_from(n).unwrap();
            addresses.ranges(Family::V4).iter().map(|r| End::Outside(number(r.0), number(r.1))).collect()
        }
    };
    let mut edges = Edges::new();
    for edge in connectivity.edges.iter().filter(|edge| edge.from != edge.to) {
        for from in ends(edge.from) {
            for to in ends(edge.to) {
                edges.insert((from.clone(), to), shown(&edge.connections));
            }
        }
    }
    edges
}

/// Items of lists lost their kind when the suite was taken apart.
fn completed(mut object: Value) -> Value {
    if object.get("kind").is_none() {
        let kind = if object.pointer("/spec/containers").is_some() { "Pod" } else { "Namespace" };
        object["apiVersion"] = "v1".into();
        object["kind"] = kind.into();
    }
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("hostNetwork");
    }
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        status.retain(|key, _| key == "phase");
    }
    object
}

fn shown(connections: &Connections) -> String {
    if connections.is_all() {
        "All Connections".to_owned()
    } else {
        connections.to_string().replace(" UDP", ",UDP").replace(" SCTP", ",SCTP")
    }
}

/// Addresses where a piece begins.
fn points(lists: &[&Edges]) -> BTreeSet<u32> {
    let ends = lists.iter().flat_map(|list| list.keys()).flat_map(|(from, to)| [from, to]);
    ends.filter_map(|end| match end {
        End::Outside(from, to) => Some([Some(*from), to.checked_add(1)]),
        End::Workload(_) => None,
    })
    .flatten()
    .flatten()
    .collect()
}

fn at_points(edges: &Edges, points: &BTreeSet<u32>) -> Edges {
    let at = |end: &End| match end {
        End::Outside(from, to) => points.range(from..=to).map(|p| End::Outside(*p, *p)).collect(),
        End::Workload(_) => vec![end.clone()],
    };
    let pairs = edges.iter().flat_map(|((from, to), connections)| {
        let to = at(to);
        at(from)
            .into_iter()
            .flat_map(move |from| to.clone().into_iter().map(move |to| ((from.clone(), to), connections.clone())))
    });
    pairs.collect()
}
