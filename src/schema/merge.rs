//! Structured merge of an ApplyConfiguration onto an object (structured-merge-diff v6, as MutatingAdmissionPolicy
//! uses it: fields are set, ownership is not tracked, nothing atomic may be touched).

use std::collections::{HashMap, HashSet};

use bumpalo::Bump;
use stockade_cel::limits::MAX_DOCUMENT_DEPTH;
use stockade_cel::{Symbols, Value};

use crate::json;
use crate::kinds::{Kind, Kinds};
use crate::nulls;

mod atom;
mod key;
mod validate;

use atom::{Atom, ListAtom, MapAtom, TypeRef};
use key::Key;

/// Most bytes of an apply configuration as JSON: values of an expression share structure, so a small one may stand
/// for a huge text.
pub const MAX_CONFIGURATION_BYTES: usize = 16 << 20;

/// Most problems reported of one object.
const MAX_PROBLEMS: usize = 100;

/// Why an apply configuration cannot be merged, in the API server's words (which it prefixes with
/// `error applying patch: `).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// The configuration does not fit the schema.
    #[error("failed to convert patch object to typed object: {0}")]
    Configuration(Problems),
    /// The server has no schema of the kind: group, version and kind as Go prints them.
    #[error("failed to convert patch object to typed object: no corresponding type for {0}")]
    NoType(String),
    /// The configuration sets something that could only be replaced as a whole: its paths.
    #[error("invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {}", .0.join(", "))]
    Atomic(Vec<String>),
    /// The object itself does not fit the schema.
    #[error("failed to convert original object to typed object: {0}")]
    Object(Problems),
    /// The configuration is larger than [`MAX_CONFIGURATION_BYTES`] or nests too deep.
    #[error("the apply configuration is larger than {MAX_CONFIGURATION_BYTES} bytes or nested too deep")]
    TooLarge,
}

/// What does not fit a schema: path and fault of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Problem {
    path: String,
    text: String,
}

impl std::fmt::Display for Problems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let one = |f: &mut std::fmt::Formatter<'_>, p: &Problem| match p.path.as_str() {
            "" => f.write_str(&p.text),
            path => write!(f, "{path}: {}", p.text),
        };
        if let [problem] = self.0.as_slice() {
            return one(f, problem);
        }
        f.write_str("errors:")?;
        for problem in &self.0 {
            f.write_str("\n  ")?;
            one(f, problem)?;
        }
        Ok(())
    }
}

/// Merges `configuration` onto `object`, whose kind is `kind`; without one (a custom resource) maps merge by key and
/// lists count as atomic, as they do in a custom resource's schema that says nothing else.
///
/// `apiVersion` and `kind` of the configuration are those of the object, whatever it says. A null in the configuration
/// unsets a scalar. Untouched parts are shared with the original.
///
/// # Errors
/// See [`MergeError`].
pub fn apply<'a>(
    kind: Option<&Kind>,
    object: Value<'a>,
    configuration: Value<'a>,
    arena: &'a Bump,
    symbols: &Symbols,
) -> Result<Value<'a>, MergeError> {
    json::measure(configuration, MAX_CONFIGURATION_BYTES, MAX_DOCUMENT_DEPTH).ok_or(MergeError::TooLarge)?;
    let text = |key| object.get(key).and_then(Value::as_str).unwrap_or("");
    let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
    if Kinds::builtin().is_undescribed(group, version, text("kind")) {
        return Err(MergeError::NoType(format!("{group}/{version}, Kind={}", text("kind"))));
    }
    let root = kind.map_or(TypeRef::Deduced, |k| TypeRef::Type(k.root()));
    let configuration = with_type_of(object, configuration, arena, symbols);
    validate::validate(root, configuration, false).map_err(MergeError::Configuration)?;
    let atomics = validate::atomics(root, configuration);
    if !atomics.is_empty() {
        return Err(MergeError::Atomic(atomics));
    }
    validate::validate(root, object, true).map_err(MergeError::Object)?;
    let merged = Merge { arena, symbols }.merge(root, Some(object), Some(configuration));
    // The server decodes the merged object into its Go type.
    Ok(nulls::drop(kind.map(Kind::root), merged.unwrap_or(Value::Null), arena, symbols))
}

/// Whether an object has the form of its kind: declared fields only, of the declared types. Elements of a list may
/// share their key, as in stored objects.
///
/// # Errors
/// What does not fit.
pub fn conforms(kind: &Kind, object: Value<'_>) -> Result<(), Problems> {
    validate::validate(TypeRef::Type(kind.root()), object, true)
}

fn with_type_of<'a>(object: Value<'a>, configuration: Value<'a>, arena: &'a Bump, symbols: &Symbols) -> Value<'a> {
    let Some(fields) = json::object(configuration) else { return configuration };
    const TYPE: [&str; 2] = ["apiVersion", "kind"];
    let own = fields.entries().iter().filter(|e| !TYPE.contains(&e.key)).map(|e| (e.key, e.value));
    let of_object = TYPE.iter().filter_map(|key| Some((*key, object.get(key)?)));
    json::build(of_object.chain(own), arena, symbols)
}

struct Merge<'a, 's> {
    arena: &'a Bump,
    symbols: &'s Symbols,
}

impl<'a> Merge<'a, '_> {
    /// `None` when nothing is left. Both sides were validated against the type.
    fn merge(&self, ty: TypeRef, left: Option<Value<'a>>, right: Option<Value<'a>>) -> Option<Value<'a>> {
        let atom = Atom::of(ty);
        // A null takes whatever form the other side has.
        let form = match right {
            None | Some(Value::Null) => left.or(right),
            _ => right,
        };
        match atom.form(form) {
            Form::Map(map) => self.maps(&map, left, right),
            Form::List(list) => self.lists(&list, left, right),
            Form::Leaf => right.or(left),
        }
    }

    fn maps(&self, map: &MapAtom, left: Option<Value<'a>>, right: Option<Value<'a>>) -> Option<Value<'a>> {
        let (l, r) = (left.and_then(json::object), right.and_then(json::object));
        let empty = |side: Option<&stockade_cel::Object<'_>>| side.is_none_or(stockade_cel::Object::is_empty);
        if map.atomic || empty(l) && empty(r) {
            return right.or(left);
        }
        let mut merged = Vec::new();
        for e in l.map_or(&[][..], |l| l.entries()) {
            let other = r.and_then(|r| r.get(e.key));
            merged.push((e.key, self.merge(map.member(e.key), Some(e.value), other)));
        }
        for e in r.map_or(&[][..], |r| r.entries()) {
            if l.and_then(|l| l.get(e.key)).is_none() {
                merged.push((e.key, self.merge(map.member(e.key), None, Some(e.value))));
            }
        }
        let present: Vec<_> = merged.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
        (!present.is_empty()).then(|| json::build(present, self.arena, self.symbols))
    }

    fn lists(&self, list: &ListAtom, left: Option<Value<'a>>, right: Option<Value<'a>>) -> Option<Value<'a>> {
        let (l, r) = (left.and_then(Value::as_list), right.and_then(Value::as_list));
        let (l_items, r_items) = (l.unwrap_or_default(), r.unwrap_or_default());
        if list.atomic || l_items.is_empty() && r_items.is_empty() {
            return right.or(left);
        }
        let (left, right) = (Indexed::new(list, l_items), Indexed::new(list, r_items));
        let merged = self.interleave(list, &left, &right);
        (!merged.is_empty()).then(|| json::list(merged, self.arena))
    }

    /// Items of both lists in one order: that of the right list for its own items, with items that only the left list
    /// has kept where they stood relative to the shared ones.
    fn interleave(&self, list: &ListAtom, left: &Indexed<'a>, right: &Indexed<'a>) -> Vec<Value<'a>> {
        let mut out = Vec::with_capacity(left.keys.len().max(right.keys.len()));
        let mut shared = right.keys.iter().filter(|key| left.first.contains_key(*key)).peekable();
        let mut done: HashSet<&Key> = HashSet::new();
        let (mut l, mut r) = (0, 0);
        while l < left.keys.len() || r < right.keys.len() {
            let (lkey, rkey) = (left.keys.get(l), right.keys.get(r));
            if let (Some(lkey), Some(rkey)) = (lkey, rkey) {
                if lkey == rkey {
                    done.insert(rkey);
                    out.extend(self.merge(list.element, left.unique(lkey), right.unique(rkey)));
                    (l, r) = (l + 1, r + 1);
                    shared.next();
                    continue;
                }
                if right.first.contains_key(lkey) && shared.peek().is_some_and(|next| *next != lkey) {
                    // Shared, but not the next shared one in the right list's order: it comes with that list.
                    l += 1;
                    continue;
                }
            }
            if let Some(lkey) = lkey {
                if !right.first.contains_key(lkey) {
                    out.extend(self.merge(list.element, left.items.get(l).copied(), None));
                    l += 1;
                    continue;
                }
                if done.contains(lkey) {
                    l += 1;
                }
            }
            if let Some(rkey) = rkey {
                done.insert(rkey);
                out.extend(self.merge(list.element, left.unique(rkey), right.unique(rkey)));
                r += 1;
                if shared.peek() == Some(&rkey) {
                    shared.next();
                }
            }
        }
        out
    }
}

/// What a value is merged as.
enum Form {
    Map(MapAtom),
    List(ListAtom),
    Leaf,
}

/// A list with the keys of its items.
struct Indexed<'a> {
    items: &'a [Value<'a>],
    keys: Vec<Key>,
    /// Item of each key; null when several items share it, which are not merged but replaced.
    first: HashMap<Key, Value<'a>>,
}

impl<'a> Indexed<'a> {
    fn new(list: &ListAtom, items: &'a [Value<'a>]) -> Self {
        let keys: Vec<Key> = items.iter().map(|item| Key::of(list, *item).unwrap_or_default()).collect();
        let mut first = HashMap::new();
        for (key, item) in keys.iter().zip(items) {
            first.entry(key.clone()).and_modify(|v| *v = Value::Null).or_insert(*item);
        }
        Self { items, keys, first }
    }

    fn unique(&self, key: &Key) -> Option<Value<'a>> {
        self.first.get(key).copied()
    }
}

#[cfg(test)]
mod tests;
