//! From a place inside a string to its place in the file, whatever quoting, folding and indentation lie between.

use stockade_cel::source::Span;

use super::{Content, Node, Style};
use crate::source_file::SourceFile;

impl Node {
    /// Byte range in the file of a byte range of this string; the node's own span when it is no string.
    pub fn locate(&self, file: &SourceFile, inner: Span) -> Span {
        let Content::Text(text, style) = &self.content else { return self.span };
        let raw = file.slice(self.span).as_bytes();
        // A block scalar's span starts at its first line with content; empty lines before it are only in the text.
        let blank = if *style == Style::Block { text.bytes().take_while(|&b| b == b'\n').count() } else { 0 };
        let mut walk = Walk { raw, text: text.as_bytes(), style: *style, at: content_start(raw, *style), done: blank };
        walk.advance_to(inner.start as usize);
        let start = walk.at;
        walk.advance_to(inner.end as usize);
        let base = self.span.start;
        let (start, end) = (base + start as u32, base + walk.at.max(start) as u32);
        Span::new(align(file, start), align(file, end))
    }
}

/// Moves back to the start of a character: the walk is by bytes and may have stopped where nothing matched.
fn align(file: &SourceFile, mut offset: u32) -> u32 {
    while offset > 0 && !file.text().is_char_boundary(offset as usize) {
        offset -= 1;
    }
    offset
}

/// Skips anchor, tag and opening quote.
fn content_start(raw: &[u8], style: Style) -> usize {
    let quote = match style {
        Style::Single => b'\'',
        Style::Double => b'"',
        Style::Plain | Style::Block => {
            let mut at = 0;
            while style == Style::Plain && matches!(raw.get(at), Some(b'!' | b'&')) {
                while raw.get(at).is_some_and(|b| !b.is_ascii_whitespace()) {
                    at += 1;
                }
                while raw.get(at).is_some_and(u8::is_ascii_whitespace) {
                    at += 1;
                }
            }
            return at;
        }
    };
    raw.iter().position(|&b| b == quote).map_or(0, |i| i + 1)
}

/// Walks the written and the read text side by side.
struct Walk<'t> {
    raw: &'t [u8],
    text: &'t [u8],
    style: Style,
    at: usize,
    done: usize,
}

impl Walk<'_> {
    fn advance_to(&mut self, target: usize) {
        while self.done < target.min(self.text.len()) && self.at < self.raw.len() {
            if !self.step(target) {
                return;
            }
        }
    }

    /// One character, escape or line break; false when the texts do not correspond.
    fn step(&mut self, target: usize) -> bool {
        let (written, read) = (self.raw[self.at], self.text[self.done]);
        if self.style == Style::Double && written == b'\\' {
            return self.escape();
        }
        if self.style == Style::Single && written == b'\'' && read == b'\'' {
            (self.at, self.done) = (self.at + 2, self.done + 1);
            return true;
        }
        if written.is_ascii_whitespace() && self.breaks_line() {
            let run = self.text[self.done..].iter().take_while(|b| b.is_ascii_whitespace()).count();
            if self.done + run > target {
                self.done = target;
                return true;
            }
            self.at += self.raw[self.at..].iter().take_while(|b| b.is_ascii_whitespace()).count();
            self.done += run;
            return true;
        }
        if written != read {
            return false;
        }
        (self.at, self.done) = (self.at + 1, self.done + 1);
        true
    }

    /// Whether the white space here holds a line break, which is read as other white space or as none.
    fn breaks_line(&self) -> bool {
        self.raw[self.at..].iter().take_while(|b| b.is_ascii_whitespace()).any(|&b| b == b'\n' || b == b'\r')
    }

    fn escape(&mut self) -> bool {
        let digits = match self.raw.get(self.at + 1) {
            Some(b'x') => 2,
            Some(b'u') => 4,
            Some(b'U') => 8,
            Some(b'\n' | b'\r') => {
                self.at += 1;
                self.at += self.raw[self.at..].iter().take_while(|b| b.is_ascii_whitespace()).count();
                return true;
            }
            Some(_) => 0,
            None => return false,
        };
        let width = utf8_width(self.text[self.done]);
        self.at += 2 + digits;
        if width == 4 && digits == 4 {
            self.at += 6;
        }
        self.done += width;
        true
    }
}

/// Bytes of the character that starts with this byte.
fn utf8_width(first: u8) -> usize {
    match first {
        0..0x80 => 1,
        0x80..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    }
}
