//! Rows that are known to differ, each with its reason, in files that a test keeps exact both ways.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Compares the rows that failed with the listed ones. A line is `id — reason`; empty lines and `#` are comments.
/// Rows that the suite at hand does not have are left alone.
pub(crate) fn assert_exact(file: &str, ids: &[&str], failures: &BTreeMap<String, String>) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/exceptions").join(file);
    let listed = std::fs::read_to_string(&path).expect("the exceptions file exists");
    let listed: Vec<&str> = listed
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once(" — ").expect("an exception has a reason").0)
        .collect();
    let unlisted: Vec<String> = failures
        .iter()
        .filter(|(id, _)| !listed.contains(&id.as_str()))
        .map(|(id, fault)| format!("{id}: {fault}"))
        .collect();
    let passing: Vec<&&str> = listed.iter().filter(|id| ids.contains(id) && !failures.contains_key(**id)).collect();
    assert!(unlisted.is_empty(), "{} rows fail:\n{}", unlisted.len(), unlisted.join("\n"));
    assert!(passing.is_empty(), "listed as exceptions but pass: {passing:#?}");
}
