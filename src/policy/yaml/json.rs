//! JSON with positions: strict RFC 8259, several documents in a row allowed. YAML's own flow style would do, were it
//! not for surrogate pairs and for numbers, which here keep the difference of `1` and `1.0`.

use stockade_cel::source::Span;

use super::{MAX_DEPTH, MAX_NODES};
use crate::diagnostic::{Diagnostic, Severity};
use crate::source_file::SourceFile;
use crate::tree::{Content, Member, Node, Style};

/// All documents of a file.
///
/// # Errors
/// The first fault.
pub(super) fn parse(file: &SourceFile) -> Result<Vec<Node>, Box<Diagnostic>> {
    let mut reader = Reader { file, text: file.text().as_bytes(), at: 0, nodes: 0 };
    if file.text().starts_with('\u{feff}') {
        reader.at = 3;
    }
    let mut documents = Vec::new();
    loop {
        reader.skip_space();
        if reader.at == reader.text.len() {
            return Ok(documents);
        }
        let node = reader.value(0)?;
        if !node.is_null() {
            documents.push(node);
        }
    }
}

struct Reader<'f> {
    file: &'f SourceFile,
    text: &'f [u8],
    at: usize,
    nodes: usize,
}

type Read<T> = Result<T, Box<Diagnostic>>;

impl Reader<'_> {
    fn fault<T>(&self, at: usize, message: impl Into<String>) -> Read<T> {
        let mut start = at.min(self.text.len());
        while !self.file.text().is_char_boundary(start) {
            start -= 1;
        }
        let span = Span::new(start as u32, start as u32 + 1);
        Err(Box::new(Diagnostic::at(Severity::Error, self.file, span, format!("JSON: {}", message.into()))))
    }

    fn skip_space(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn unexpected<T>(&self, wanted: &str) -> Read<T> {
        match self.file.text().get(self.at..).and_then(|t| t.chars().next()) {
            Some(c) => self.fault(self.at, format!("expected {wanted}, found {c:?}")),
            None => self.fault(self.at, format!("expected {wanted}, found the end of the file")),
        }
    }

    fn value(&mut self, depth: usize) -> Read<Node> {
        self.nodes += 1;
        if depth > MAX_DEPTH {
            return self.fault(self.at, format!("nested more than {MAX_DEPTH} deep"));
        }
        if self.nodes > MAX_NODES {
            return self.fault(self.at, format!("more than {MAX_NODES} values"));
        }
        let start = self.at;
        let content = match self.text.get(self.at) {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => Content::Text(self.string()?, Style::Double),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => self.word()?,
        };
        Ok(Node { span: Span::new(start as u32, self.at as u32), content })
    }

    fn word(&mut self) -> Read<Content> {
        for (word, content) in [("null", Content::Null), ("true", Content::Bool(true)), ("false", Content::Bool(false))]
        {
            if self.text[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(content);
            }
        }
        self.unexpected("a value")
    }

    fn array(&mut self, depth: usize) -> Read<Content> {
        let mut items = Vec::new();
        self.at += 1;
        self.skip_space();
        if self.text.get(self.at) == Some(&b']') {
            self.at += 1;
            return Ok(Content::Sequence(items));
        }
        loop {
            self.skip_space();
            items.push(self.value(depth + 1)?);
            self.skip_space();
            match self.text.get(self.at) {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Content::Sequence(items));
                }
                _ => return self.unexpected("',' or ']'"),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Read<Content> {
        let mut members: Vec<Member> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        self.at += 1;
        self.skip_space();
        if self.text.get(self.at) == Some(&b'}') {
            self.at += 1;
            return Ok(Content::Mapping(members));
        }
        loop {
            self.skip_space();
            let start = self.at;
            if self.text.get(start) != Some(&b'"') {
                return self.unexpected("a key in double quotes");
            }
            let key = self.string()?;
            let key_span = Span::new(start as u32, self.at as u32);
            if !seen.insert(key.clone()) {
                return self.fault(start, format!("key {key:?} already set"));
            }
            self.skip_space();
            if self.text.get(self.at) != Some(&b':') {
                return self.unexpected("':'");
            }
            self.at += 1;
            self.skip_space();
            members.push(Member { key, key_span, value: self.value(depth + 1)? });
            self.skip_space();
            match self.text.get(self.at) {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Content::Mapping(members));
                }
                _ => return self.unexpected("',' or '}'"),
            }
        }
    }

    fn number(&mut self) -> Read<Content> {
        let start = self.at;
        while matches!(self.text.get(self.at), Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')) {
            self.at += 1;
        }
        let text = self.file.text().get(start..self.at).unwrap_or("");
        match serde_json::from_str::<serde_json::Number>(text) {
            Ok(n) => Ok(match (n.as_i64(), n.as_u64(), n.as_f64()) {
                (Some(i), ..) => Content::Int(i),
                (_, Some(u), _) => Content::Uint(u),
                (_, _, Some(f)) => Content::Float(f),
                _ => return self.fault(start, format!("{text:?} is no number")),
            }),
            Err(_) => self.fault(start, format!("{text:?} is no number")),
        }
    }

    /// The string at the quote; escapes are serde_json's business.
    fn string(&mut self) -> Read<String> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.text.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => self.at += 2,
                Some(_) => self.at += 1,
                None => return self.fault(start, "string is never closed"),
            }
        }
        self.at += 1;
        match serde_json::from_str(self.file.text().get(start..self.at).unwrap_or("")) {
            Ok(s) => Ok(s),
            Err(e) => self.fault(start + e.column().saturating_sub(1), e.to_string()),
        }
    }
}
