//! The API server as oracle for the conformance suites, the packs, and generated changes of their objects.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use stockade_e2e::cluster::Cluster;
use stockade_e2e::oracle::generate::Amounts;
use stockade_e2e::oracle::server::Oracle;
use stockade_e2e::oracle::verdict::Verdict;
use stockade_e2e::oracle::{PolicySet, generate, sets};
use stockade_e2e::{conformance, tools};

fn all_sets() -> Vec<PolicySet> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = sets::of_features(&here.join("oracle/features"));
    if std::env::var_os("STOCKADE_ORACLE_FEATURES_ONLY").is_some() {
        return all;
    }
    all.extend(conformance::folder().map(|folder| sets::of_conformance(&folder)).unwrap_or_default());
    all.extend(sets::of_packs(&here.join("../policies")));
    all
}

/// A fixed seed: the same requests on every machine. Another one: `STOCKADE_ORACLE_SEED=7 make e2e`.
fn seed() -> u64 {
    std::env::var("STOCKADE_ORACLE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(36)
}

const AMOUNTS: Amounts = Amounts { built_in: 30, twins: 40, stored: 3 };

#[test]
fn the_server_agrees_with_what_the_suites_expect_of_it() {
    if !tools::present() {
        return;
    }
    let begun = Instant::now();
    let oracle = Oracle::new(Cluster::shared());
    let mut all = all_sets();
    for set in &mut all {
        oracle.define_kinds(set);
        // Each request of this set keeps the server busy for a second.
        if set.name != "features/budget" {
            generate::add(set, &oracle.discovery, AMOUNTS, seed());
        }
    }
    let mut table: BTreeMap<(String, &str), usize> = BTreeMap::new();
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    let mut observed = Vec::new();
    let ready: Vec<_> = all.iter().map(|set| oracle.make_ready(set)).collect();
    println!("ready after {:?}", begun.elapsed());
    for ready in ready {
        let set = ready.set;
        match oracle.judge(ready) {
            Err(why) => println!("REFUSED {}: {why}", set.name),
            Ok(observations) => {
                for observation in &observations {
                    let case = &set.cases[observation.case];
                    let expect = case.expect.clone().unwrap_or_default();
                    let word = observation.verdict.word();
                    *table.entry((expect.clone(), word)).or_default() += 1;
                    let same = expect.is_empty() || expect == word || (expect == "mutated" && word == "allow");
                    if !same && !matches!(observation.verdict, Verdict::NotJudged(_)) {
                        println!("DIFFERS {}: expect {expect}, server {:?}", case.id, observation.verdict);
                    }
                    if let Verdict::NotJudged(why) = &observation.verdict {
                        *reasons
                            .entry(format!(
                                "{why:.200} [{:?} {}]",
                                case.operation,
                                if case.id.contains(" twin") { "twin" } else { "" }
                            ))
                            .or_default() += 1;
                    }
                }
                observed.push((set, observations));
            }
        }
    }
    oracle.add_audit(observed.iter_mut().flat_map(|(_, observations)| observations));
    for (why, count) in &reasons {
        println!("NOTJUDGED {count} {why}");
    }
    let audits = observed.iter().flat_map(|(_, observations)| observations).filter(|o| !o.audit.is_empty()).count();
    let warned = observed.iter().flat_map(|(_, observations)| observations).filter(|o| !o.warnings.is_empty()).count();
    println!("{table:?} audits {audits} warned {warned} in {:?}", begun.elapsed());
}
