//! Code and cost of the language's own functions. Operators are evaluated by the evaluator itself.

use memchr::memmem;

use crate::error::ErrorKind;
use crate::functions::{Call, CostFn, Function, NativeFn, Scope, constant_cost};
use crate::library::conversions;
use crate::library::declarations::standard_functions;
use crate::library::re2;
use crate::time;
use crate::value::Value;

type Answer<'a> = Result<Value<'a>, ErrorKind<'a>>;

/// The standard library: every operator and function that cel-spec defines.
pub fn functions() -> Vec<Function> {
    standard_functions()
        .into_iter()
        .map(|(name, overloads)| Function { name, overloads, call: code(name), cost: standard_cost(name) })
        .collect()
}

fn code(name: &str) -> Call {
    let native: NativeFn = match name {
        "size" => size,
        "type" => type_of,
        "dyn" => conversions::identity,
        "bool" => conversions::to_bool,
        "bytes" => conversions::to_bytes,
        "double" => conversions::to_double,
        "duration" => conversions::to_duration,
        "int" => conversions::to_int,
        "string" => conversions::to_string,
        "timestamp" => conversions::to_timestamp,
        "uint" => conversions::to_uint,
        "contains" => |_, args| strings(args, contains),
        "startsWith" => |_, args| strings(args, |s, t| s.starts_with(t)),
        "endsWith" => |_, args| strings(args, |s, t| s.ends_with(t)),
        "matches" => return Call::Pattern(matches, matches_compiled),
        "getFullYear" => |scope, args| field(scope, args, |c| c.year),
        "getMonth" => |scope, args| field(scope, args, |c| c.month - 1),
        "getDayOfYear" => |scope, args| field(scope, args, |c| c.day_of_year),
        "getDayOfMonth" => |scope, args| field(scope, args, |c| c.day - 1),
        "getDate" => |scope, args| field(scope, args, |c| c.day),
        "getDayOfWeek" => |scope, args| field(scope, args, |c| c.weekday),
        "getHours" => |scope, args| clock(scope, args, 3_600_000_000_000, |c| c.hour),
        "getMinutes" => |scope, args| clock(scope, args, 60_000_000_000, |c| c.minute),
        "getSeconds" => |scope, args| clock(scope, args, 1_000_000_000, |c| c.second),
        "getMilliseconds" => milliseconds,
        _ => return Call::Operator,
    };
    Call::Native(native)
}

fn standard_cost(name: &str) -> CostFn {
    match name {
        "startsWith" | "endsWith" | "bytes" | "string" => walk_cost as CostFn,
        "contains" => contains_cost as CostFn,
        "matches" => matches_cost as CostFn,
        _ => constant_cost as CostFn,
    }
}

fn walk_cost(overload: &str, args: &[Value<'_>], _: &Value<'_>) -> u64 {
    match (overload, args) {
        ("starts_with_string" | "ends_with_string" | "string_to_bytes" | "bytes_to_string", [s, ..]) => {
            traversal(s.cost_size())
        }
        _ => 1,
    }
}

fn contains_cost(_: &str, args: &[Value<'_>], _: &Value<'_>) -> u64 {
    match args {
        [s, t] => traversal(s.cost_size()).saturating_mul(traversal(t.cost_size())),
        _ => 1,
    }
}

fn matches_cost(overload: &str, args: &[Value<'_>], _: &Value<'_>) -> u64 {
    match (overload, args) {
        ("matches_string", [s, p]) => traversal(s.cost_size() + 1).saturating_mul(pattern(p.cost_size())),
        _ => 1,
    }
}

/// Cost of walking a string of so many code points (cel-go `StringTraversalCostFactor` 0.1).
pub(crate) fn traversal(size: u64) -> u64 {
    // The same as upstream's `ceil(size * 0.1)` for every size that fits in memory, without a call to round.
    size.div_ceil(10)
}

/// Cost of a regular expression of so many code points (cel-go `RegexStringLengthCostFactor` 0.25).
fn pattern(size: u64) -> u64 {
    (size as f64 * 0.25).ceil() as u64
}

/// Substring search. Fields of objects are short: there, setting up a searcher costs more than it saves.
fn contains(text: &str, part: &str) -> bool {
    let (text, part) = (text.as_bytes(), part.as_bytes());
    match part.first() {
        None => true,
        Some(first) if text.len() <= 256 => memchr::memchr_iter(*first, text).any(|at| text[at..].starts_with(part)),
        Some(_) => memmem::find(text, part).is_some(),
    }
}

fn size<'a>(_: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    match args {
        [v @ (Value::String(_) | Value::Bytes(_) | Value::List(_) | Value::Object(_) | Value::Map(_))] => {
            Ok(Value::Int(v.cost_size() as i64))
        }
        _ => Err(ErrorKind::NoSuchOverload),
    }
}

fn type_of<'a>(_: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    match args {
        [v] => Ok(Value::Type(v.type_name())),
        _ => Err(ErrorKind::NoSuchOverload),
    }
}

fn strings<'a>(args: &[Value<'a>], test: impl Fn(&str, &str) -> bool) -> Answer<'a> {
    match args {
        [Value::String(s), Value::String(t)] => Ok(Value::Bool(test(s, t))),
        _ => Err(ErrorKind::Function("no such overload")),
    }
}

fn matches<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    match args {
        [Value::String(_), Value::String(text)] => {
            let regex = re2::compile(text).map_err(|e| ErrorKind::Function(scope.arena.alloc_str(&e)))?;
            matches_compiled(&regex, scope, args)
        }
        [Value::String(_), _] => Err(ErrorKind::Function("no such overload")),
        _ => Err(ErrorKind::NoSuchOverload),
    }
}

fn matches_compiled<'a>(regex: &regex::Regex, _: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    match args {
        [Value::String(s), _] => Ok(Value::Bool(regex.is_match(s))),
        _ => Err(ErrorKind::Function("no such overload")),
    }
}

/// A field of a timestamp, in UTC or in the zone that argument 1 names.
fn field<'a>(scope: &Scope<'a>, args: &[Value<'a>], get: impl Fn(&time::Civil) -> i64) -> Answer<'a> {
    let (t, zone) = match args {
        [Value::Timestamp(t)] => (*t, "UTC"),
        [Value::Timestamp(t), Value::String(zone)] => (*t, *zone),
        _ => return Err(ErrorKind::NoSuchOverload),
    };
    let explain =
        |text: std::fmt::Arguments<'_>| -> &'a str { bumpalo::format!(in scope.arena, "{}", text).into_bump_str() };
    Ok(Value::Int(get(&time::civil(t, zone, explain)?)))
}

/// A field of a timestamp, or a whole duration in that unit.
fn clock<'a>(scope: &Scope<'a>, args: &[Value<'a>], unit: i64, get: impl Fn(&time::Civil) -> i64) -> Answer<'a> {
    match args {
        [Value::Duration(d)] => Ok(Value::Int(d / unit)),
        _ => field(scope, args, get),
    }
}

fn milliseconds<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    match args {
        [Value::Duration(d)] => Ok(Value::Int(d / 1_000_000)),
        [Value::Timestamp(t), ..] => {
            // The zone must be valid even though it cannot change the answer.
            field(scope, args, |_| 0)?;
            Ok(Value::Int(i64::from(t.nanos / 1_000_000)))
        }
        _ => Err(ErrorKind::NoSuchOverload),
    }
}
