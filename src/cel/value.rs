//! Values during evaluation: small, `Copy`, borrowing from the request's bytes, the plan or the arena.

mod equality;
mod maps;

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use bumpalo::Bump;

pub use maps::map_of;
pub(crate) use maps::{Entries, object_of, repeated_key, same_key};

use crate::opaque::Opaque;
use crate::symbols::Symbol;

/// A value. Nothing in it owns memory: an evaluation allocates only in its arena.
#[derive(Debug, Clone, Copy, Default)]
pub enum Value<'a> {
    /// `null`
    #[default]
    Null,
    /// `bool`
    Bool(bool),
    /// `int`; every JSON number without fraction or exponent that fits
    Int(i64),
    /// `uint`
    Uint(u64),
    /// `double`
    Double(f64),
    /// `string`
    String(&'a str),
    /// `bytes`
    Bytes(&'a [u8]),
    /// `google.protobuf.Duration` in nanoseconds, as Go's `time.Duration`
    Duration(i64),
    /// `google.protobuf.Timestamp`
    Timestamp(Timestamp),
    /// `list`
    List(&'a [Value<'a>]),
    /// A map with string keys, as every JSON object is.
    Object(&'a Object<'a>),
    /// A map made by an expression whose keys may be bool, int, uint or string, sorted by key. One whose keys are all
    /// strings is built as [`Value::Object`], so that there is one shape for one meaning: [`map_of`] makes both.
    Map(&'a [(Value<'a>, Value<'a>)]),
    /// A constructed struct (`Object.spec{…}`, `JSONPatch{…}`): its type name and fields.
    Struct(&'a Struct<'a>),
    /// `optional.none()` or `optional.of(x)`
    Optional(Option<&'a Value<'a>>),
    /// A type as value: its name (`int`, `list`, `google.protobuf.Timestamp`).
    Type(&'a str),
    /// A value of one of the Kubernetes libraries.
    Opaque(&'a Opaque<'a>),
}

/// A point in time. Equality and order regard the instant only, not the zone it was written in.
#[derive(Debug, Clone, Copy)]
pub struct Timestamp {
    /// Seconds since the epoch, from 0001-01-01 to 9999-12-31; may be negative.
    pub seconds: i64,
    /// Nanoseconds after that second, `0..1_000_000_000`.
    pub nanos: u32,
    /// Seconds east of UTC of the zone it was written in: `string(x)` shows it in that zone.
    pub offset: i32,
}

/// A JSON object: entries in document order, distinct keys.
#[derive(Debug, Clone, Copy)]
pub struct Object<'a> {
    entries: &'a [Entry<'a>],
    /// Entry numbers sorted by key, for objects larger than [`Object::LINEAR`]; otherwise empty.
    sorted: &'a [u32],
    /// [`mark`]s of the keys without a symbol, for objects that are not sorted.
    unnumbered: u64,
}

/// One member of an object.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Number of the key when some compiled expression selects it, else [`Symbol::UNKNOWN`].
    pub symbol: Symbol,
    /// The key.
    pub key: &'a str,
    /// Its value.
    pub value: Value<'a>,
}

/// A constructed struct.
#[derive(Debug, Clone, Copy)]
pub struct Struct<'a> {
    /// Full type name: `Object.spec`, `JSONPatch`.
    pub type_name: &'a str,
    /// The fields that were set.
    pub fields: Object<'a>,
}

// === impl Timestamp ===

impl Timestamp {
    /// A point in time in UTC.
    pub fn utc(seconds: i64, nanos: u32) -> Self {
        Self { seconds, nanos, offset: 0 }
    }
}

impl PartialEq for Timestamp {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Timestamp {}

impl PartialOrd for Timestamp {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timestamp {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.seconds, self.nanos).cmp(&(other.seconds, other.nanos))
    }
}

impl Hash for Timestamp {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.seconds, self.nanos).hash(state);
    }
}

// === impl Object ===

impl<'a> Object<'a> {
    /// Up to this many entries a scan beats a search, measured on Pods.
    pub const LINEAR: usize = 16;

    /// No entries.
    pub const EMPTY: Object<'static> = Object { entries: &[], sorted: &[], unnumbered: 0 };

    /// Builds an object, indexing it when it is large.
    ///
    /// # Errors
    /// The first key that occurs twice.
    pub fn new(entries: &'a [Entry<'a>], arena: &'a Bump) -> Result<Self, &'a str> {
        if entries.len() <= Self::LINEAR {
            let (mut seen, mut unnumbered) = (0, 0);
            for (i, e) in entries.iter().enumerate() {
                let mark = mark(e.key);
                if seen & mark != 0 && entries[..i].iter().any(|o| o.key == e.key) {
                    return Err(e.key);
                }
                seen |= mark;
                if e.symbol == Symbol::UNKNOWN {
                    unnumbered |= mark;
                }
            }
            return Ok(Self { entries, sorted: &[], unnumbered });
        }
        let sorted = arena.alloc_slice_fill_iter(0..entries.len() as u32);
        sorted.sort_unstable_by_key(|&i| entries[i as usize].key);
        for pair in sorted.windows(2) {
            let key = entries[pair[1] as usize].key;
            if entries[pair[0] as usize].key == key {
                return Err(key);
            }
        }
        Ok(Self { entries, sorted, unnumbered: 0 })
    }

    /// Entries in document order.
    pub fn entries(&self) -> &'a [Entry<'a>] {
        self.entries
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Value of a key that was given a symbol when the expression was planned. The fastest lookup. Entries made
    /// without a symbol table carry [`Symbol::UNKNOWN`] and are found by name.
    #[inline]
    pub fn get_symbol(&self, symbol: Symbol, key: &str) -> Option<&'a Value<'a>> {
        if self.sorted.is_empty() {
            if let Some(e) = self.entries.iter().find(|e| e.symbol == symbol) {
                return Some(&e.value);
            }
            if self.unnumbered == 0 || self.unnumbered & mark(key) == 0 {
                return None;
            }
        }
        self.find(key)
    }

    /// Value of a key.
    #[inline]
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        self.find(key).copied()
    }

    fn find(&self, key: &str) -> Option<&'a Value<'a>> {
        if self.sorted.is_empty() {
            return self.entries.iter().find(|e| e.key == key).map(|e| &e.value);
        }
        let at = self.sorted.binary_search_by_key(&key, |&i| self.entries[i as usize].key).ok()?;
        Some(&self.entries[self.sorted[at] as usize].value)
    }
}

/// One bit of 64 for a key: keys with different bits differ.
#[inline]
fn mark(key: &str) -> u64 {
    let bytes = key.as_bytes();
    let ends = bytes.first().zip(bytes.last()).map_or(0, |(first, last)| usize::from(*first) + 5 * usize::from(*last));
    1 << ((ends + 11 * bytes.len()) % 64)
}

// === impl Value ===

impl<'a> Value<'a> {
    /// The object inside, if it is one.
    pub fn as_object(self) -> Option<&'a Object<'a>> {
        match self {
            Value::Object(o) => Some(o),
            _ => None,
        }
    }

    /// The list inside, if it is one.
    pub fn as_list(self) -> Option<&'a [Value<'a>]> {
        match self {
            Value::List(l) => Some(l),
            _ => None,
        }
    }

    /// The string inside, if it is one.
    pub fn as_str(self) -> Option<&'a str> {
        match self {
            Value::String(s) => Some(s),
            _ => None,
        }
    }

    /// The boolean inside, if it is one.
    pub fn as_bool(self) -> Option<bool> {
        match self {
            Value::Bool(b) => Some(b),
            _ => None,
        }
    }

    /// The integer inside, if it is one.
    pub fn as_int(self) -> Option<i64> {
        match self {
            Value::Int(i) => Some(i),
            _ => None,
        }
    }

    /// Member of an object by name: `None` when this is not an object or has no such member.
    pub fn get(self, key: &str) -> Option<Value<'a>> {
        self.as_object()?.get(key)
    }

    /// Walks members by name: `pod.path(&["spec", "containers"])`.
    pub fn path(self, keys: &[&str]) -> Option<Value<'a>> {
        keys.iter().try_fold(self, |v, k| v.get(k))
    }
}
