//! Signatures of the language's own operators and functions (cel-spec "List of standard definitions", overload ids as
//! cel-go's `common/overloads` names them). The code and the cost of each stand elsewhere; the checker needs only this.

use crate::functions::Overload;
use crate::types::Type;

/// A function's name and its overloads: id and signature, written as the checker's messages write them.
type Declaration = (&'static str, &'static [(&'static str, &'static str)]);

/// Every function of the standard library with its overloads, in declaration order.
pub fn standard_functions() -> Vec<(&'static str, Vec<Overload>)> {
    STANDARD.iter().map(|(name, overloads)| (*name, build(overloads))).collect()
}

/// Overloads of one standard function; empty when there is no such function.
pub fn standard_overloads(name: &str) -> Vec<Overload> {
    STANDARD.iter().find(|(n, _)| *n == name).map(|(_, overloads)| build(overloads)).unwrap_or_default()
}

fn build(overloads: &[(&'static str, &'static str)]) -> Vec<Overload> {
    overloads.iter().filter_map(|(id, text)| signature(id, text)).collect()
}

/// Reads `(int, list(A)) -> bool` or, for a member function, `string.(int) -> string`. `None` when the text is not
/// a signature; a test holds the tables to that.
pub fn signature(id: &'static str, text: &str) -> Option<Overload> {
    let (left, result) = text.split_once(" -> ")?;
    let open = if left.starts_with('(') { 0 } else { left.find(".(")? + 1 };
    let mut params = Vec::new();
    if open > 0 {
        params.push(parse_type(&left[..open - 1])?);
    }
    for part in split_top_level(left[open..].strip_prefix('(')?.strip_suffix(')')?) {
        params.push(parse_type(part)?);
    }
    Some(Overload { id, member: open > 0, params, result: parse_type(result)? })
}

/// A type as written in [`signature`]: a capital letter is a type parameter, a name with a dot an opaque type.
fn parse_type(text: &str) -> Option<Type> {
    if let Some(inner) = text.strip_suffix(')') {
        let (name, args) = inner.split_once('(')?;
        let args = split_top_level(args).into_iter().map(parse_type).collect::<Option<Vec<_>>>()?;
        return match (name, args.as_slice()) {
            ("list", [element]) => Some(Type::list(element.clone())),
            ("map", [key, value]) => Some(Type::map(key.clone(), value.clone())),
            ("type", [inner]) => Some(Type::of_type(inner.clone())),
            ("optional_type", [inner]) => Some(Type::optional(inner.clone())),
            _ => None,
        };
    }
    Some(match text {
        "dyn" => Type::Dyn,
        "null" => Type::Null,
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "duration" => Type::Duration,
        "timestamp" => Type::Timestamp,
        parameter if parameter.len() == 1 && parameter.bytes().all(|b| b.is_ascii_uppercase()) => {
            Type::param(parameter)
        }
        opaque if opaque.contains('.') => Type::opaque(opaque),
        _ => return None,
    })
}

/// Splits at commas outside parentheses.
fn split_top_level(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0usize, 0);
    for (i, b) in text.bytes().enumerate() {
        match b {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                parts.push(text[start..i].trim());
                start = i + 1;
            }
            _ => {}
        }
    }
    if !text[start..].trim().is_empty() {
        parts.push(text[start..].trim());
    }
    parts
}

#[rustfmt::skip]
const STANDARD: &[Declaration] = &[
    ("_?_:_", &[
        ("conditional", "(bool, A, A) -> A"),
    ]),
    ("_&&_", &[
        ("logical_and", "(bool, bool) -> bool"),
    ]),
    ("_||_", &[
        ("logical_or", "(bool, bool) -> bool"),
    ]),
    ("!_", &[
        ("logical_not", "(bool) -> bool"),
    ]),
    ("@not_strictly_false", &[
        ("not_strictly_false", "(bool) -> bool"),
    ]),
    ("_==_", &[
        ("equals", "(A, A) -> bool"),
    ]),
    ("_!=_", &[
        ("not_equals", "(A, A) -> bool"),
    ]),
    ("_+_", &[
        ("add_bytes", "(bytes, bytes) -> bytes"),
        ("add_double", "(double, double) -> double"),
        ("add_duration_duration", "(duration, duration) -> duration"),
        ("add_duration_timestamp", "(duration, timestamp) -> timestamp"),
        ("add_timestamp_duration", "(timestamp, duration) -> timestamp"),
        ("add_int64", "(int, int) -> int"),
        ("add_list", "(list(A), list(A)) -> list(A)"),
        ("add_string", "(string, string) -> string"),
        ("add_uint64", "(uint, uint) -> uint"),
    ]),
    ("_/_", &[
        ("divide_double", "(double, double) -> double"),
        ("divide_int64", "(int, int) -> int"),
        ("divide_uint64", "(uint, uint) -> uint"),
    ]),
    ("_%_", &[
        ("modulo_int64", "(int, int) -> int"),
        ("modulo_uint64", "(uint, uint) -> uint"),
    ]),
    ("_*_", &[
        ("multiply_double", "(double, double) -> double"),
        ("multiply_int64", "(int, int) -> int"),
        ("multiply_uint64", "(uint, uint) -> uint"),
    ]),
    ("-_", &[
        ("negate_double", "(double) -> double"),
        ("negate_int64", "(int) -> int"),
    ]),
    ("_-_", &[
        ("subtract_double", "(double, double) -> double"),
        ("subtract_duration_duration", "(duration, duration) -> duration"),
        ("subtract_int64", "(int, int) -> int"),
        ("subtract_timestamp_duration", "(timestamp, duration) -> timestamp"),
        ("subtract_timestamp_timestamp", "(timestamp, timestamp) -> duration"),
        ("subtract_uint64", "(uint, uint) -> uint"),
    ]),
    ("_<_", &[
        ("less_bool", "(bool, bool) -> bool"),
        ("less_int64", "(int, int) -> bool"),
        ("less_int64_double", "(int, double) -> bool"),
        ("less_int64_uint64", "(int, uint) -> bool"),
        ("less_uint64", "(uint, uint) -> bool"),
        ("less_uint64_double", "(uint, double) -> bool"),
        ("less_uint64_int64", "(uint, int) -> bool"),
        ("less_double", "(double, double) -> bool"),
        ("less_double_int64", "(double, int) -> bool"),
        ("less_double_uint64", "(double, uint) -> bool"),
        ("less_string", "(string, string) -> bool"),
        ("less_bytes", "(bytes, bytes) -> bool"),
        ("less_timestamp", "(timestamp, timestamp) -> bool"),
        ("less_duration", "(duration, duration) -> bool"),
    ]),
    ("_<=_", &[
        ("less_equals_bool", "(bool, bool) -> bool"),
        ("less_equals_int64", "(int, int) -> bool"),
        ("less_equals_int64_double", "(int, double) -> bool"),
        ("less_equals_int64_uint64", "(int, uint) -> bool"),
        ("less_equals_uint64", "(uint, uint) -> bool"),
        ("less_equals_uint64_double", "(uint, double) -> bool"),
        ("less_equals_uint64_int64", "(uint, int) -> bool"),
        ("less_equals_double", "(double, double) -> bool"),
        ("less_equals_double_int64", "(double, int) -> bool"),
        ("less_equals_double_uint64", "(double, uint) -> bool"),
        ("less_equals_string", "(string, string) -> bool"),
        ("less_equals_bytes", "(bytes, bytes) -> bool"),
        ("less_equals_timestamp", "(timestamp, timestamp) -> bool"),
        ("less_equals_duration", "(duration, duration) -> bool"),
    ]),
    ("_>_", &[
        ("greater_bool", "(bool, bool) -> bool"),
        ("greater_int64", "(int, int) -> bool"),
        ("greater_int64_double", "(int, double) -> bool"),
        ("greater_int64_uint64", "(int, uint) -> bool"),
        ("greater_uint64", "(uint, uint) -> bool"),
        ("greater_uint64_double", "(uint, double) -> bool"),
        ("greater_uint64_int64", "(uint, int) -> bool"),
        ("greater_double", "(double, double) -> bool"),
        ("greater_double_int64", "(double, int) -> bool"),
        ("greater_double_uint64", "(double, uint) -> bool"),
        ("greater_string", "(string, string) -> bool"),
        ("greater_bytes", "(bytes, bytes) -> bool"),
        ("greater_timestamp", "(timestamp, timestamp) -> bool"),
        ("greater_duration", "(duration, duration) -> bool"),
    ]),
    ("_>=_", &[
        ("greater_equals_bool", "(bool, bool) -> bool"),
        ("greater_equals_int64", "(int, int) -> bool"),
        ("greater_equals_int64_double", "(int, double) -> bool"),
        ("greater_equals_int64_uint64", "(int, uint) -> bool"),
        ("greater_equals_uint64", "(uint, uint) -> bool"),
        ("greater_equals_uint64_double", "(uint, double) -> bool"),
        ("greater_equals_uint64_int64", "(uint, int) -> bool"),
        ("greater_equals_double", "(double, double) -> bool"),
        ("greater_equals_double_int64", "(double, int) -> bool"),
        ("greater_equals_double_uint64", "(double, uint) -> bool"),
        ("greater_equals_string", "(string, string) -> bool"),
        ("greater_equals_bytes", "(bytes, bytes) -> bool"),
        ("greater_equals_timestamp", "(timestamp, timestamp) -> bool"),
        ("greater_equals_duration", "(duration, duration) -> bool"),
    ]),
    ("_[_]", &[
        ("index_list", "(list(A), int) -> A"),
        ("index_map", "(map(A, B), A) -> B"),
    ]),
    ("@in", &[
        ("in_list", "(A, list(A)) -> bool"),
        ("in_map", "(A, map(A, B)) -> bool"),
    ]),
    ("size", &[
        ("size_bytes", "(bytes) -> int"),
        ("bytes_size", "bytes.() -> int"),
        ("size_list", "(list(A)) -> int"),
        ("list_size", "list(A).() -> int"),
        ("size_map", "(map(A, B)) -> int"),
        ("map_size", "map(A, B).() -> int"),
        ("size_string", "(string) -> int"),
        ("string_size", "string.() -> int"),
    ]),
    ("type", &[
        ("type", "(A) -> type(A)"),
    ]),
    ("bool", &[
        ("bool_to_bool", "(bool) -> bool"),
        ("string_to_bool", "(string) -> bool"),
    ]),
    ("bytes", &[
        ("bytes_to_bytes", "(bytes) -> bytes"),
        ("string_to_bytes", "(string) -> bytes"),
    ]),
    ("double", &[
        ("double_to_double", "(double) -> double"),
        ("int64_to_double", "(int) -> double"),
        ("string_to_double", "(string) -> double"),
        ("uint64_to_double", "(uint) -> double"),
    ]),
    ("duration", &[
        ("duration_to_duration", "(duration) -> duration"),
        ("int64_to_duration", "(int) -> duration"),
        ("string_to_duration", "(string) -> duration"),
    ]),
    ("dyn", &[
        ("to_dyn", "(A) -> dyn"),
    ]),
    ("int", &[
        ("int64_to_int64", "(int) -> int"),
        ("double_to_int64", "(double) -> int"),
        ("duration_to_int64", "(duration) -> int"),
        ("string_to_int64", "(string) -> int"),
        ("timestamp_to_int64", "(timestamp) -> int"),
        ("uint64_to_int64", "(uint) -> int"),
    ]),
    ("string", &[
        ("string_to_string", "(string) -> string"),
        ("bool_to_string", "(bool) -> string"),
        ("bytes_to_string", "(bytes) -> string"),
        ("double_to_string", "(double) -> string"),
        ("duration_to_string", "(duration) -> string"),
        ("int64_to_string", "(int) -> string"),
        ("timestamp_to_string", "(timestamp) -> string"),
        ("uint64_to_string", "(uint) -> string"),
    ]),
    ("timestamp", &[
        ("timestamp_to_timestamp", "(timestamp) -> timestamp"),
        ("int64_to_timestamp", "(int) -> timestamp"),
        ("string_to_timestamp", "(string) -> timestamp"),
    ]),
    ("uint", &[
        ("uint64_to_uint64", "(uint) -> uint"),
        ("double_to_uint64", "(double) -> uint"),
        ("int64_to_uint64", "(int) -> uint"),
        ("string_to_uint64", "(string) -> uint"),
    ]),
    ("contains", &[
        ("contains_string", "string.(string) -> bool"),
    ]),
    ("endsWith", &[
        ("ends_with_string", "string.(string) -> bool"),
    ]),
    ("startsWith", &[
        ("starts_with_string", "string.(string) -> bool"),
    ]),
    ("matches", &[
        ("matches", "(string, string) -> bool"),
        ("matches_string", "string.(string) -> bool"),
    ]),
    ("getFullYear", &[
        ("timestamp_to_year", "timestamp.() -> int"),
        ("timestamp_to_year_with_tz", "timestamp.(string) -> int"),
    ]),
    ("getMonth", &[
        ("timestamp_to_month", "timestamp.() -> int"),
        ("timestamp_to_month_with_tz", "timestamp.(string) -> int"),
    ]),
    ("getDayOfYear", &[
        ("timestamp_to_day_of_year", "timestamp.() -> int"),
        ("timestamp_to_day_of_year_with_tz", "timestamp.(string) -> int"),
    ]),
    ("getDayOfMonth", &[
        ("timestamp_to_day_of_month", "timestamp.() -> int"),
        ("timestamp_to_day_of_month_with_tz", "timestamp.(string) -> int"),
    ]),
    ("getDate", &[
        ("timestamp_to_day_of_month_1_based", "timestamp.() -> int"),
        ("timestamp_to_day_of_month_1_based_with_tz", "timestamp.(string) -> int"),
    ]),
    ("getDayOfWeek", &[
        ("timestamp_to_day_of_week", "timestamp.() -> int"),
        ("timestamp_to_day_of_week_with_tz", "timestamp.(string) -> int"),
    ]),
    ("getHours", &[
        ("timestamp_to_hours", "timestamp.() -> int"),
        ("timestamp_to_hours_with_tz", "timestamp.(string) -> int"),
        ("duration_to_hours", "duration.() -> int"),
    ]),
    ("getMinutes", &[
        ("timestamp_to_minutes", "timestamp.() -> int"),
        ("timestamp_to_minutes_with_tz", "timestamp.(string) -> int"),
        ("duration_to_minutes", "duration.() -> int"),
    ]),
    ("getSeconds", &[
        ("timestamp_to_seconds", "timestamp.() -> int"),
        ("timestamp_to_seconds_tz", "timestamp.(string) -> int"),
        ("duration_to_seconds", "duration.() -> int"),
    ]),
    ("getMilliseconds", &[
        ("timestamp_to_milliseconds", "timestamp.() -> int"),
        ("timestamp_to_milliseconds_with_tz", "timestamp.(string) -> int"),
        ("duration_to_milliseconds", "duration.() -> int"),
    ]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_is_a_signature() {
        for (name, overloads) in STANDARD {
            for (id, text) in *overloads {
                assert!(signature(id, text).is_some(), "{name}: {id}: {text}");
            }
        }
    }

    #[test]
    fn a_member_signature_has_its_receiver_first() {
        let expected = Overload::member(
            "x",
            vec![Type::map(Type::param("A"), Type::list(Type::param("B"))), Type::Int],
            Type::optional(Type::param("B")),
        );
        let read = signature("x", "map(A, list(B)).(int) -> optional_type(B)").unwrap();
        assert_eq!(
            (read.id, read.member, read.params, read.result),
            (expected.id, true, expected.params, expected.result)
        );
    }
}
