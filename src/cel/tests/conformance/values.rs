//! Values as the suites write them: `{"int": "1"}`, `{"list": […]}`.

use bumpalo::Bump;
use serde_json::Value as Json;
use stockade_cel::value::{Value, map_of};
use stockade_cel::{Symbols, Type};

/// Builds a value.
pub(crate) fn value<'a>(json: &Json, arena: &'a Bump) -> Value<'a> {
    let (tag, v) = json.as_object().and_then(|o| o.iter().next()).expect("a tagged value");
    let text = || v.as_str().unwrap_or_default();
    match tag.as_str() {
        "null" => Value::Null,
        "bool" => Value::Bool(v.as_bool().unwrap_or_default()),
        "int" => Value::Int(text().parse().expect("an int")),
        "uint" => Value::Uint(text().parse().expect("a uint")),
        "double" => Value::Double(v.as_f64().unwrap_or_else(|| text().to_lowercase().parse().expect("a double"))),
        "string" => Value::String(arena.alloc_str(text())),
        "bytes_b64" => Value::Bytes(arena.alloc_slice_copy(&base64(text()))),
        "type" => Value::Type(arena.alloc_str(text())),
        "list" => {
            let items: Vec<_> = v.as_array().into_iter().flatten().map(|i| value(i, arena)).collect();
            Value::List(arena.alloc_slice_copy(&items))
        }
        "map" => map(v, arena),
        other => panic!("unknown tag {other}"),
    }
}

fn map<'a>(pairs: &Json, arena: &'a Bump) -> Value<'a> {
    let pairs = pairs.as_array().into_iter().flatten().map(|p| (value(&p[0], arena), value(&p[1], arena)));
    map_of(bumpalo::collections::Vec::from_iter_in(pairs, arena), arena, &Symbols::new())
}

fn base64(text: &str) -> Vec<u8> {
    let digit = |b: u8| match b {
        b'A'..=b'Z' => b - b'A',
        b'a'..=b'z' => b - b'a' + 26,
        b'0'..=b'9' => b - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.bytes().filter(|b| *b != b'=').map(digit).collect();
    let mut out = Vec::new();
    for chunk in digits.chunks(4) {
        let bits = chunk.iter().fold(0u32, |n, d| n << 6 | u32::from(*d)) << (6 * (4 - chunk.len()));
        out.extend((0..chunk.len().saturating_sub(1)).map(|i| (bits >> (16 - 8 * i)) as u8));
    }
    out
}

/// Whether two values are the same in type and content, which is stricter than `==`.
pub(crate) fn same(a: Value<'_>, b: Value<'_>) -> bool {
    match (a, b) {
        (Value::Double(x), Value::Double(y)) => x.total_cmp(&y).is_eq() || x == y,
        (Value::List(x), Value::List(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(*x, *y)),
        (Value::Object(_) | Value::Map(_), Value::Object(_) | Value::Map(_)) => {
            let len = a.map_len().unwrap_or_default();
            b.map_len() == Some(len)
                && (0..len)
                    .filter_map(|i| a.map_entry(i))
                    .all(|(k, v)| (0..len).filter_map(|i| b.map_entry(i)).any(|(l, w)| same(k, l) && same(v, w)))
        }
        _ => a.type_name() == b.type_name() && a.equals(b),
    }
}

/// Reads a type as the suites write it.
pub(crate) fn ty(text: &str) -> Type {
    let arguments = |t: &str| t.split_once(", ").map(|(k, v)| (ty(k), ty(v)));
    match text {
        "null_type" => Type::Null,
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "timestamp" | "google.protobuf.Timestamp" => Type::Timestamp,
        "duration" | "google.protobuf.Duration" => Type::Duration,
        other => match other.strip_suffix(')').and_then(|t| t.split_once('(')) {
            Some(("list", element)) => Type::list(ty(element)),
            Some(("map", inner)) => arguments(inner).map_or(Type::Dyn, |(k, v)| Type::map(k, v)),
            _ => Type::Dyn,
        },
    }
}
