//! What is wrong with a file, shown as compilers show it: place, source line, caret, and what to do.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use stockade_cel::source::Span;

use crate::source_file::SourceFile;

/// Most diagnostics that one load keeps: a machine-made file repeats itself, and nobody reads more.
pub const MAX_DIAGNOSTICS: usize = 500;

/// Characters of a source line that are shown: a JSON file may be one line of megabytes.
const SHOWN_COLUMNS: usize = 160;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The set cannot be used.
    Error,
    /// It can be used, but probably does not do what was meant.
    Warning,
    /// Worth knowing.
    Note,
}

/// One problem at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnostic {
    /// How bad.
    pub severity: Severity,
    /// Path as the user gave it.
    pub file: Arc<str>,
    /// From 1; 0 when it is about the file as a whole.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// Field path as the API server writes it (`spec.validations[0].expression`); empty when it is about no field.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// What.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The source line and what of it is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<Excerpt>,
}

/// A source line with a marked part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Excerpt {
    /// The line, cut to what fits a terminal.
    pub text: String,
    /// Characters before the marked part.
    pub indent: u32,
    /// Marked characters, at least 1.
    pub width: u32,
}

/// All problems of one load, sorted by file, line and column. May hold only warnings and notes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
}

// === impl Diagnostic ===

impl Diagnostic {
    /// About a part of a file.
    pub fn at(severity: Severity, file: &SourceFile, span: Span, message: impl Into<String>) -> Self {
        let start = file.position(span.start);
        Self {
            severity,
            file: file.name().clone(),
            line: start.line,
            column: start.column,
            field: String::new(),
            message: message.into(),
            help: None,
            excerpt: Some(excerpt(file, span)),
        }
    }

    /// About a file as a whole.
    pub fn of_file(severity: Severity, file: &str, message: impl Into<String>) -> Self {
        Self {
            severity,
            file: file.into(),
            line: 0,
            column: 0,
            field: String::new(),
            message: message.into(),
            help: None,
            excerpt: None,
        }
    }

    /// Names the field.
    #[must_use]
    pub fn field(mut self, path: &str) -> Self {
        path.clone_into(&mut self.field);
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }
}

fn excerpt(file: &SourceFile, span: Span) -> Excerpt {
    let start = file.position(span.start);
    let line = file.line(start.line);
    let before = start.column as usize - 1;
    let length = line.chars().count();
    let marked = file.slice(span).lines().next().map_or(0, |l| l.trim_end().chars().count());
    let marked = marked.clamp(1, length.saturating_sub(before).max(1));
    let skipped = if length > SHOWN_COLUMNS { before.saturating_sub(SHOWN_COLUMNS / 2) } else { 0 };
    let text = line.chars().skip(skipped).take(SHOWN_COLUMNS).map(|c| if is_hidden(c) { ' ' } else { c }).collect();
    Excerpt {
        text,
        indent: (before - skipped) as u32,
        width: marked.min(SHOWN_COLUMNS - (before - skipped).min(SHOWN_COLUMNS - 1)) as u32,
    }
}

/// Characters that would move the terminal's cursor or turn its writing direction.
fn is_hidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        })
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.severity)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        let gutter = self.line.max(1).ilog10() as usize + 1;
        let mut message = self.message.lines();
        write!(f, "{}", message.next().unwrap_or(""))?;
        for line in message {
            write!(f, "\n{:gutter$}   {line}", "")?;
        }
        write!(f, "\n{:gutter$}--> {}", "", self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if let Some(e) = &self.excerpt {
            let (indent, width) = (e.indent as usize, e.width as usize);
            write!(f, "\n{:gutter$} |\n{} | {}", "", self.line, e.text)?;
            write!(f, "\n{:gutter$} | {:indent$}{:^<width$}", "", "", "")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n{:gutter$} = help: {help}", "")?;
        }
        Ok(())
    }
}

// === impl Diagnostics ===

impl Diagnostics {
    /// Adds one, unless there are [`MAX_DIAGNOSTICS`] already; an error is never lost to a warning.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if self.list.len() < MAX_DIAGNOSTICS {
            self.list.push(diagnostic);
        } else if diagnostic.severity == Severity::Error && !self.has_errors() {
            self.list.pop();
            self.list.push(diagnostic);
        }
    }

    /// Whether another error would be dropped. To be asked before one is made: each looks up its line, and a file may
    /// be one line of megabytes with a fault in every byte.
    pub fn is_full(&self) -> bool {
        self.list.len() >= MAX_DIAGNOSTICS && self.has_errors()
    }

    /// Adds all of another.
    pub fn extend(&mut self, other: Diagnostics) {
        for d in other.list {
            self.push(d);
        }
    }

    /// Whether the set cannot be used.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|d| d.severity == Severity::Error)
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// In order.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// Puts them in the order people read: by file, line, column; exact repetitions are dropped.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.list.sort_by(|a, b| (&a.file, a.line, a.column, a.severity).cmp(&(&b.file, b.line, b.column, b.severity)));
        self.list.dedup();
        self
    }
}

impl<'d> IntoIterator for &'d Diagnostics {
    type Item = &'d Diagnostic;
    type IntoIter = std::slice::Iter<'d, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(one: Diagnostic) -> Self {
        Self { list: vec![one] }
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, d) in self.list.iter().enumerate() {
            if i > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{d}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_shows_place_line_caret_and_help() {
        let file = SourceFile::new("p/a.yaml", "a: 1\nkind: Polcy\n");
        let d = Diagnostic::at(Severity::Error, &file, Span::new(11, 16), "unknown kind")
            .field("kind")
            .help("did you mean `Policy`?");
        insta::assert_snapshot!(d, @r#"
        error: kind: unknown kind
         --> p/a.yaml:2:7
          |
        2 | kind: Polcy
          |       ^^^^^
          = help: did you mean `Policy`?
        "#);
    }

    #[test]
    fn a_line_of_megabytes_is_cut_around_the_place() {
        let text = format!("{{\"a\": \"{}\", \"b\": 1}}", "x".repeat(1 << 20));
        let file = SourceFile::new("a.json", &text);
        let at = (text.len() - 7) as u32;
        let shown = Diagnostic::at(Severity::Warning, &file, Span::new(at, at + 3), "odd").to_string();
        assert!(shown.len() < 500, "{}", shown.len());
        assert!(shown.ends_with("^^^"), "{shown}");
    }

    #[test]
    fn diagnostics_are_sorted_and_an_error_is_kept_when_there_are_too_many() {
        let note = |line| Diagnostic { line, ..Diagnostic::of_file(Severity::Note, "a", "n") };
        let mut all = Diagnostics::default();
        for line in (1..=MAX_DIAGNOSTICS as u32 + 5).rev() {
            all.push(note(line));
        }
        all.push(Diagnostic::of_file(Severity::Error, "a", "e"));
        let all = all.sorted();
        assert_eq!(all.len(), MAX_DIAGNOSTICS);
        assert_eq!(all.iter().next().map(|d| d.severity), Some(Severity::Error));
        assert!(all.has_errors());
    }
}
