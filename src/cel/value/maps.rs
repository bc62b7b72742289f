//! Maps that expressions make, and finding keys in them.

use std::cmp::Ordering;

use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;

use super::{Entry, Object, Value};
use crate::symbols::Symbols;

/// Keys and values in the order in which an expression wrote them.
pub(crate) type Entries<'a> = ArenaVec<'a, (Value<'a>, Value<'a>)>;

/// Makes a map. The last of equal keys wins. One shape for one meaning: an [`Object`] when all keys are strings, else a
/// [`Value::Map`] sorted by key.
pub fn map_of<'a>(entries: Entries<'a>, arena: &'a Bump, symbols: &Symbols) -> Value<'a> {
    if entries.iter().all(|(k, _)| matches!(k, Value::String(_))) {
        return Value::Object(arena.alloc(object_of(&entries, arena, symbols)));
    }
    let mut entries = entries;
    // Stable, so that of equal keys the last one written is the last one here.
    entries.sort_by(|(a, _), (b, _)| key_order(*a, *b));
    let mut kept: Entries<'a> = ArenaVec::with_capacity_in(entries.len(), arena);
    for entry in entries {
        match kept.last_mut() {
            Some(last) if same_key(last.0, entry.0) => *last = entry,
            _ => kept.push(entry),
        }
    }
    Value::Map(kept.into_bump_slice())
}

/// Makes an object of entries whose keys are all strings; the last of equal keys wins.
pub(crate) fn object_of<'a>(entries: &Entries<'a>, arena: &'a Bump, symbols: &Symbols) -> Object<'a> {
    let entry = |(k, value): &(Value<'a>, Value<'a>)| {
        let key = k.as_str().unwrap_or("");
        Entry { symbol: symbols.lookup(key), key, value: *value }
    };
    let made = arena.alloc_slice_fill_iter(entries.iter().map(entry));
    if let Ok(object) = Object::new(made, arena) {
        return object;
    }
    let order = arena.alloc_slice_fill_iter(0..entries.len());
    order.sort_unstable_by(|a, b| key_order(entries[*a].0, entries[*b].0).then(a.cmp(b)));
    let mut last: ArenaVec<'a, usize> = ArenaVec::with_capacity_in(order.len(), arena);
    for (n, i) in order.iter().enumerate() {
        if order.get(n + 1).is_none_or(|next| !same_key(entries[*i].0, entries[*next].0)) {
            last.push(*i);
        }
    }
    last.sort_unstable();
    let distinct = arena.alloc_slice_fill_iter(last.iter().map(|i| entry(&entries[*i])));
    Object::new(distinct, arena).unwrap_or(Object::EMPTY)
}

/// The first key that stands for the same as an earlier one.
pub(crate) fn repeated_key<'a>(entries: &[(Value<'a>, Value<'a>)], arena: &'a Bump) -> Option<Value<'a>> {
    let order = arena.alloc_slice_fill_iter(0..entries.len());
    order.sort_unstable_by(|a, b| key_order(entries[*a].0, entries[*b].0).then(a.cmp(b)));
    let repeated = order.windows(2).filter(|w| equal(entries[w[0]].0, entries[w[1]].0)).map(|w| w[1]).min()?;
    Some(entries[repeated].0)
}

/// Value of a key in the entries of a [`Value::Map`]: of the key itself, else of an int or else a uint that stands for
/// the same number.
pub(super) fn find<'a>(entries: &[(Value<'a>, Value<'a>)], key: Value<'_>) -> Option<Value<'a>> {
    let start = entries.partition_point(|(k, _)| key_order(*k, key).is_lt());
    let equals = entries[start..].iter().take_while(|(k, _)| equal(*k, key));
    let rank = |k: Value<'_>| match k {
        _ if same_key(k, key) => Some(0),
        Value::Int(_) => Some(1),
        Value::Uint(_) => Some(2),
        // A double as key is found by a double only.
        _ => None,
    };
    equals.filter_map(|(k, v)| rank(*k).map(|r| (r, *v))).min_by_key(|(r, _)| *r).map(|(_, v)| v)
}

/// Whether Go's map has them as one key: equal and of one type.
pub(crate) fn same_key(a: Value<'_>, b: Value<'_>) -> bool {
    std::mem::discriminant(&a) == std::mem::discriminant(&b) && equal(a, b)
}

/// Lists and maps as keys are upstream's pointers: never the same.
fn equal(a: Value<'_>, b: Value<'_>) -> bool {
    class(a) < 3 && a.equals(b)
}

/// An order of keys in which numbers that stand for the same are equal whatever their type.
fn key_order(a: Value<'_>, b: Value<'_>) -> Ordering {
    class(a).cmp(&class(b)).then_with(|| a.compare(b).unwrap_or(Ordering::Equal))
}

fn class(v: Value<'_>) -> u8 {
    match v {
        Value::Bool(_) => 0,
        Value::Int(_) | Value::Uint(_) | Value::Double(_) => 1,
        Value::String(_) => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map<'a>(arena: &'a Bump, entries: &[(Value<'a>, i64)]) -> Value<'a> {
        let entries = ArenaVec::from_iter_in(entries.iter().map(|(k, v)| (*k, Value::Int(*v))), arena);
        map_of(entries, arena, &Symbols::new())
    }

    #[test]
    fn a_number_finds_the_key_of_another_type() {
        let arena = Bump::new();
        let m = map(&arena, &[(Value::Int(2), 20), (Value::Bool(true), 0), (Value::Uint(1), 10), (Value::Int(1), 11)]);
        let at = |key| m.lookup(key).and_then(Value::as_int);
        assert_eq!([at(Value::Int(1)), at(Value::Uint(1)), at(Value::Double(2.0))], [Some(11), Some(10), Some(20)]);
        assert_eq!([at(Value::Int(3)), at(Value::String("1")), at(Value::Bool(false))], [None, None, None]);
    }

    #[test]
    fn the_last_of_equal_keys_wins() {
        let arena = Bump::new();
        let strings = map(&arena, &[(Value::String("a"), 1), (Value::String("b"), 2), (Value::String("a"), 3)]);
        assert_eq!(strings.get("a").and_then(Value::as_int), Some(3));
        assert_eq!(strings.map_len(), Some(2));
        let numbers = map(&arena, &[(Value::Int(1), 1), (Value::Int(1), 2)]);
        assert_eq!(numbers.lookup(Value::Int(1)).and_then(Value::as_int), Some(2));
        assert_eq!(numbers.map_len(), Some(1));
    }
}
