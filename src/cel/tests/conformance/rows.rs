//! Reads suites and evaluates expressions for them.

use bumpalo::Bump;
use serde_json::Value as Json;
use stockade_cel::functions::Scope;
use stockade_cel::{Evaluation, Outcome, Program, Symbols, Value};
pub(crate) use stockade_conformance::rows as read;

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
