//! The conformance suites that nobody here wrote, run against this crate. See `../shared/conformance/README.md`.
#![expect(clippy::panic, reason = "a test says what is wrong with a row")]

mod cel_spec;
mod cost;
mod estimate;
mod library;
mod rows;
mod types;
mod values;

use std::collections::BTreeMap;
use std::path::Path;

/// Compares the rows that failed with those listed in `tests/exceptions/`.
fn assert_exact(file: &str, ids: &[&str], failures: &BTreeMap<String, String>) {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exceptions").join(file);
    stockade_conformance::assert_exceptions(&list, ids, failures);
}
