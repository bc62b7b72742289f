//! Policies that nobody here wrote are read and compiled.

#![expect(clippy::print_stdout, reason = "a suite that is left out must be told of")]

use std::path::{Path, PathBuf};

use stockade_policy::compile::{Options, compile};
use stockade_policy::sources::{PolicySources, manifest_files};

fn suites() -> Option<PathBuf> {
    let root = std::env::var_os("STOCKADE_CONFORMANCE")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance"), PathBuf::from);
    if root.is_dir() {
        return Some(root);
    }
    assert!(std::env::var_os("CI").is_none(), "no conformance suites in {}", root.display());
    println!("left out: conformance suites (set STOCKADE_CONFORMANCE)");
    None
}

#[test]
fn every_native_policy_of_the_open_suites_compiles() {
    let Some(root) = suites() else { return };
    let mut refused = Vec::new();
    let mut count = 0;
    for file in manifest_files(&[root]).unwrap() {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        if !text.contains("kind: ValidatingAdmissionPolicy") && !text.contains("kind: MutatingAdmissionPolicy") {
            continue;
        }
        let mut sources = PolicySources::default();
        sources.add(&file.display().to_string(), &text, true);
        count += sources.policies.len();
        if let Err(faults) = compile(&sources, Options::default()) {
            refused.push(faults.to_string());
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n\n"));
    assert!(count > 50, "only {count} policies were found");
}
