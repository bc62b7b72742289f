//! Regular expressions as Go reads them (RE2 syntax, package `regexp/syntax` of Go 1.26).
//!
//! A pattern is read with Go's grammar and written anew for the `regex` crate, with nothing left that the two would
//! read differently: flags are resolved, classes are spelled out, groups do not capture (no CEL function returns
//! them). What Go rejects is rejected in Go's words.

mod class;
mod parse;

use regex::{Regex, RegexBuilder};

/// Deepest nesting of groups. Go allows 1000; the crate's compiler is recursive and shall fit a request thread's 2 MiB stack.
const MAX_DEPTH: usize = 100;

/// Largest compiled form in bytes. Go allows some 128 MB; a request may bring its own patterns, so time counts.
const MAX_COMPILED_BYTES: usize = 16 << 20;

/// Compiles a pattern written for Go.
///
/// # Errors
/// In Go's words: ``error parsing regexp: missing closing ): `(a` ``.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    let translated =
        parse::translate(pattern).map_err(|e| format!("error parsing regexp: {}: `{}`", e.code, e.part))?;
    RegexBuilder::new(&translated)
        .size_limit(MAX_COMPILED_BYTES)
        // A group in the pattern becomes up to four levels of the crate's tree.
        .nest_limit(4 * MAX_DEPTH as u32 + 100)
        .build()
        .map_err(|_| format!("error parsing regexp: expression too large: `{pattern}`"))
}

#[cfg(test)]
mod tests;
