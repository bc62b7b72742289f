//! The API server as oracle for the conformance suites, the packs, and generated changes of their objects.

use std::path::Path;
use std::time::Instant;

use stockade_e2e::cluster::Cluster;
use stockade_e2e::oracle::generate::Amounts;
use stockade_e2e::oracle::server::Oracle;
use stockade_e2e::oracle::tally::Tally;
use stockade_e2e::oracle::{PolicySet, generate, requests, sets};
use stockade_e2e::tools;

/// Part of the names of the sets to run, to look into one: `STOCKADE_ORACLE_ONLY=features/errors`. The list of
/// exceptions is then not held against the run.
fn only() -> Option<String> {
    std::env::var("STOCKADE_ORACLE_ONLY").ok().filter(|part| !part.is_empty())
}

fn all_sets() -> Vec<PolicySet> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = sets::of_features(&here.join("oracle/features"));
    all.extend(stockade_conformance::folder().map(|folder| sets::of_conformance(&folder)).unwrap_or_default());
    all.extend(sets::of_packs(&here.join("../policies")));
    all.extend(requests::of_folder(&here.join("oracle/requests")).0);
    if let Some(part) = only() {
        all.retain(|set| set.name.contains(&part));
    }
    all
}

/// A fixed seed: the same requests on every machine. Another one: `STOCKADE_ORACLE_SEED=7 make e2e`.
fn seed() -> u64 {
    std::env::var("STOCKADE_ORACLE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(36)
}

const AMOUNTS: Amounts = Amounts { built_in: 20, twins: 25, stored: 2 };

#[test]
fn our_engine_judges_as_the_api_server_does() {
    if !tools::present() {
        return;
    }
    let begun = Instant::now();
    let oracle = Oracle::new(Cluster::shared());
    let mut all = all_sets();
    for set in &mut all {
        oracle.define_kinds(set);
        // Each request of this set keeps the server busy for a second; others have no object to change.
        if set.name != "features/budget" && !set.name.starts_with("requests/") {
            generate::add(set, &oracle.discovery, AMOUNTS, seed());
        }
    }
    oracle.make(&requests::of_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle/requests")).1);
    let ready: Vec<_> = all.iter().map(|set| oracle.make_ready(set)).collect();
    println!("requests are ready after {:?}", begun.elapsed());
    let mut judged: Vec<_> = ready.into_iter().map(|ready| (ready.set, oracle.judge(ready))).collect();
    oracle.add_audit(judged.iter_mut().flat_map(|(_, result)| result.iter_mut().flatten()));
    oracle.settle();
    println!("the server has judged after {:?}", begun.elapsed());

    let mut tally = Tally::default();
    for (set, result) in &judged {
        tally.add(set, result, &oracle);
    }
    println!("{tally}\nfinished after {:?}", begun.elapsed());
    if only().is_some() {
        return;
    }
    tally.settle(&Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle/exceptions.txt"));
}
