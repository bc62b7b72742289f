//! Network policies enforced by the agent and this machine's kernel, on real traffic between network namespaces.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "matrix/cluster.rs"]
mod cluster;
#[path = "matrix/faults.rs"]
mod faults;
#[path = "matrix/load.rs"]
mod load;
#[path = "matrix/older_kernel.rs"]
mod older_kernel;

use std::collections::BTreeSet;

use stockade_e2e_agent::agent_process::AgentProcess;
use stockade_e2e_agent::bpffs::Bpffs;
use stockade_e2e_agent::hosts::Topology;
use stockade_e2e_agent::traffic::{Pair, Traffic};
use stockade_netpol::addresses::Family;
use stockade_netpol::ports::Protocol;
use stockade_policy::objects::load_documents;

use cluster::Cluster;

/// The agent.
const STAND_IN: &str = env!("CARGO_BIN_EXE_stand-in");

/// Facts of the end-to-end suite of Kubernetes, beside the oracle that they test too.
const TRUTH_TABLES: &str = include_str!("../../../src/netpol/tests/oracle/truth_tables.yaml");

#[test]
fn every_truth_table_holds_on_a_bridge() {
    assert_tables_hold(Topology::Bridged);
}

#[test]
fn every_truth_table_holds_on_routes() {
    assert_tables_hold(Topology::Routed);
}

fn assert_tables_hold(topology: Topology) {
    let node = cluster::node(topology);
    let pins = Bpffs::new();
    let mut agent = AgentProcess::start(STAND_IN, &node, &pins, "recheck");
    let traffic = Traffic::start(&node);
    let documents = load_documents("truth_tables.yaml", TRUTH_TABLES).unwrap();
    let tests = documents[0].value.as_array().unwrap();
    let pairs: Vec<Pair> = cluster::pairs().collect();
    let (mut faults, mut tables) = (Vec::new(), 0);
    for test in tests {
        for family in [Family::V4, Family::V6] {
            let mut cluster = Cluster::new(family);
            for step in test["steps"].as_array().unwrap() {
                cluster.take(step);
                agent.tell(&cluster.inputs(), &cluster::requests(&node));
                for table in step["tables"].as_array().unwrap() {
                    tables += 1;
                    let port = u16::try_from(table["port"].as_u64().unwrap()).unwrap();
                    let named = |p: &Protocol| p.name() == table["protocol"].as_str().unwrap_or("TCP");
                    let protocol = Protocol::ALL.into_iter().find(named).unwrap();
                    let expected: BTreeSet<Pair> =
                        pairs.iter().filter(|pair| cluster::expects(table, **pair)).copied().collect();
                    let kind = (family == Family::V6, protocol, port);
                    let reached = traffic.reached(&node, &pairs, kind, &expected);
                    if reached != expected {
                        let name = test["test"].as_str().unwrap();
                        let (missing, extra) = (expected.difference(&reached), reached.difference(&expected));
                        faults.push(format!(
                            "{name}, {family:?} {protocol} {port}: denied {:?}, passed {:?}",
                            missing.collect::<Vec<_>>(),
                            extra.collect::<Vec<_>>()
                        ));
                    }
                }
            }
        }
    }
    assert_eq!((tests.len(), tables), (48, 2 * 65), "as many as there are upstream");
    assert!(faults.is_empty(), "{} of {tables}:\n{}", faults.len(), faults.join("\n"));
}
