//! The suites of `../shared/conformance`, for tests: read by path, never copied.
//!
//! In a stranger's clone they are absent: a test then says which suite it leaves out and passes. In CI their absence
//! fails.

#![expect(clippy::panic, reason = "a test ends this way")]

pub mod policies;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The folder of all suites, or none when it is absent.
///
/// # Panics
/// When it is absent and `CI` is set.
#[track_caller]
pub fn folder() -> Option<PathBuf> {
    let caller = std::panic::Location::caller().file();
    present(&format!("what {caller} reads"))
}

/// The rows of a suite (`k8s-apiserver/mutation.jsonl`), or none when all suites are absent.
///
/// # Panics
/// As [`folder`]; when the suites are there but not this one; when a row is not JSON.
pub fn rows(suite: &str) -> Option<Vec<Value>> {
    let text = text(suite)?;
    let row = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{suite}: {e}: {line}"));
    Some(text.lines().map(row).collect())
}

/// A file that a row names, or none when all suites are absent.
///
/// # Panics
/// As [`folder`]; when it cannot be read.
pub fn text(path: &str) -> Option<String> {
    let file = present(path)?.join(path);
    Some(std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display())))
}

/// The folder, when it is there; else tells what is left out.
fn present(what: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("STOCKADE_CONFORMANCE")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance"), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    let hint = format!("left out: {what}: no {} (set STOCKADE_CONFORMANCE)", folder.display());
    assert!(std::env::var_os("CI").is_none(), "{hint}");
    // Not by a print macro: the test runner would swallow it, as the test passes. When even this cannot be written
    // there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{hint}");
    None
}

/// Compares the rows that failed with those listed in a file, each line `id — reason`; empty lines and `#` are
/// comments. Listed rows that the suite at hand does not have are left alone.
///
/// # Panics
/// When a row fails that is not listed, or a listed one passes.
pub fn assert_exceptions(list: &Path, ids: &[&str], failures: &BTreeMap<String, String>) {
    let text = std::fs::read_to_string(list).unwrap_or_else(|e| panic!("{}: {e}", list.display()));
    let listed: Vec<&str> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once(" — ").unwrap_or_else(|| panic!("{line}: no reason is given")).0)
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
