//! Reads suites and evaluates expressions for them.

use std::path::PathBuf;

use bumpalo::Bump;
use serde_json::Value as Json;
use stockade_cel::functions::Scope;
use stockade_cel::{Evaluation, Outcome, Program, Symbols, Value};

/// Where the suites are.
fn folder() -> PathBuf {
    match std::env::var_os("STOCKADE_CONFORMANCE") {
        Some(path) => path.into(),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance"),
    }
}

/// Rows of a suite. Where the suites are absent it says so and returns none; in CI it fails.
pub(crate) fn read(suite: &str) -> Option<Vec<Json>> {
    let path = folder().join(suite);
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(text.lines().map(|line| serde_json::from_str(line).expect("a row is JSON")).collect()),
        Err(e) if std::env::var_os("CI").is_none() => {
            eprintln!("left out: {suite} ({e})");
            None
        }
        Err(e) => panic!("{}: {e}", path.display()),
    }
}

/// Text of a member.
pub(crate) fn text<'r>(row: &'r Json, key: &str) -> &'r str {
    row[key].as_str().unwrap_or_default()
}

/// Compiles and evaluates an expression, then shows the outcome; `Err` when it does not compile.
pub(crate) fn evaluate<T>(
    compile: impl FnOnce(&mut Symbols) -> Result<Program, stockade_cel::Issues>,
    roots: impl for<'a> FnOnce(&'a Bump) -> Vec<Value<'a>>,
    show: impl for<'a> FnOnce(Outcome<'a>) -> T,
) -> Result<T, String> {
    let mut symbols = Symbols::new();
    let program = compile(&mut symbols).map_err(|issues| issues.to_string())?;
    let arena = Bump::new();
    let roots = roots(&arena);
    let scope = Scope { arena: &arena, symbols: &symbols, authorizer: None, host: None };
    let outcome = Evaluation::new(scope, &roots, &[]).evaluate(&program, u64::MAX);
    Ok(show(outcome))
}
