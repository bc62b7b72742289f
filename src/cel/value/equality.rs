//! Equality, ordering and lookup across types, as cel-go's `types.Equal` and `Compare` define them.

use std::cmp::Ordering;

use crate::error::ErrorKind;
use crate::value::{Object, Value};

impl<'a> Value<'a> {
    /// Whether two values are equal. Values of different types are unequal, but numbers are compared by what they
    /// stand for (`1 == 1u == 1.0`); NaN equals nothing.
    pub fn equals(self, other: Value<'_>) -> bool {
        match (self, other) {
            (Value::String(a), Value::String(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Null, Value::Null) | (Value::Optional(None), Value::Optional(None)) => true,
            (Value::Bytes(a), Value::Bytes(b)) => a == b,
            (Value::Duration(a), Value::Duration(b)) => a == b,
            (Value::Timestamp(a), Value::Timestamp(b)) => a == b,
            (Value::Type(a), Value::Type(b)) => a == b,
            (Value::Optional(Some(a)), Value::Optional(Some(b))) => a.equals(*b),
            (Value::Opaque(a), Value::Opaque(b)) => a.equals(b),
            (Value::List(a), Value::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.does_not_differ(*b))
            }
            (Value::Object(a), Value::Object(b)) => objects_equal(a, b),
            (Value::Struct(a), Value::Struct(b)) => a.type_name == b.type_name && objects_equal(&a.fields, &b.fields),
            (Value::Object(_) | Value::Map(_), Value::Object(_) | Value::Map(_)) => maps_equal(self, other),
            _ => compare_numbers(self, other) == Some(Ordering::Equal),
        }
    }

    /// What `==` answers; `None` where upstream answers `no such overload` (see [`crate::opaque::Opaque::strictly_equals`]).
    pub fn strictly_equals(self, other: Value<'_>) -> Option<bool> {
        match (self, other) {
            (Value::Opaque(a), _) => a.strictly_equals(other),
            (Value::Optional(Some(a)), Value::Optional(Some(b))) => a.strictly_equals(*b),
            _ => Some(self.equals(other)),
        }
    }

    /// Whether two elements do not make the lists or maps unequal that they are in: upstream stops only at those that
    /// are unequal, not at those that cannot be compared.
    fn does_not_differ(self, other: Value<'_>) -> bool {
        self.strictly_equals(other) != Some(false)
    }

    /// Order of two values of one type, or of two numbers.
    ///
    /// # Errors
    /// No such overload between values that have no order; NaN.
    pub fn compare(self, other: Value<'_>) -> Result<Ordering, ErrorKind<'static>> {
        match (self, other) {
            (Value::String(a), Value::String(b)) => Ok(a.cmp(b)),
            (Value::Int(a), Value::Int(b)) => Ok(a.cmp(&b)),
            (Value::Bool(a), Value::Bool(b)) => Ok(a.cmp(&b)),
            (Value::Bytes(a), Value::Bytes(b)) => Ok(a.cmp(b)),
            (Value::Duration(a), Value::Duration(b)) => Ok(a.cmp(&b)),
            (Value::Timestamp(a), Value::Timestamp(b)) => Ok(a.cmp(&b)),
            (Value::Int(_) | Value::Uint(_) | Value::Double(_), Value::Int(_) | Value::Uint(_) | Value::Double(_)) => {
                compare_numbers(self, other).ok_or(ErrorKind::Function("NaN values cannot be ordered"))
            }
            (Value::Double(d), _) if d.is_nan() => Err(ErrorKind::Function("NaN values cannot be ordered")),
            _ => Err(ErrorKind::NoSuchOverload),
        }
    }

    /// Value of a key in a map. A number finds the key that stands for the same number, whatever its type. `None` when
    /// there is no such key or this is not a map.
    pub fn lookup(self, key: Value<'_>) -> Option<Value<'a>> {
        match self {
            Value::Object(o) => o.get(key.as_str()?),
            Value::Map(entries) => super::maps::find(entries, key),
            _ => None,
        }
    }

    /// Number of entries of a map.
    pub fn map_len(self) -> Option<usize> {
        match self {
            Value::Object(o) => Some(o.len()),
            Value::Map(entries) => Some(entries.len()),
            _ => None,
        }
    }

    /// Entry of a map by position, in document order.
    pub fn map_entry(self, at: usize) -> Option<(Value<'a>, Value<'a>)> {
        match self {
            Value::Object(o) => o.entries().get(at).map(|e| (Value::String(e.key), e.value)),
            Value::Map(entries) => entries.get(at).copied(),
            _ => None,
        }
    }

    /// Name of its type as `type(x)` gives it.
    pub fn type_name(self) -> &'a str {
        match self {
            Value::Null => "null_type",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Uint(_) => "uint",
            Value::Double(_) => "double",
            Value::String(_) => "string",
            Value::Bytes(_) => "bytes",
            Value::Duration(_) => "google.protobuf.Duration",
            Value::Timestamp(_) => "google.protobuf.Timestamp",
            Value::List(_) => "list",
            Value::Object(_) | Value::Map(_) => "map",
            Value::Struct(s) => s.type_name,
            Value::Optional(_) => "optional_type",
            Value::Type(_) => "type",
            Value::Opaque(o) => o.type_name(),
        }
    }

    /// Whether it is the zero value of its type, as `optional.ofNonZeroValue` asks.
    pub fn is_zero(self) -> bool {
        match self {
            Value::Null => true,
            Value::Bool(b) => !b,
            Value::Int(i) | Value::Duration(i) => i == 0,
            Value::Uint(u) => u == 0,
            Value::Double(d) => d == 0.0,
            Value::String(s) => s.is_empty(),
            Value::Bytes(b) => b.is_empty(),
            Value::Timestamp(t) => t.seconds == -62_135_596_800 && t.nanos == 0,
            Value::List(l) => l.is_empty(),
            Value::Object(o) => o.is_empty(),
            Value::Map(m) => m.is_empty(),
            Value::Struct(s) => s.fields.is_empty(),
            Value::Optional(_) | Value::Type(_) | Value::Opaque(_) => false,
        }
    }

    /// Size by which upstream's cost tracker charges: code points of a string, bytes, elements or entries; 1 for
    /// everything without a size.
    #[inline]
    pub fn cost_size(self) -> u64 {
        match self {
            // Counting is dear, and most text is ASCII.
            Value::String(s) if s.is_ascii() => s.len() as u64,
            Value::String(s) => s.chars().count() as u64,
            Value::Bytes(b) => b.len() as u64,
            Value::List(l) => l.len() as u64,
            Value::Object(o) => o.len() as u64,
            Value::Map(m) => m.len() as u64,
            Value::Optional(Some(v)) => v.cost_size(),
            Value::Opaque(o) => o.cost_size(),
            _ => 1,
        }
    }
}

fn objects_equal(a: &Object<'_>, b: &Object<'_>) -> bool {
    a.len() == b.len() && a.entries().iter().all(|e| b.get(e.key).is_some_and(|v| e.value.does_not_differ(v)))
}

fn maps_equal(a: Value<'_>, b: Value<'_>) -> bool {
    let Some(len) = a.map_len() else { return false };
    if b.map_len() != Some(len) {
        return false;
    }
    (0..len).all(|i| a.map_entry(i).is_some_and(|(k, v)| b.lookup(k).is_some_and(|other| v.does_not_differ(other))))
}

/// Order of two numbers of any types; `None` for NaN and for what is not a number.
fn compare_numbers(a: Value<'_>, b: Value<'_>) -> Option<Ordering> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(&b)),
        (Value::Uint(a), Value::Uint(b)) => Some(a.cmp(&b)),
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(&b),
        (Value::Int(a), Value::Uint(b)) => Some(i128::from(a).cmp(&i128::from(b))),
        (Value::Uint(a), Value::Int(b)) => Some(i128::from(a).cmp(&i128::from(b))),
        (Value::Double(a), Value::Int(b)) => double_to_int(a, b),
        (Value::Int(a), Value::Double(b)) => double_to_int(b, a).map(Ordering::reverse),
        (Value::Double(a), Value::Uint(b)) => double_to_uint(a, b),
        (Value::Uint(a), Value::Double(b)) => double_to_uint(b, a).map(Ordering::reverse),
        _ => None,
    }
}

/// Upstream rounds the integer to a double once the double is in the integer's range, and so do we.
fn double_to_int(d: f64, i: i64) -> Option<Ordering> {
    if d < i64::MIN as f64 {
        return Some(Ordering::Less);
    }
    if d > i64::MAX as f64 {
        return Some(Ordering::Greater);
    }
    d.partial_cmp(&(i as f64))
}

fn double_to_uint(d: f64, u: u64) -> Option<Ordering> {
    if d < 0.0 {
        return Some(Ordering::Less);
    }
    if d > u64::MAX as f64 {
        return Some(Ordering::Greater);
    }
    d.partial_cmp(&(u as f64))
}
