//! Truth tables, by both families of addresses.

use stockade_netpol::addresses::Family;
use stockade_netpol::plan::{Limits, protocol_number};
use stockade_netpol::policy::Direction;
use stockade_netpol::state::PodId;
use stockade_netpol_testing::planned::{Peer, Planned};
use stockade_netpol_testing::truth_tables::{Cluster, Pair, Table, tests};

#[test]
fn every_table_holds_for_both_families() {
    let mut faults = Vec::new();
    for test in tests() {
        for family in [Family::V4, Family::V6] {
            let mut cluster = Cluster::new(family);
            for step in &test.steps {
                cluster.take(&step.change);
                let planned = Planned::of(cluster.compiled(), &Limits::default());
                let wrong = step.tables.iter().flat_map(|table| wrong(&planned, family, test.pairs(), table));
                faults.extend(wrong.map(|fault| format!("{}, {family:?}: {fault}", test.name)));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Where one connection, all connections at once, and the tables for kernels differ from what is expected.
fn wrong(planned: &Planned, family: Family, pairs: impl Iterator<Item = Pair>, table: &Table) -> Vec<String> {
    let (compiled, asked) = (&planned.compiled, (table.protocol, table.port));
    let packet = (protocol_number(table.protocol), table.port);
    let by_table = |near: Option<PodId>, direction, far: &Peer<'_>| {
        near.is_none_or(|near| planned.ruling(planned.table(near), direction, far, packet).0)
    };
    let mut faults = Vec::new();
    for pair in pairs {
        let expected = table.allows(pair);
        let [(a, from), (b, to)] = [pair.0, pair.1].map(|at| planned.at(at, family));
        let verdict = compiled.verdict(from.end, to.end, asked.0, asked.1);
        let at_once = compiled.allowed(from.end, to.end).contains(asked.0, asked.1);
        let by_tables = by_table(a, Direction::Egress, &to) && by_table(b, Direction::Ingress, &from);
        if [verdict.is_allowed(), at_once, by_tables] != [expected; 3] {
            let faulty = format!("{verdict:?}, {at_once}, {by_tables}");
            faults.push(format!("{} to {}, {asked:?}: expected {expected}: {faulty}", from.address, to.address));
        }
    }
    faults
}
