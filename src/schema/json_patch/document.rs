//! The document while it is patched: expanded only along the paths that operations touch.

use std::collections::HashMap;

use bumpalo::Bump;
use stockade_cel::{Symbols, Value};

use crate::json;

/// A part of the document.
#[derive(Debug)]
pub(super) enum Node<'a> {
    /// As it was.
    Value(Value<'a>),
    Members(Members<'a>),
    Items(Vec<Node<'a>>),
}

/// An object that is being changed; keeps the order of its keys.
#[derive(Debug, Default)]
pub(super) struct Members<'a> {
    /// `None` where a member was removed.
    list: Vec<Option<(&'a str, Node<'a>)>>,
    places: HashMap<&'a str, usize>,
}

/// An object or a list, borrowed to be changed.
#[derive(Debug)]
pub(super) enum Container<'n, 'a> {
    Members(&'n mut Members<'a>),
    Items(&'n mut Vec<Node<'a>>),
}

/// Why a key does not fit a container, in the words of Go's library.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum IndexError {
    #[error("strconv.Atoi: parsing {0:?}: invalid syntax")]
    Syntax(String),
    #[error("strconv.Atoi: parsing {0:?}: value out of range")]
    Range(String),
    #[error("value was not a proper array index: '{0}': {1}")]
    NotAnIndex(String, Box<IndexError>),
    #[error("Unable to access invalid index: {0}: invalid index referenced")]
    Invalid(i64),
    #[error("Unable to remove nonexistent key: {0}: missing value")]
    NoSuchKey(String),
}

impl<'a> Node<'a> {
    pub(super) fn is_container(&self) -> bool {
        match self {
            Node::Value(v) => json::object(*v).is_some() || matches!(v, Value::List(_)),
            Node::Members(_) | Node::Items(_) => true,
        }
    }

    /// The container at the parent of `path`, and the last part of the path, unescaped.
    pub(super) fn find(&mut self, path: &str) -> Option<(Container<'_, 'a>, String)> {
        let mut parts = path.split('/');
        parts.next();
        let key = parts.next_back()?;
        let mut container = self.expand()?;
        for part in parts {
            container = container.into_child(&unescape(part))?.expand()?;
        }
        Some((container, unescape(key)))
    }

    fn expand(&mut self) -> Option<Container<'_, 'a>> {
        if let Node::Value(value) = *self {
            *self = match value {
                Value::List(items) => Node::Items(items.iter().copied().map(Node::Value).collect()),
                other => {
                    let mut members = Members::default();
                    for e in json::object(other)?.entries() {
                        members.set(e.key, Node::Value(e.value));
                    }
                    Node::Members(members)
                }
            };
        }
        match self {
            Node::Members(members) => Some(Container::Members(members)),
            Node::Items(items) => Some(Container::Items(items)),
            Node::Value(_) => None,
        }
    }

    /// As a value. Depth is bounded by what was let into the document.
    pub(super) fn freeze(&self, arena: &'a Bump, symbols: &Symbols) -> Value<'a> {
        match self {
            Node::Value(value) => *value,
            Node::Items(items) => json::list(items.iter().map(|i| i.freeze(arena, symbols)), arena),
            Node::Members(members) => {
                let present = members.list.iter().flatten();
                json::build(present.map(|(key, node)| (*key, node.freeze(arena, symbols))), arena, symbols)
            }
        }
    }
}

impl<'a> Members<'a> {
    fn get(&mut self, key: &str) -> Option<&mut Node<'a>> {
        let at = *self.places.get(key)?;
        self.list[at].as_mut().map(|(_, node)| node)
    }

    fn set(&mut self, key: &'a str, node: Node<'a>) {
        match self.places.get(key) {
            Some(&at) => self.list[at] = Some((key, node)),
            None => {
                self.places.insert(key, self.list.len());
                self.list.push(Some((key, node)));
            }
        }
    }

    fn remove(&mut self, key: &str) -> Option<Node<'a>> {
        let at = self.places.remove(key)?;
        self.list[at].take().map(|(_, node)| node)
    }
}

impl<'n, 'a> Container<'n, 'a> {
    fn into_child(self, key: &str) -> Option<&'n mut Node<'a>> {
        match self {
            Container::Members(members) => members.get(key),
            Container::Items(items) => {
                let at = element(key, items.len()).ok()?;
                items.get_mut(at)
            }
        }
    }

    /// A missing member of an object is `None`, a missing element of a list an error.
    pub(super) fn get(&mut self, key: &str) -> Result<Option<&mut Node<'a>>, IndexError> {
        match self {
            Container::Members(members) => Ok(members.get(key)),
            Container::Items(items) => {
                let at = element(key, items.len())?;
                Ok(items.get_mut(at))
            }
        }
    }

    pub(super) fn set(&mut self, key: &'a str, node: Node<'a>) -> Result<(), IndexError> {
        match self {
            Container::Members(members) => members.set(key, node),
            Container::Items(items) => {
                let at = element(key, items.len())?;
                items[at] = node;
            }
        }
        Ok(())
    }

    pub(super) fn add(&mut self, key: &'a str, node: Node<'a>) -> Result<(), IndexError> {
        match self {
            Container::Members(members) => members.set(key, node),
            Container::Items(items) if key == "-" => items.push(node),
            Container::Items(items) => {
                let index = number(key).map_err(|e| IndexError::NotAnIndex(key.to_owned(), Box::new(e)))?;
                let at = within(index, items.len() + 1)?;
                items.insert(at, node);
            }
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, key: &str) -> Result<Node<'a>, IndexError> {
        match self {
            Container::Members(members) => members.remove(key).ok_or_else(|| IndexError::NoSuchKey(key.to_owned())),
            Container::Items(items) => {
                let at = element(key, items.len())?;
                Ok(items.remove(at))
            }
        }
    }
}

fn element(key: &str, len: usize) -> Result<usize, IndexError> {
    within(number(key)?, len)
}

/// A place below `len`; negative numbers count from the end.
fn within(index: i64, len: usize) -> Result<usize, IndexError> {
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    let at = if index < 0 { index.checked_add(len) } else { Some(index) };
    match at {
        Some(at) if (0..len).contains(&at) => usize::try_from(at).map_err(|_| IndexError::Invalid(index)),
        _ => Err(IndexError::Invalid(index)),
    }
}

/// As Go's `strconv.Atoi`: a sign and digits.
fn number(key: &str) -> Result<i64, IndexError> {
    let digits = key.strip_prefix(['+', '-']).unwrap_or(key);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(IndexError::Syntax(key.to_owned()));
    }
    key.parse().map_err(|_| IndexError::Range(key.to_owned()))
}

fn unescape(part: &str) -> String {
    // In this order, so that `~01` is `~1` and not `/`.
    part.replace("~1", "/").replace("~0", "~")
}
