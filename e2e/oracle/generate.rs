//! Thousands of requests out of the suites' few hundred.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::mutations::{Boldness, Random, mutate};
use super::{Case, Operation, PolicySet, twins};
use crate::discovery::Discovery;
use crate::documents::text;

/// How many changed objects of each sort a set gets.
#[derive(Debug, Clone, Copy)]
pub struct Amounts {
    /// Changed objects of built-in kinds; about a third is refused by the server's own checks.
    pub built_in: usize,
    /// Changed objects of kinds without a schema.
    pub twins: usize,
    /// Objects that are stored, then changed and removed.
    pub stored: usize,
}

/// Adds the generated cases (and the twin policies they need) to a set.
pub fn add(set: &mut PolicySet, discovery: &Discovery, amounts: Amounts, seed: u64) {
    let mut random =
        Random::new(set.name.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)));
    let originals = distinct(&set.cases);
    let twin_originals = distinct(&twins::add(set, discovery));
    let mut generated = Vec::new();
    for (cases, amount, boldness) in
        [(&originals, amounts.built_in, Boldness::Valid), (&twin_originals, amounts.twins, Boldness::Anything)]
    {
        if !cases.is_empty() {
            generated.extend((0..amount).map(|number| changed(random.pick(cases), number, &mut random, boldness)));
        }
    }
    generated.extend(twin_originals.iter().cloned());
    for cases in [&originals, &twin_originals] {
        for case in cases.iter().take(amounts.stored) {
            generated.extend(stored(case, &mut random));
        }
    }
    set.cases.append(&mut generated);
}

/// Cases with an object of their own, as plain creations.
fn distinct(cases: &[Case]) -> Vec<Case> {
    let mut seen = BTreeSet::new();
    let mut kept = Vec::new();
    for case in cases {
        if seen.insert(case.object.to_string()) {
            kept.push(Case { operation: Operation::Create, expect: None, ..case.clone() });
        }
    }
    kept
}

fn changed(case: &Case, number: usize, random: &mut Random, boldness: Boldness) -> Case {
    let mut changed = case.clone();
    changed.id = format!("{} change {number}", case.id);
    mutate(&mut changed.object, random, boldness);
    changed
}

/// The same object under names of its own: written again as it is, written with changes, removed.
fn stored(case: &Case, random: &mut Random) -> Vec<Case> {
    let mut cases = Vec::new();
    if text(&case.object, "/kind") == "Namespace" {
        // A stored Namespace is asked for by other requests, and the URL of a twin one is that of a namespace.
        return cases;
    }
    for (word, operation) in [
        ("again", Operation::Update(0)),
        ("updated", Operation::Update(random.number() | 1)),
        ("updated more", Operation::Update(random.number() | 1)),
        ("deleted", Operation::Delete),
    ] {
        let mut stored = case.clone();
        stored.id = format!("{} {word}", case.id);
        stored.operation = operation;
        let suffix = format!("{:x}", random.number());
        stored.namespace = "stored".to_owned();
        stored.namespace_object = None;
        if let Some(metadata) = stored.object.get_mut("metadata").and_then(Value::as_object_mut) {
            let name = metadata.get("name").and_then(Value::as_str).unwrap_or("unnamed");
            metadata.insert("name".to_owned(), json!(format!("{name}-{suffix}")));
            metadata.remove("namespace");
        }
        // A stored Service would keep its port from the others.
        for port in stored.object.pointer_mut("/spec/ports").and_then(Value::as_array_mut).into_iter().flatten() {
            port.as_object_mut().map(|port| port.remove("nodePort"));
        }
        cases.push(stored);
    }
    cases
}
