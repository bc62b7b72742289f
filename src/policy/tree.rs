//! A YAML or JSON document as a tree whose every value knows its place in the file.

use serde_json::Value;
use stockade_cel::source::Span;

mod locate;

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Bytes of the file it was read from. A block scalar's span starts at its content, a quoted one's at its quote.
    pub span: Span,
    /// What it is.
    pub content: Content,
}

/// Kinds of values.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// `null`, `~`, nothing
    Null,
    /// A boolean, however it was spelled.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer beyond 63 bits.
    Uint(u64),
    /// A number with a fraction or exponent that is no integer.
    Float(f64),
    /// A string.
    Text(String, Style),
    /// A list.
    Sequence(Vec<Node>),
    /// A mapping with distinct keys, in document order.
    Mapping(Vec<Member>),
}

/// How a string was written, which says how its characters lie in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Without quotes.
    Plain,
    /// `'…'`
    Single,
    /// `"…"`, also JSON.
    Double,
    /// `|` or `>`
    Block,
}

/// One key and value.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// The key as string.
    pub key: String,
    /// Its place.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

impl Node {
    /// Value of a key of a mapping.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.content {
            Content::Mapping(members) => members.iter().find(|m| m.key == key).map(|m| &m.value),
            _ => None,
        }
    }

    /// The string, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match &self.content {
            Content::Text(s, _) => Some(s),
            _ => None,
        }
    }

    /// The integer, if it is one of 64 bits with sign.
    pub fn as_i64(&self) -> Option<i64> {
        match self.content {
            Content::Int(i) => Some(i),
            _ => None,
        }
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self.content, Content::Null)
    }

    /// For people: `a string`, `a list`, …
    pub fn describe(&self) -> &'static str {
        match self.content {
            Content::Null => "null",
            Content::Bool(_) => "a boolean",
            Content::Int(_) | Content::Uint(_) => "an integer",
            Content::Float(_) => "a number",
            Content::Text(..) => "a string",
            Content::Sequence(_) => "a list",
            Content::Mapping(_) => "a mapping",
        }
    }

    /// The value without places.
    pub fn to_json(&self) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(b) => Value::Bool(*b),
            Content::Int(i) => Value::from(*i),
            Content::Uint(u) => Value::from(*u),
            Content::Float(f) => Value::from(*f),
            Content::Text(s, _) => Value::String(s.clone()),
            Content::Sequence(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            Content::Mapping(members) => {
                Value::Object(members.iter().map(|m| (m.key.clone(), m.value.to_json())).collect())
            }
        }
    }
}
