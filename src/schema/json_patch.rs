//! JSON Patch (RFC 6902) over values, as the API server's library (evanphx/json-patch v4) reads it.
//!
//! Its peculiarities are kept, because verdicts hang on them: a missing member of an object reads as null, so that
//! `replace` of it adds it and `copy` of it copies null; negative indexes count from the end; a path without a leading
//! slash loses its first part. One is not: a null that an operation of the same patch has put in reads as a missing
//! value here, and there as an empty object.

use bumpalo::Bump;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use stockade_cel::limits::MAX_DOCUMENT_DEPTH;
use stockade_cel::{Symbols, Value};

mod diff;
mod document;

pub use diff::diff;
use document::{Container, IndexError, Node};

/// Most operations of one patch, as the API server allows in a PATCH request.
pub const MAX_OPERATIONS: usize = 10_000;

/// Most bytes that `copy` may add to a document (the API server's `JSONPatchMaxCopyBytes`).
pub const MAX_COPY_BYTES: usize = 3 << 20;

/// Most bytes of all values that one patch adds or moves, as JSON. Values share structure, so this bounds what a
/// small patch can blow up to; a request is at most 3 MiB.
pub const MAX_ADDED_BYTES: usize = 16 << 20;

/// One operation.
#[derive(Debug, Clone, Copy, Default)]
pub struct Operation<'a> {
    /// `add`, `remove`, `replace`, `move`, `copy` or `test`.
    pub op: &'a str,
    /// JSON pointer.
    pub path: &'a str,
    /// JSON pointer of the source of `move` and `copy`.
    pub from: Option<&'a str>,
    /// Operand of `add`, `replace` and `test`.
    pub value: Option<Value<'a>>,
}

/// Why a patch does not apply, in the library's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// A `test` did not hold. A mutation then leaves the object as it is; it is no failure.
    #[error("testing value {0} failed: test failed")]
    TestFailed(String),
    /// An unknown operation.
    #[error("Unexpected kind: {0}")]
    UnknownOperation(String),
    /// `move` or `copy` without `from`.
    #[error("{0} operation failed to decode from: operation, missing from field: missing value")]
    MissingFrom(&'static str),
    /// No object or list at the parent of the path.
    #[error("{}: missing value", missing(.operation, .path))]
    MissingPath {
        /// Operation and the words for what it looked for.
        operation: Missing,
        /// The whole pointer.
        path: String,
    },
    /// `replace` of an element that is not there.
    #[error("replace operation does not apply: doc is missing key: {0}: missing value")]
    MissingKey(String),
    /// The root may only become an object or a list.
    #[error("replace operation value must be object or array: %!w(<nil>)")]
    RootValue,
    /// The last part of the pointer does not fit the object or list it is for.
    #[error("{context}{cause}")]
    Access {
        /// Which operation, which path.
        context: String,
        /// What does not fit.
        cause: String,
    },
    /// `copy` would add too much.
    #[error(
        "Unable to complete the copy, the accumulated size increase of copy is {size}, exceeding the limit {}",
        MAX_COPY_BYTES
    )]
    CopySize {
        /// Bytes copied so far, at least.
        size: usize,
    },
    /// More operations than [`MAX_OPERATIONS`].
    #[error("The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {0}")]
    TooManyOperations(usize),
    /// The values of the patch are larger than [`MAX_ADDED_BYTES`], or nest too deep.
    #[error("the patch adds more than {MAX_ADDED_BYTES} bytes or nests deeper than {MAX_DOCUMENT_DEPTH} levels")]
    TooLarge,
}

/// Who misses the parent of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// `add`
    Add,
    /// `remove`
    Remove,
    /// `replace`
    Replace,
    /// `move`, its source
    MoveFrom,
    /// `move`, its destination
    MoveTo,
    /// `copy`, its source
    CopyFrom,
    /// `copy`, its destination
    CopyTo,
    /// `test`
    Test,
}

fn missing(operation: &Missing, path: &str) -> String {
    match operation {
        Missing::Add => format!("add operation does not apply: doc is missing path: \"{path}\""),
        Missing::Remove => format!("remove operation does not apply: doc is missing path: \"{path}\""),
        Missing::Replace => format!("replace operation does not apply: doc is missing path: {path}"),
        Missing::MoveFrom => format!("move operation does not apply: doc is missing from path: {path}"),
        Missing::MoveTo => format!("move operation does not apply: doc is missing destination path: {path}"),
        Missing::CopyFrom => format!("copy operation does not apply: doc is missing from path: {path}"),
        Missing::CopyTo => format!("copy operation does not apply: doc is missing destination path: {path}"),
        Missing::Test => format!("test operation does not apply: is missing path: {path}"),
    }
}

/// Applies a patch to an object or list and gives the patched one; what is untouched is shared with the original.
///
/// # Errors
/// See [`PatchError`]; of them [`PatchError::TestFailed`] means that a mutation leaves the object unchanged.
pub fn apply<'a>(
    document: Value<'a>,
    patch: &[Operation<'a>],
    arena: &'a Bump,
    symbols: &Symbols,
) -> Result<Value<'a>, PatchError> {
    if patch.len() > MAX_OPERATIONS {
        return Err(PatchError::TooManyOperations(patch.len()));
    }
    let mut state = State { root: Node::Value(document), copied: 0, added: 0, arena, symbols };
    for operation in patch {
        state.step(operation)?;
    }
    Ok(state.root.freeze(arena, symbols))
}

struct State<'a, 's> {
    root: Node<'a>,
    copied: usize,
    added: usize,
    arena: &'a Bump,
    symbols: &'s Symbols,
}

impl<'a> State<'a, '_> {
    fn step(&mut self, o: &Operation<'a>) -> Result<(), PatchError> {
        match o.op {
            "add" => {
                let value = o.value.unwrap_or(Value::Null);
                self.admit(value, o.path)?;
                self.add(o.path, Node::Value(value), Missing::Add, || format!("error in add for path: '{}': ", o.path))
            }
            "remove" => {
                let (mut parent, key) = self.find(o.path, Missing::Remove)?;
                let removed = parent.remove(&key).map(drop);
                removed.map_err(|e| access(format!("error in remove for path: '{}': ", o.path), &e))
            }
            "replace" => self.replace(o),
            "move" => {
                let from = o.from.ok_or(PatchError::MissingFrom("move"))?;
                let (mut parent, key) = self.find(from, Missing::MoveFrom)?;
                let moved = parent.get(&key).map(drop).and_then(|()| parent.remove(&key));
                let node = moved.map_err(|e| access(format!("error in move for path: '{key}': "), &e))?;
                let value = node.freeze(self.arena, self.symbols);
                self.admit(value, o.path)?;
                let context = || format!("error in move for path: '{}': ", o.path);
                self.add(o.path, Node::Value(value), Missing::MoveTo, context)
            }
            "copy" => self.copy(o),
            "test" => self.test(o),
            other => Err(PatchError::UnknownOperation(other.to_owned())),
        }
    }

    fn find(&mut self, path: &str, operation: Missing) -> Result<(Container<'_, 'a>, String), PatchError> {
        self.root.find(path).ok_or_else(|| PatchError::MissingPath { operation, path: path.to_owned() })
    }

    fn add(
        &mut self,
        path: &str,
        node: Node<'a>,
        operation: Missing,
        context: impl FnOnce() -> String,
    ) -> Result<(), PatchError> {
        let arena = self.arena;
        let (mut parent, key) = self.find(path, operation)?;
        parent.add(arena.alloc_str(&key), node).map_err(|e| access(context(), &e))
    }

    fn replace(&mut self, o: &Operation<'a>) -> Result<(), PatchError> {
        let value = o.value.unwrap_or(Value::Null);
        self.admit(value, o.path)?;
        if o.path.is_empty() {
            let node = Node::Value(value);
            if !node.is_container() {
                return Err(PatchError::RootValue);
            }
            self.root = node;
            return Ok(());
        }
        let arena = self.arena;
        let (mut parent, key) = self.find(o.path, Missing::Replace)?;
        if parent.get(&key).is_err() {
            return Err(PatchError::MissingKey(o.path.to_owned()));
        }
        let set = parent.set(arena.alloc_str(&key), Node::Value(value));
        set.map_err(|e| access(format!("error in remove for path: '{}': ", o.path), &e))
    }

    fn copy(&mut self, o: &Operation<'a>) -> Result<(), PatchError> {
        let from = o.from.ok_or(PatchError::MissingFrom("copy"))?;
        let (arena, symbols) = (self.arena, self.symbols);
        let (mut parent, key) = self.find(from, Missing::CopyFrom)?;
        let found = parent.get(&key).map_err(|e| access(format!("error in copy for from: '{from}': "), &e))?;
        let value = found.map_or(Value::Null, |node| node.freeze(arena, symbols));
        self.find(o.path, Missing::CopyTo)?;
        if !matches!(value, Value::Null) {
            let left = MAX_COPY_BYTES - self.copied;
            let size = crate::json::measure(value, left, MAX_DOCUMENT_DEPTH);
            let size = size.ok_or(PatchError::CopySize { size: MAX_COPY_BYTES + 1 })?;
            self.copied += size.bytes;
        }
        self.admit(value, o.path)?;
        self.add(o.path, Node::Value(value), Missing::CopyTo, || "error while adding value during copy: ".to_owned())
    }

    fn test(&mut self, o: &Operation<'a>) -> Result<(), PatchError> {
        let failed = || PatchError::TestFailed(o.path.to_owned());
        let (arena, symbols) = (self.arena, self.symbols);
        let found = if o.path.is_empty() {
            self.root.freeze(arena, symbols)
        } else {
            let (mut parent, key) = self.find(o.path, Missing::Test)?;
            let found = parent.get(&key);
            let node = found.map_err(|e| access(format!("error in test for path: '{}': ", o.path), &e))?;
            node.map_or(Value::Null, |node| node.freeze(arena, symbols))
        };
        match (found, o.value) {
            // A missing operand is the library's null; a null that was written out does not equal a missing value.
            (Value::Null, None) => Ok(()),
            (Value::Null, Some(_)) | (_, None) => Err(failed()),
            // A null that was written out reads as an empty object or list.
            (found, Some(Value::Null)) if is_empty(found) => Ok(()),
            (found, Some(value)) if crate::json::equal(found, value) => Ok(()),
            _ => Err(failed()),
        }
    }

    /// Counts a value that comes into the document below `path` against the bounds.
    fn admit(&mut self, value: Value<'a>, path: &str) -> Result<(), PatchError> {
        let above = path.matches('/').count();
        let depth = MAX_DOCUMENT_DEPTH.checked_sub(above).ok_or(PatchError::TooLarge)?;
        let size = crate::json::measure(value, MAX_ADDED_BYTES - self.added, depth).ok_or(PatchError::TooLarge)?;
        self.added += size.bytes;
        Ok(())
    }
}

fn is_empty(value: Value<'_>) -> bool {
    match value {
        Value::List(items) => items.is_empty(),
        other => crate::json::object(other).is_some_and(stockade_cel::Object::is_empty),
    }
}

fn access(context: String, cause: &IndexError) -> PatchError {
    PatchError::Access { context, cause: cause.to_string() }
}

impl Serialize for Operation<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("op", self.op)?;
        map.serialize_entry("path", self.path)?;
        if let Some(from) = self.from {
            map.serialize_entry("from", from)?;
        }
        if let Some(value) = &self.value {
            map.serialize_entry("value", value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests;
