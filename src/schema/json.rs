//! Plain JSON operations on values: equality, size, building objects.

use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;
use stockade_cel::value::Entry;
use stockade_cel::{Object, Symbols, Value};

/// Whether two values are the same JSON: objects regardless of order, numbers by their value.
pub(crate) fn equal(a: Value<'_>, b: Value<'_>) -> bool {
    match (a, b) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::String(a), Value::String(b)) => a == b,
        (Value::List(a), Value::List(b)) => {
            std::ptr::eq(a, b) || a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(*a, *b))
        }
        _ => match (object(a), object(b), number(a), number(b)) {
            (Some(a), Some(b), ..) => {
                std::ptr::eq(a.entries(), b.entries())
                    || a.len() == b.len()
                        && a.entries().iter().all(|e| b.get(e.key).is_some_and(|other| equal(e.value, other)))
            }
            (_, _, Some(a), Some(b)) => match (a, b) {
                (Number::Int(a), Number::Int(b)) => a == b,
                (a, b) => a.double() == b.double(),
            },
            _ => false,
        },
    }
}

/// The object inside an object or a constructed struct.
pub(crate) fn object<'a>(value: Value<'a>) -> Option<&'a Object<'a>> {
    match value {
        Value::Object(o) => Some(o),
        Value::Struct(s) => Some(&s.fields),
        _ => None,
    }
}

#[derive(Clone, Copy)]
enum Number {
    Int(i128),
    Double(f64),
}

impl Number {
    fn double(self) -> f64 {
        match self {
            Number::Int(i) => i as f64,
            Number::Double(d) => d,
        }
    }
}

fn number(value: Value<'_>) -> Option<Number> {
    match value {
        Value::Int(i) => Some(Number::Int(i.into())),
        Value::Uint(u) => Some(Number::Int(u.into())),
        Value::Double(d) => Some(Number::Double(d)),
        _ => None,
    }
}

/// Size as JSON text and depth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Measure {
    pub(crate) bytes: usize,
    pub(crate) depth: usize,
}

/// Measures a value. Values share structure, so a small one may stand for a huge text: `None` when it is longer than
/// `limit` bytes or nests deeper than `depth`.
pub(crate) fn measure(value: Value<'_>, limit: usize, depth: usize) -> Option<Measure> {
    let mut total = Measure { bytes: 1, depth: 1 };
    let mut add = |part: Measure, extra: usize| {
        total.bytes += part.bytes + extra;
        total.depth = total.depth.max(part.depth + 1);
        (total.bytes <= limit).then_some(total.bytes)
    };
    let inner = depth.checked_sub(1)?;
    match value {
        Value::List(list) => {
            let mut used = add(Measure::default(), 1)?;
            for item in list {
                used = add(measure(*item, limit - used, inner)?, 1)?;
            }
        }
        Value::String(s) => total.bytes = s.len() + 2,
        Value::Bytes(b) => total.bytes = b.len() / 3 * 4 + 6,
        Value::Optional(Some(inside)) => return measure(*inside, limit, inner),
        Value::Map(entries) => {
            let mut used = add(Measure::default(), 1)?;
            for (key, value) in entries {
                used = add(measure(*key, limit - used, inner)?, 1)?;
                used = add(measure(*value, limit - used, inner)?, 1)?;
            }
        }
        _ => match object(value) {
            Some(object) => {
                let mut used = add(Measure::default(), 1)?;
                for e in object.entries() {
                    used = add(measure(e.value, limit - used, inner)?, e.key.len() + 4)?;
                }
            }
            // Numbers and words: none is longer than this.
            None => total.bytes = 8,
        },
    }
    (total.bytes <= limit).then_some(total)
}

/// Builds an object from entries with distinct keys; should two be equal, the first one stays.
pub(crate) fn build<'a>(
    entries: impl IntoIterator<Item = (&'a str, Value<'a>)>,
    arena: &'a Bump,
    symbols: &Symbols,
) -> Value<'a> {
    let mut list = ArenaVec::new_in(arena);
    list.extend(entries.into_iter().map(|(key, value)| Entry { symbol: symbols.lookup(key), key, value }));
    let entries = list.into_bump_slice();
    let object = Object::new(entries, arena).unwrap_or_else(|_| {
        let mut seen = std::collections::HashSet::new();
        let mut list = ArenaVec::new_in(arena);
        list.extend(entries.iter().filter(|e| seen.insert(e.key)).copied());
        Object::new(list.into_bump_slice(), arena).unwrap_or(Object::EMPTY)
    });
    Value::Object(arena.alloc(object))
}

/// Builds a list.
pub(crate) fn list<'a>(items: impl IntoIterator<Item = Value<'a>>, arena: &'a Bump) -> Value<'a> {
    let mut list = ArenaVec::new_in(arena);
    list.extend(items);
    Value::List(list.into_bump_slice())
}
