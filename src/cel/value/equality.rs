//! Equality, ordering and lookup across types, as cel-go's `types.Equal` and `Compare` define them.

use std::cmp::Ordering;
use std::collections::HashSet;

use rustc_hash::FxBuildHasher;

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
            (
                Value::List(_) | Value::Object(_) | Value::Struct(_) | Value::Map(_),
                Value::List(_) | Value::Object(_) | Value::Struct(_) | Value::Map(_),
            ) => Pairs::default().equal(self, other),
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

/// Pairs of lists and maps in one comparison. Values share structure: `[v, v]` of `[u, u]` of … is as many
/// comparisons as two to the power of its depth. So once there were many, each pair is compared once. That a pair was
/// compared says that it is equal, because the first one that is not ends the whole.
#[derive(Default)]
struct Pairs {
    compared: usize,
    known: HashSet<(Place, Place), FxBuildHasher>,
}

/// Where a list or map is, and what: two at one place are one. A part of a list begins where the list does.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Place(std::mem::Discriminant<Value<'static>>, *const u8, usize);

/// Pairs that are compared without being remembered: more than most documents have.
const UNREMEMBERED_PAIRS: usize = 10_000;

/// Most pairs that are remembered, about 64 MiB. An evaluation within its cost limit makes fewer lists and maps.
const MAX_REMEMBERED_PAIRS: usize = 1 << 20;

impl Pairs {
    fn equal(&mut self, a: Value<'_>, b: Value<'_>) -> bool {
        self.compared += 1;
        if self.compared > UNREMEMBERED_PAIRS
            && let (Some(a), Some(b)) = (place(a), place(b))
            && (self.known.contains(&(a, b)) || self.known.len() < MAX_REMEMBERED_PAIRS && !self.known.insert((a, b)))
        {
            return true;
        }
        match (a, b) {
            (Value::List(a), Value::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| self.does_not_differ(*a, *b))
            }
            (Value::Object(a), Value::Object(b)) => self.objects_equal(a, b),
            (Value::Struct(a), Value::Struct(b)) => {
                a.type_name == b.type_name && self.objects_equal(&a.fields, &b.fields)
            }
            (Value::Object(_) | Value::Map(_), Value::Object(_) | Value::Map(_)) => self.maps_equal(a, b),
            _ => false,
        }
    }

    /// Whether two elements do not make the lists or maps unequal that they are in: upstream stops only at those that
    /// are unequal, not at those that cannot be compared.
    fn does_not_differ(&mut self, a: Value<'_>, b: Value<'_>) -> bool {
        match (place(a), place(b)) {
            (Some(_), Some(_)) => self.equal(a, b),
            _ => a.strictly_equals(b) != Some(false),
        }
    }

    fn objects_equal(&mut self, a: &Object<'_>, b: &Object<'_>) -> bool {
        a.len() == b.len() && a.entries().iter().all(|e| b.get(e.key).is_some_and(|v| self.does_not_differ(e.value, v)))
    }

    fn maps_equal(&mut self, a: Value<'_>, b: Value<'_>) -> bool {
        let Some(len) = a.map_len() else { return false };
        if b.map_len() != Some(len) {
            return false;
        }
        let other = |at: usize| a.map_entry(at).and_then(|(k, v)| Some((v, b.lookup(k)?)));
        (0..len).all(|at| other(at).is_some_and(|(v, other)| self.does_not_differ(v, other)))
    }
}

fn place(value: Value<'_>) -> Option<Place> {
    // Of the same kind, without its lifetime.
    let (kind, at, length) = match value {
        Value::List(l) => (Value::List(&[]), l.as_ptr().cast(), l.len()),
        Value::Object(o) => (Value::Object(&Object::EMPTY), std::ptr::from_ref(o).cast(), o.len()),
        Value::Struct(s) => (Value::Null, std::ptr::from_ref(s).cast(), s.fields.len()),
        Value::Map(m) => (Value::Map(&[]), m.as_ptr().cast(), m.len()),
        _ => return None,
    };
    Some(Place(std::mem::discriminant(&kind), at, length))
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
