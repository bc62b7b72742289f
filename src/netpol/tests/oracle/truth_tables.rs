//! Truth tables, by both families of addresses.

use stockade_netpol::addresses::Family;
use stockade_netpol::plan::Limits;
use stockade_netpol::state::PodId;
use stockade_netpol::verdict::Endpoint;
use stockade_netpol_testing::planned::Planned;
use stockade_netpol_testing::truth_tables::{Cluster, Table, pairs, tests};

#[test]
fn every_table_of_the_end_to_end_suite_holds_for_both_families() {
    let mut faults = Vec::new();
    for test in tests() {
        for family in [Family::V4, Family::V6] {
            let mut cluster = Cluster::new(family);
            for step in &test.steps {
                cluster.take(&step.change);
                let planned = Planned::of(cluster.compiled(), &Limits::default());
                let wrong = step.tables.iter().flat_map(|table| wrong(&planned, family, table));
                faults.extend(wrong.map(|fault| format!("{}, {family:?}: {fault}", test.name)));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Where one connection, all connections at once, and the tables for kernels differ from what is expected.
fn wrong(planned: &Planned, family: Family, table: &Table) -> Vec<String> {
    let (compiled, protocol, port) = (&planned.compiled, table.protocol, table.port);
    let mut faults = Vec::new();
    for pair in pairs() {
        let expected = table.allows(pair);
        let [from, to] = [pair.0, pair.1].map(|at| PodId(at as u32));
        let end = |pod: PodId| Endpoint::Pod(pod, Some(family));
        let verdict = compiled.verdict(end(from), end(to), protocol, port);
        let at_once = compiled.allowed(end(from), end(to)).contains(protocol, port);
        let by_tables = planned.allows(from, to, family, (protocol, port));
        if [verdict.is_allowed(), at_once, by_tables] != [expected; 3] {
            let [a, b] = [from, to].map(|pod| compiled.state().pod(pod));
            faults.push(format!(
                "{a} to {b}, {protocol} {port}: expected {expected}: {verdict:?}, {at_once}, {by_tables}"
            ));
        }
    }
    faults
}
