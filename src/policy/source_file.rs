//! A file's text with its line starts, so that a byte offset becomes a line and a column.

use std::sync::Arc;

use stockade_cel::source::{Position, Span};

/// Longest file that is read: a dump of a cluster of some thousand objects fits.
pub const MAX_FILE_BYTES: usize = 64 << 20;

/// Text of one file.
#[derive(Debug, Clone)]
pub struct SourceFile {
    name: Arc<str>,
    text: Arc<str>,
    line_starts: Arc<[u32]>,
}

impl PartialEq for SourceFile {
    /// The same name and text; quick for clones.
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && (Arc::ptr_eq(&self.text, &other.text) || self.text == other.text)
    }
}

impl Eq for SourceFile {}

impl SourceFile {
    /// Wraps a text that was read from `name`, a path as the user gave it.
    pub fn new(name: &str, text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|&(_, b)| b == b'\n').map(|(i, _)| i as u32 + 1);
        let line_starts = std::iter::once(0).chain(ends).collect();
        Self { name: name.into(), text: text.into(), line_starts }
    }

    /// Path as the user gave it.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text a span covers; empty when it lies outside.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    /// Line and column of a byte offset.
    pub fn position(&self, offset: u32) -> Position {
        let line = self.line_starts.partition_point(|&start| start <= offset).max(1);
        let start = self.line_starts[line - 1];
        let column = self.text.get(start as usize..offset as usize).map_or(0, |before| before.chars().count());
        Position { line: line as u32, column: column as u32 + 1 }
    }

    /// The text of a line, counted from 1, without its line end.
    pub fn line(&self, number: u32) -> &str {
        let Some(&start) = (number as usize).checked_sub(1).and_then(|i| self.line_starts.get(i)) else { return "" };
        self.text.get(start as usize..).and_then(|rest| rest.lines().next()).unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_become_lines_and_columns_counted_in_characters() {
        let file = SourceFile::new("a.yaml", "a: ü1\nb: 2\n");
        let at = |offset| {
            let p = file.position(offset);
            (p.line, p.column)
        };
        assert_eq!([at(0), at(5), at(7), at(10), at(99)], [(1, 1), (1, 5), (2, 1), (2, 4), (3, 1)]);
        assert_eq!([file.line(0), file.line(1), file.line(2), file.line(9)], ["", "a: ü1", "b: 2", ""]);
    }
}
