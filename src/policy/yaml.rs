//! YAML and JSON text to positioned trees, reading scalars as `kubectl` does (sigs.k8s.io/yaml over go-yaml v2, which
//! is YAML 1.1: `yes` is true, `017` is 15).

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};
use stockade_cel::source::Span;

use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::source_file::{MAX_FILE_BYTES, SourceFile};
use crate::tree::{Content, Member, Node, Style};

mod json;
mod scalar;

/// Deepest nesting of a document; nothing that the API server stores is this deep.
pub const MAX_DEPTH: usize = 200;

/// Most nodes of one file.
pub const MAX_NODES: usize = 2_000_000;

/// Most nodes of one file that aliases repeat: nine lines of aliases of aliases make billions.
pub const MAX_ALIASED_NODES: usize = 100_000;

/// YAML 1.1, which `kubectl` reads, ends a line here; YAML 1.2 does not. What one reader takes for a key may be part of
/// a text to the other, so such a file is refused.
const AMBIGUOUS_BREAKS: [char; 3] = ['\u{85}', '\u{2028}', '\u{2029}'];

/// Most broken documents of one file that are told of: each costs a fresh start.
const MAX_FAULTS: usize = 50;

/// Reads all documents of a file that are not empty. A fault ends its document; reading goes on at the next `---`.
pub fn parse(file: &SourceFile) -> (Vec<Node>, Diagnostics) {
    let mut diagnostics = Diagnostics::default();
    if file.text().len() > MAX_FILE_BYTES {
        let message = format!("file is larger than {MAX_FILE_BYTES} bytes");
        diagnostics.push(Diagnostic::of_file(Severity::Error, file.name(), message));
        return (Vec::new(), diagnostics);
    }
    let named_json = file.name().ends_with(".json");
    if named_json || file.text().trim_start().starts_with('{') {
        match json::parse(file) {
            Ok(documents) => return (documents, diagnostics),
            Err(fault) if named_json => {
                diagnostics.push(*fault);
                return (Vec::new(), diagnostics);
            }
            Err(_) => {}
        }
    }
    if let Some((at, c)) = file.text().char_indices().find(|(_, c)| AMBIGUOUS_BREAKS.contains(c)) {
        let span = Span::new(at as u32, (at + c.len_utf8()) as u32);
        let message = format!("YAML: U+{:04X} is a line break to some readers of YAML and none to others", c as u32);
        let d = Diagnostic::at(Severity::Error, file, span, message);
        diagnostics.push(d.help("write it as an escape in a string in double quotes"));
        return (Vec::new(), diagnostics);
    }
    let mut documents = Vec::new();
    let mut base = 0;
    for _ in 0..MAX_FAULTS {
        let mut builder = Builder::new(file, base);
        let fault = builder.run(&mut documents).err();
        diagnostics.extend(builder.diagnostics);
        let Some(fault) = fault else { break };
        let from = fault.offset;
        diagnostics.push(*fault.diagnostic);
        // A fault may lie at the separator itself; it must not end reading, nor be read twice.
        let search = from.saturating_sub(1).max(base);
        match file.text().get(search..).and_then(|rest| rest.find("\n---")) {
            Some(next) => base = search + next + 1,
            None => break,
        }
    }
    (documents, diagnostics)
}

const QUOTE_HELP: &str = "write the text in quotes, or as a block after `|-`";

/// What to do about the faults that people meet most, recognised by the parser's words.
fn help_for(info: &str) -> Option<&'static str> {
    let hints = [
        ("mapping values are not allowed", QUOTE_HELP),
        ("trailing content", QUOTE_HELP),
        ("unexpected character", QUOTE_HELP),
        ("scanning a tag", QUOTE_HELP),
        ("block sequence entries are not allowed", QUOTE_HELP),
        ("scanning an anchor or alias", "`*` and `&` mean aliases and anchors: write them in quotes, as in \"*\""),
        ("unknown anchor", "`*` means an alias: write it in quotes, as in \"*\""),
        ("tab", "indent with spaces"),
        ("did not find expected key", "check that this line is indented like those around it"),
    ];
    hints.into_iter().find(|(words, _)| info.contains(words)).map(|(_, help)| help)
}

/// What ends a document, and where reading may go on after it.
struct Fault {
    diagnostic: Box<Diagnostic>,
    offset: usize,
}

/// A list or mapping that is still open.
struct Open {
    node: Node,
    anchor: usize,
    /// The key that waits for its value, of a mapping.
    key: Option<(String, Span)>,
    /// Key number → member, so that a long mapping is not searched for each key.
    seen: HashMap<String, usize>,
    /// Nodes inside, itself included.
    size: usize,
    /// Values of `<<`, merged when the mapping ends.
    merges: Vec<Node>,
}

struct Builder<'f> {
    file: &'f SourceFile,
    base: usize,
    /// Byte offset of each character after `base`; empty when the text is ASCII and both counts are the same.
    offsets: Vec<u32>,
    stack: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    /// Nodes that aliases repeated.
    aliased: usize,
    diagnostics: Diagnostics,
    root: Option<Node>,
}

impl<'f> Builder<'f> {
    fn new(file: &'f SourceFile, base: usize) -> Self {
        let text = &file.text()[base..];
        let offsets = if text.is_ascii() {
            Vec::new()
        } else {
            text.char_indices().map(|(i, _)| (base + i) as u32).chain([file.text().len() as u32]).collect()
        };
        Self {
            file,
            base,
            offsets,
            stack: Vec::new(),
            anchors: HashMap::new(),
            nodes: 0,
            aliased: 0,
            diagnostics: Diagnostics::default(),
            root: None,
        }
    }

    fn run(&mut self, documents: &mut Vec<Node>) -> Result<(), Fault> {
        let file = self.file;
        for event in Parser::new_from_str(&file.text()[self.base..]) {
            let (event, span) = event.map_err(|e| {
                let at = self.offset(*e.marker());
                let mut fault = self.fault(Span::new(at, at), format!("YAML: {}", e.info()));
                fault.diagnostic.help = help_for(e.info()).map(str::to_owned);
                fault
            })?;
            let span = Span::new(self.offset(span.start), self.offset(span.end));
            match event {
                Event::Scalar(text, style, anchor, tag) => self.scalar(&text, style, anchor, tag.as_deref(), span)?,
                Event::SequenceStart(anchor, _) => self.open(Content::Sequence(Vec::new()), anchor, span)?,
                Event::MappingStart(anchor, _) => self.open(Content::Mapping(Vec::new()), anchor, span)?,
                Event::SequenceEnd | Event::MappingEnd => self.close(span)?,
                Event::Alias(anchor) => self.alias(anchor, span)?,
                Event::DocumentEnd => {
                    self.anchors.clear();
                    documents.extend(self.root.take().filter(|n| !n.is_null()));
                }
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => {}
            }
        }
        Ok(())
    }

    fn offset(&self, mark: Marker) -> u32 {
        if self.offsets.is_empty() {
            return (self.base + mark.index()).min(self.file.text().len()) as u32;
        }
        self.offsets.get(mark.index()).or(self.offsets.last()).copied().unwrap_or_default()
    }

    fn fault(&self, span: Span, message: impl Into<String>) -> Fault {
        let diagnostic = Box::new(Diagnostic::at(Severity::Error, self.file, span, message));
        Fault { diagnostic, offset: span.start as usize }
    }

    fn count(&mut self, span: Span) -> Result<(), Fault> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(self.fault(span, format!("more than {MAX_NODES} values")));
        }
        Ok(())
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        span: Span,
    ) -> Result<(), Fault> {
        self.count(span)?;
        let style = match style {
            ScalarStyle::Plain => Style::Plain,
            ScalarStyle::SingleQuoted => Style::Single,
            ScalarStyle::DoubleQuoted => Style::Double,
            ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
        };
        if let Some(local) = tag.filter(|t| !t.is_yaml_core_schema()) {
            self.local_tag(local, span);
        }
        let tag = tag.filter(|t| t.is_yaml_core_schema()).map(|t| t.suffix.as_str());
        let wants_key =
            self.stack.last().is_some_and(|o| matches!(o.node.content, Content::Mapping(_)) && o.key.is_none());
        if wants_key && style == Style::Plain && text == "<<" {
            return self.key("<<".to_owned(), span, true);
        }
        let content = match scalar::resolve(text, style, tag) {
            Ok(content) => content,
            Err(message) => return Err(self.fault(span, message)),
        };
        if wants_key {
            return match scalar::key(&content) {
                Some(key) => self.key(key, span, false),
                None => Err(self.fault(span, "null cannot be a key: write it in quotes")),
            };
        }
        let node = Node { span, content };
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), 1));
        }
        self.value(node, 1)
    }

    /// `expression: !has(a) && b` is, to YAML, the text `b` with a tag: the expression would lose its negation.
    fn local_tag(&mut self, tag: &Tag, span: Span) {
        if self.diagnostics.is_full() {
            return;
        }
        let word = |s: &str| s.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        let severity = if word(&tag.suffix) { Severity::Warning } else { Severity::Error };
        let message = format!("YAML: `{tag}` is read as a tag, not as text");
        let d = Diagnostic::at(severity, self.file, span, message);
        self.diagnostics.push(d.help(QUOTE_HELP));
    }

    fn open(&mut self, content: Content, anchor: usize, span: Span) -> Result<(), Fault> {
        self.count(span)?;
        if self.stack.len() >= MAX_DEPTH {
            return Err(self.fault(span, format!("nested more than {MAX_DEPTH} deep")));
        }
        if let Some(Open { node: Node { content: Content::Mapping(_), .. }, key: None, .. }) = self.stack.last() {
            return Err(self.fault(span, "a key must be a string, not a list or a mapping"));
        }
        let node = Node { span, content };
        self.stack.push(Open { node, anchor, key: None, seen: HashMap::new(), size: 1, merges: Vec::new() });
        Ok(())
    }

    fn close(&mut self, span: Span) -> Result<(), Fault> {
        let Some(mut open) = self.stack.pop() else { return Ok(()) };
        for source in std::mem::take(&mut open.merges) {
            self.merge(&mut open, source)?;
        }
        open.node.span.end = span.end.max(open.node.span.start);
        if open.anchor > 0 {
            self.anchors.insert(open.anchor, (open.node.clone(), open.size));
        }
        self.value(open.node, open.size)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Fault> {
        let Some((node, size)) = self.anchors.get(&anchor) else {
            return Err(self.fault(span, "the anchor of this alias contains the alias itself"));
        };
        let (size, deep) = (*size, depth(node));
        if self.stack.len() + deep > MAX_DEPTH {
            return Err(self.fault(span, format!("nested more than {MAX_DEPTH} deep")));
        }
        self.aliased += size;
        if self.aliased > MAX_ALIASED_NODES {
            return Err(self.fault(span, format!("aliases repeat more than {MAX_ALIASED_NODES} values")));
        }
        let Some((node, _)) = self.anchors.get(&anchor) else { return Ok(()) };
        let node = node.clone();
        if let Some(Open { node: Node { content: Content::Mapping(_), .. }, key: None, .. }) = self.stack.last() {
            return match scalar::key(&node.content) {
                Some(key) => self.key(key, span, false),
                None => Err(self.fault(span, "a key must be a string, not a list, a mapping or null")),
            };
        }
        self.value(node, size)
    }

    fn key(&mut self, key: String, span: Span, merge: bool) -> Result<(), Fault> {
        let Some(open) = self.stack.last_mut() else { return Ok(()) };
        if let (Some(&first), Content::Mapping(members), false) = (open.seen.get(&key), &open.node.content, merge)
            && !self.diagnostics.is_full()
        {
            let line = self.file.position(members[first].key_span.start).line;
            let message = format!("key {key:?} already set in line {line}");
            self.diagnostics.push(Diagnostic::at(Severity::Error, self.file, span, message));
        }
        open.key = Some((key, span));
        Ok(())
    }

    /// Puts a finished value where it belongs.
    fn value(&mut self, node: Node, size: usize) -> Result<(), Fault> {
        let Some(open) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.size += size;
        match &mut open.node.content {
            Content::Sequence(items) => items.push(node),
            Content::Mapping(members) => {
                let Some((key, key_span)) = open.key.take() else { return Ok(()) };
                let is_merge = key == "<<" && self.file.slice(key_span) == "<<";
                if is_merge {
                    open.merges.push(node);
                } else if !open.seen.contains_key(&key) {
                    open.seen.insert(key.clone(), members.len());
                    members.push(Member { key, key_span, value: node });
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// `<<: *base` and `<<: [*a, *b]`: keys that the mapping does not set itself; the first source wins.
    fn merge(&mut self, open: &mut Open, source: Node) -> Result<(), Fault> {
        let span = source.span;
        let sources = match source.content {
            Content::Sequence(items) => items,
            content => vec![Node { span, content }],
        };
        for source in sources {
            let Content::Mapping(from) = source.content else {
                return Err(self.fault(source.span, "map merge requires map or sequence of maps as the value"));
            };
            let Content::Mapping(into) = &mut open.node.content else { return Ok(()) };
            for member in from {
                if !open.seen.contains_key(&member.key) {
                    open.seen.insert(member.key.clone(), into.len());
                    into.push(member);
                }
            }
        }
        Ok(())
    }
}

/// Nesting of a finished node; recursion is bounded by [`MAX_DEPTH`], within which it was built.
fn depth(node: &Node) -> usize {
    match &node.content {
        Content::Sequence(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Content::Mapping(members) => 1 + members.iter().map(|m| depth(&m.value)).max().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
