//! Text → [`Ast`]: a hand-written recursive-descent parser of the whole language, macros expanded.
//!
//! It accepts and refuses what cel-go 0.26 does, its two recursion limits included, and words the common syntax errors
//! alike. All faults are reported: after one inside brackets, parsing goes on behind the next comma or bracket.

mod builder;
mod cursor;
mod grammar;
mod lexer;
mod literals;
mod logic;
mod macros;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::ast::Ast;
use crate::issues::{Issue, Issues};
use crate::limits;
use crate::source::{Source, Span};

/// Which extensions of the syntax are switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Syntax {
    /// `a.?b`, `a[?i]`, `[?a]`, `{?k: v}`, `T{?f: v}` and the macros `optMap`, `optFlatMap`.
    pub optionals: bool,
    /// Two-variable `all`, `exists`, `existsOne`, `transformList`, `transformMap`, `transformMapEntry`.
    pub two_variables: bool,
    /// The macro `sortBy`.
    pub sort_by: bool,
    /// The macro `cel.bind`.
    pub bind: bool,
    /// Field names in backquotes: ``a.`b-c` ``.
    pub escaped_identifiers: bool,
}

impl Syntax {
    /// The language definition without extensions.
    pub const STANDARD: Self =
        Self { optionals: false, two_variables: false, sort_by: false, bind: false, escaped_identifiers: false };
    /// As Kubernetes 1.36 configures it (apiserver `pkg/cel/environment/base.go`).
    pub const KUBERNETES: Self =
        Self { optionals: true, two_variables: true, sort_by: true, bind: false, escaped_identifiers: false };
    /// Everything there is.
    pub const EXTENDED: Self =
        Self { optionals: true, two_variables: true, sort_by: true, bind: true, escaped_identifiers: true };
}

impl Default for Syntax {
    fn default() -> Self {
        Self::KUBERNETES
    }
}

/// Parses one expression.
///
/// The tree is at most [`limits::MAX_TREE_DEPTH`] deep and has at most [`limits::MAX_NODES`] nodes.
///
/// # Errors
/// All syntax errors, in source order.
pub fn parse(text: &str, syntax: Syntax) -> Result<Ast, Issues> {
    let source = Arc::new(Source::new(text));
    let length = text.chars().count();
    if length > limits::MAX_EXPRESSION_CODE_POINTS {
        let message = format!(
            "expression code point size exceeds limit: size: {length}, limit {}",
            limits::MAX_EXPRESSION_CODE_POINTS
        );
        return Err(Issues { source, list: vec![Issue { span: Span::default(), message }] });
    }
    let mut parser = grammar::Parser::new(text, syntax);
    match parser.whole() {
        Some(root) if parser.builder.issues.is_empty() => {
            let builder = parser.builder;
            Ok(Ast { root, id_count: builder.anchors.len() as u32, anchors: builder.anchors, source })
        }
        _ => {
            let mut list = parser.builder.issues;
            list.sort_by_key(|issue| issue.span.start);
            list.truncate(limits::MAX_ISSUES);
            Err(Issues { source, list })
        }
    }
}
