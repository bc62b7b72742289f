//! JSON bytes to a borrowed document in an arena: decoded once per request, strings borrowed from the input.

use std::fmt;

use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use crate::limits::MAX_DOCUMENT_DEPTH;
use crate::symbols::Symbols;
use crate::value::{Entry, Object, Value};

/// Decodes one JSON document.
///
/// Numbers without fraction or exponent become [`Value::Int`] when they fit, as the API server's decoder makes them;
/// others [`Value::Double`].
///
/// # Errors
/// Malformed or truncated JSON, trailing text, invalid UTF-8, a key that occurs twice in one object, nesting deeper
/// than [`MAX_DOCUMENT_DEPTH`]; with line and column.
pub fn decode<'a>(bytes: &'a [u8], arena: &'a Bump, symbols: &Symbols) -> Result<Value<'a>, serde_json::Error> {
    let mut de = serde_json::Deserializer::from_slice(bytes);
    // Our own bound is stated in the error and is the tighter one; serde_json's fixed 128 is below what upstream accepts.
    de.disable_recursion_limit();
    let value = Node { arena, symbols, depth: 0 }.deserialize(&mut de)?;
    de.end()?;
    Ok(value)
}

/// Copies a `serde_json` value into the arena: for command-line and test input, not the request path.
///
/// # Errors
/// Nesting deeper than [`MAX_DOCUMENT_DEPTH`].
pub fn from_json<'a>(
    json: &serde_json::Value,
    arena: &'a Bump,
    symbols: &Symbols,
) -> Result<Value<'a>, serde_json::Error> {
    let text = arena.alloc_slice_copy(&serde_json::to_vec(json)?);
    decode(text, arena, symbols)
}

#[derive(Clone, Copy)]
struct Node<'a, 's> {
    arena: &'a Bump,
    symbols: &'s Symbols,
    depth: usize,
}

struct Key<'a> {
    arena: &'a Bump,
}

impl<'de: 'a, 'a> DeserializeSeed<'de> for Node<'a, '_> {
    type Value = Value<'a>;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, de: D) -> Result<Value<'a>, D::Error> {
        de.deserialize_any(self)
    }
}

impl<'a> Node<'a, '_> {
    fn child<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DOCUMENT_DEPTH {
            return Err(E::custom(format_args!("nested deeper than {MAX_DOCUMENT_DEPTH} levels")));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de: 'a, 'a> Visitor<'de> for Node<'a, '_> {
    type Value = Value<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value<'a>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value<'a>, E> {
        Ok(Value::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value<'a>, E> {
        Ok(Value::Int(v))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value<'a>, E> {
        Ok(i64::try_from(v).map_or(Value::Double(v as f64), Value::Int))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Value<'a>, E> {
        Ok(Value::Double(v))
    }

    fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Value<'a>, E> {
        Ok(Value::String(v))
    }

    fn visit_str<E>(self, v: &str) -> Result<Value<'a>, E> {
        Ok(Value::String(self.arena.alloc_str(v)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value<'a>, A::Error> {
        let child = self.child()?;
        let mut items = ArenaVec::with_capacity_in(4, self.arena);
        while let Some(item) = seq.next_element_seed(child)? {
            items.push(item);
        }
        Ok(Value::List(items.into_bump_slice()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'a>, A::Error> {
        let child = self.child()?;
        let mut entries = ArenaVec::with_capacity_in(8, self.arena);
        while let Some(key) = map.next_key_seed(Key { arena: self.arena })? {
            let value = map.next_value_seed(child)?;
            entries.push(Entry { symbol: self.symbols.lookup(key), key, value });
        }
        let object = Object::new(entries.into_bump_slice(), self.arena)
            .map_err(|key| A::Error::custom(format_args!("key {key:?} occurs twice in one object")))?;
        Ok(Value::Object(self.arena.alloc(object)))
    }
}

impl<'de: 'a, 'a> DeserializeSeed<'de> for Key<'a> {
    type Value = &'a str;

    fn deserialize<D: Deserializer<'de>>(self, de: D) -> Result<&'a str, D::Error> {
        de.deserialize_str(self)
    }
}

impl<'de: 'a, 'a> Visitor<'de> for Key<'a> {
    type Value = &'a str;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object key")
    }

    fn visit_borrowed_str<E>(self, v: &'de str) -> Result<&'a str, E> {
        Ok(v)
    }

    fn visit_str<E>(self, v: &str) -> Result<&'a str, E> {
        Ok(self.arena.alloc_str(v))
    }
}

impl Serialize for Value<'_> {
    /// As JSON; values that JSON has no form for become what the API server makes of them when it converts a CEL
    /// value: bytes base64, durations and timestamps as strings, a struct as object, none as null.
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match *self {
            Value::Null | Value::Optional(None) => s.serialize_unit(),
            Value::Bool(b) => s.serialize_bool(b),
            Value::Int(i) => s.serialize_i64(i),
            Value::Uint(u) => s.serialize_u64(u),
            Value::Double(d) => s.serialize_f64(d),
            Value::String(v) | Value::Type(v) => s.serialize_str(v),
            Value::Optional(Some(v)) => v.serialize(s),
            Value::List(l) => {
                let mut seq = s.serialize_seq(Some(l.len()))?;
                for v in l {
                    seq.serialize_element(v)?;
                }
                seq.end()
            }
            Value::Object(o) => o.serialize(s),
            Value::Struct(v) => v.fields.serialize(s),
            Value::Map(entries) => {
                let mut map = s.serialize_map(Some(entries.len()))?;
                for (k, v) in entries {
                    map.serialize_entry(k, v)?;
                }
                map.end()
            }
            Value::Bytes(_) | Value::Duration(_) | Value::Timestamp(_) | Value::Opaque(_) => {
                s.collect_str(&crate::render::Text(*self))
            }
        }
    }
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(self.len()))?;
        for e in self.entries() {
            map.serialize_entry(e.key, &e.value)?;
        }
        map.end()
    }
}
