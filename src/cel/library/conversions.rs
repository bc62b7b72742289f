//! Conversions between the language's own types: `int()`, `string()`, `timestamp()` and so on.

use crate::error::ErrorKind;
use crate::functions::Scope;
use crate::render::{GoDouble, Rfc3339, Seconds};
use crate::time;
use crate::value::Value;

type Answer<'a> = Result<Value<'a>, ErrorKind<'a>>;

/// Two to the power of 63 and 64 as doubles: the first that do not fit.
const TWO_63: f64 = 9_223_372_036_854_775_808.0;
const TWO_64: f64 = 18_446_744_073_709_551_616.0;

pub(super) fn identity<'a>(_: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    match args {
        [v] => Ok(*v),
        _ => Err(ErrorKind::NoSuchOverload),
    }
}

pub(super) fn to_bool<'a>(_: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    match args {
        [v @ Value::Bool(_)] => Ok(*v),
        [Value::String(s)] => match *s {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(Value::Bool(false)),
            _ => Err(ErrorKind::Function("type conversion error from 'string' to 'bool'")),
        },
        _ => Err(ErrorKind::NoSuchOverload),
    }
}

pub(super) fn to_bytes<'a>(_: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    match args {
        [v @ Value::Bytes(_)] => Ok(*v),
        [Value::String(s)] => Ok(Value::Bytes(s.as_bytes())),
        _ => Err(ErrorKind::NoSuchOverload),
    }
}

pub(super) fn to_double<'a>(_: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    match args {
        [v @ Value::Double(_)] => Ok(*v),
        [Value::Int(i)] => Ok(Value::Double(*i as f64)),
        [Value::Uint(u)] => Ok(Value::Double(*u as f64)),
        [Value::String(s)] => parse_double(s)
            .map(Value::Double)
            .ok_or(ErrorKind::Function("type conversion error from 'string' to 'double'")),
        _ => Err(ErrorKind::NoSuchOverload),
    }
}

/// As Go's `strconv.ParseFloat`: digits may be separated by underscores; what is too large for a double is an error.
fn parse_double(text: &str) -> Option<f64> {
    if let Some(found) = text.find('_') {
        let bytes = text.as_bytes();
        let digit = |i: Option<usize>| i.and_then(|i| bytes.get(i)).is_some_and(u8::is_ascii_digit);
        let separates = |i: usize| digit(i.checked_sub(1)) && digit(Some(i + 1));
        if !(found..bytes.len()).filter(|i| bytes[*i] == b'_').all(separates) {
            return None;
        }
        return parse_double(&text.replace('_', ""));
    }
    let d: f64 = text.parse().ok()?;
    // Rust reads 1e400 as infinity; Go calls it out of range.
    if d.is_infinite() && text.bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(d)
}

pub(super) fn to_duration<'a>(_: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    match args {
        [v @ Value::Duration(_)] => Ok(*v),
        [Value::Int(_)] => Err(ErrorKind::Function("type conversion error from 'int' to 'google.protobuf.Duration'")),
        [Value::String(s)] => time::parse_duration(s)
            .map(Value::Duration)
            .ok_or(ErrorKind::Function("type conversion error from 'string' to 'google.protobuf.Duration'")),
        _ => Err(ErrorKind::NoSuchOverload),
    }
}

pub(super) fn to_int<'a>(_: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    match args {
        [v @ Value::Int(_)] => Ok(*v),
        [Value::Uint(u)] => i64::try_from(*u).map(Value::Int).map_err(|_| ErrorKind::Overflow("integer")),
        // Upstream refuses both ends of the range, since a double cannot tell them from what is beyond.
        [Value::Double(d)] if d.is_finite() && *d > -TWO_63 && *d < TWO_63 => Ok(Value::Int(*d as i64)),
        [Value::Double(_)] => Err(ErrorKind::Overflow("integer")),
        [Value::Duration(d)] => Ok(Value::Int(*d)),
        [Value::Timestamp(t)] => Ok(Value::Int(t.seconds)),
        [Value::String(s)] => {
            s.parse().map(Value::Int).map_err(|_| ErrorKind::Function("type conversion error from 'string' to 'int'"))
        }
        _ => Err(ErrorKind::NoSuchOverload),
    }
}

pub(super) fn to_uint<'a>(_: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    match args {
        [v @ Value::Uint(_)] => Ok(*v),
        [Value::Int(i)] => u64::try_from(*i).map(Value::Uint).map_err(|_| ErrorKind::Overflow("unsigned integer")),
        [Value::Double(d)] if *d >= 0.0 && *d < TWO_64 => Ok(Value::Uint(*d as u64)),
        [Value::Double(_)] => Err(ErrorKind::Overflow("unsigned integer")),
        [Value::String(s)] if !s.starts_with('+') => {
            s.parse().map(Value::Uint).map_err(|_| ErrorKind::Function("type conversion error from 'string' to 'uint'"))
        }
        [Value::String(_)] => Err(ErrorKind::Function("type conversion error from 'string' to 'uint'")),
        _ => Err(ErrorKind::NoSuchOverload),
    }
}

pub(super) fn to_string<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let arena = scope.arena;
    let text = match args {
        [v @ Value::String(_)] => return Ok(*v),
        [Value::Bytes(b)] => {
            return std::str::from_utf8(b)
                .map(Value::String)
                .map_err(|_| ErrorKind::Function("invalid UTF-8 in bytes, cannot convert to string"));
        }
        [Value::Bool(b)] => return Ok(Value::String(if *b { "true" } else { "false" })),
        [Value::Int(i)] => bumpalo::format!(in arena, "{}", i),
        [Value::Uint(u)] => bumpalo::format!(in arena, "{}", u),
        [Value::Double(d)] => bumpalo::format!(in arena, "{}", GoDouble(*d)),
        [Value::Duration(d)] => bumpalo::format!(in arena, "{}", Seconds(*d)),
        [Value::Timestamp(t)] => bumpalo::format!(in arena, "{}", Rfc3339(*t)),
        _ => return Err(ErrorKind::NoSuchOverload),
    };
    Ok(Value::String(text.into_bump_str()))
}

pub(super) fn to_timestamp<'a>(_: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    match args {
        [v @ Value::Timestamp(_)] => Ok(*v),
        [Value::Int(i)] => time::timestamp(*i, 0, 0).map(Value::Timestamp),
        [Value::String(s)] => {
            let (seconds, nanos, offset) = time::parse_rfc3339(s)
                .ok_or(ErrorKind::Function("type conversion error from 'string' to 'google.protobuf.Timestamp'"))?;
            time::timestamp(seconds, nanos, offset).map(Value::Timestamp)
        }
        _ => Err(ErrorKind::NoSuchOverload),
    }
}
