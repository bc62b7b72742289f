//! What is wrong with an expression before it is ever evaluated.

use std::fmt;
use std::sync::Arc;

use crate::source::{Source, Span};

/// One problem at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// Where.
    pub span: Span,
    /// What, worded as cel-go words it where a user may search for it (`undeclared reference to 'x' (in container '')`).
    pub message: String,
}

/// All problems of one expression, in source order. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issues {
    /// The expression.
    pub source: Arc<Source>,
    /// At least one, at most [`crate::limits::MAX_ISSUES`].
    pub list: Vec<Issue>,
}

impl fmt::Display for Issues {
    /// As cel-go prints them: `ERROR: <input>:1:5: message`, the source line, and a caret under the column.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, issue) in self.list.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            let at = self.source.position(issue.span.start);
            let line = self.source.line(at.line).replace('\t', " ");
            let mut caret = String::new();
            let mut characters = line.chars();
            for c in characters.by_ref().take(at.column.saturating_sub(1) as usize) {
                // Full-width marks below characters that may be wide.
                caret.push(if c.is_ascii() { '.' } else { '\u{ff0e}' });
            }
            caret.push(if characters.next().is_none_or(|c| c.is_ascii()) { '^' } else { '\u{ff3e}' });
            write!(f, "ERROR: <input>:{}:{}: {}\n | {line}\n | {caret}", at.line, at.column, issue.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Issues {}
