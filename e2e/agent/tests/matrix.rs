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
#[path = "matrix/sctp.rs"]
mod sctp;

use std::collections::BTreeSet;

use stockade_e2e_agent::agent_process::AgentProcess;
use stockade_e2e_agent::bpffs::Bpffs;
use stockade_e2e_agent::hosts::Topology;
use stockade_e2e_agent::told::inputs;
use stockade_e2e_agent::traffic::Traffic;
use stockade_netpol::addresses::Family;
use stockade_netpol_testing::truth_tables::{Cluster, Pair, tests};

/// The agent.
const STAND_IN: &str = env!("CARGO_BIN_EXE_stand-in");

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
    let mut faults = Vec::new();
    for test in tests() {
        let pairs: Vec<Pair> = test.pairs().collect();
        for family in [Family::V4, Family::V6] {
            let mut cluster = Cluster::new(family);
            for step in &test.steps {
                cluster.take(&step.change);
                agent.tell(&inputs(&cluster), &cluster::requests(&node));
                for table in &step.tables {
                    let expected: BTreeSet<Pair> = pairs.iter().filter(|pair| table.allows(**pair)).copied().collect();
                    let kind = (family == Family::V6, table.protocol, table.port);
                    let reached = traffic.reached(&node, &pairs, kind, &expected);
                    if reached != expected {
                        let (missing, extra) = (expected.difference(&reached), reached.difference(&expected));
                        faults.push(format!(
                            "{}, {family:?} {} {}: denied {:?}, passed {:?}",
                            test.name,
                            table.protocol,
                            table.port,
                            missing.collect::<Vec<_>>(),
                            extra.collect::<Vec<_>>()
                        ));
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}:\n{}", faults.len(), faults.join("\n"));
}
