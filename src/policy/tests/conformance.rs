//! Policies that nobody here wrote are read and compiled.

use stockade_policy::compile::{Options, compile};
use stockade_policy::sources::{PolicySources, manifest_files};

#[test]
fn every_native_policy_of_the_open_suites_compiles() {
    let Some(root) = stockade_conformance::folder() else { return };
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
