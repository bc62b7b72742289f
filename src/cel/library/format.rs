//! Named formats (`kubernetes.NamedFormat`): `format.dns1123Label().validate(x)` gives the faults of a text, if any.

use super::support::{Answer, list, match_cost, native, print};
use super::{names, url};
use crate::error::ErrorKind;
use crate::functions::{Function, Scope, constant_cost};
use crate::opaque::Opaque;
use crate::value::Value;

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedFormat {
    /// Name behind `format.`.
    pub name: &'static str,
    /// Length of the pattern that upstream charges for.
    pattern: u64,
    check: Check,
}

/// What a format asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    /// Like an object's name.
    Name(names::Rule),
    /// Like an object's name to which something is appended.
    Prefix(names::Rule),
    QualifiedName,
    LabelValue,
    Uri,
    Uuid,
    Base64,
    Date,
    DateTime,
}

const fn format(name: &'static str, pattern: u64, check: Check) -> NamedFormat {
    NamedFormat { name, pattern, check }
}

/// All formats with the overload that names them and upstream's length of their patterns.
const FORMATS: [NamedFormat; 13] = [
    format("dns1123Label", 30, Check::Name(names::Rule::Dns1123Label)),
    format("dns1123Subdomain", 60, Check::Name(names::Rule::Dns1123Subdomain)),
    format("dns1035Label", 30, Check::Name(names::Rule::Dns1035Label)),
    format("qualifiedName", 60, Check::QualifiedName),
    format("dns1123LabelPrefix", 30, Check::Prefix(names::Rule::Dns1123Label)),
    format("dns1123SubdomainPrefix", 60, Check::Prefix(names::Rule::Dns1123Subdomain)),
    format("dns1035LabelPrefix", 30, Check::Prefix(names::Rule::Dns1035Label)),
    format("labelValue", 40, Check::LabelValue),
    format("uri", 1103, Check::Uri),
    format("uuid", UUID_PATTERN, Check::Uuid),
    format("byte", 84, Check::Base64),
    format("date", DATE_TIME_PATTERN, Check::Date),
    format("datetime", DATE_TIME_PATTERN, Check::DateTime),
];

/// Length of strfmt's `UUIDPattern`.
const UUID_PATTERN: u64 = 70;

/// Length of strfmt's `DateTimePattern`.
const DATE_TIME_PATTERN: u64 = 71;

/// Declares the functions without arguments, each with its format.
macro_rules! constants {
    ($($at:literal $name:literal $signature:literal),* $(,)?) => {
        vec![$(native($name, &[($name, $signature)], |scope, args| constant(scope, args, $at), constant_cost)),*]
    };
}

/// The functions of this library.
pub fn functions() -> Vec<Function> {
    let mut functions = constants![
        0 "format.dns1123Label" "() -> kubernetes.NamedFormat",
        1 "format.dns1123Subdomain" "() -> kubernetes.NamedFormat",
        2 "format.dns1035Label" "() -> kubernetes.NamedFormat",
        3 "format.qualifiedName" "() -> kubernetes.NamedFormat",
        4 "format.dns1123LabelPrefix" "() -> kubernetes.NamedFormat",
        5 "format.dns1123SubdomainPrefix" "() -> kubernetes.NamedFormat",
        6 "format.dns1035LabelPrefix" "() -> kubernetes.NamedFormat",
        7 "format.labelValue" "() -> kubernetes.NamedFormat",
        8 "format.uri" "() -> kubernetes.NamedFormat",
        9 "format.uuid" "() -> kubernetes.NamedFormat",
        10 "format.byte" "() -> kubernetes.NamedFormat",
        11 "format.date" "() -> kubernetes.NamedFormat",
        12 "format.datetime" "() -> kubernetes.NamedFormat",
    ];
    functions.push(native(
        "format.named",
        &[("format-named", "(string) -> optional_type(kubernetes.NamedFormat)")],
        named,
        constant_cost,
    ));
    functions.push(native(
        "validate",
        &[("format-validate", "kubernetes.NamedFormat.(string) -> optional_type(list(string))")],
        validate,
        validate_cost,
    ));
    functions
}

fn value<'a>(scope: &Scope<'a>, format: NamedFormat) -> Value<'a> {
    Value::Opaque(scope.arena.alloc(Opaque::Format(format)))
}

fn constant<'a>(scope: &Scope<'a>, args: &[Value<'a>], at: usize) -> Answer<'a> {
    match (args, FORMATS.get(at)) {
        ([], Some(format)) => Ok(value(scope, *format)),
        _ => Err(ErrorKind::NoSuchOverload),
    }
}

fn named<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::String(name)] = *args else { return Err(ErrorKind::NoSuchOverload) };
    let found = FORMATS.iter().find(|format| format.name == name);
    Ok(Value::Optional(found.map(|format| &*scope.arena.alloc(value(scope, *format)))))
}

fn validate<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::Opaque(Opaque::Format(format)), Value::String(text)] = *args else {
        return Err(ErrorKind::NoSuchOverload);
    };
    let faults = format.check.faults(text);
    if faults.is_empty() {
        return Ok(Value::Optional(None));
    }
    let faults = list(scope, faults.iter().map(|fault| Value::String(print(scope, format_args!("{fault}")))))?;
    Ok(Value::Optional(Some(scope.arena.alloc(faults))))
}

fn validate_cost(_: &str, args: &[Value<'_>], _: &Value<'_>) -> u64 {
    match args {
        [Value::Opaque(Opaque::Format(format)), text] => match_cost(text.cost_size(), format.pattern),
        _ => 1,
    }
}

impl Check {
    /// What is wrong, in the API server's words; nothing allocated when nothing is.
    fn faults(self, text: &str) -> Vec<String> {
        let unless = |valid: bool, fault: &str| if valid { Vec::new() } else { vec![fault.to_owned()] };
        match self {
            Check::Name(rule) => rule.faults(text.as_bytes()),
            Check::Prefix(rule) => rule.faults(&names::without_trailing_dash(text.as_bytes())),
            Check::QualifiedName => names::label_key(text),
            Check::LabelValue => names::label_value(text),
            Check::Uri => url::parse_request_uri(text).err().into_iter().collect(),
            Check::Uuid => unless(is_uuid(text), "does not match the UUID format"),
            Check::Base64 => unless(is_base64(text), "invalid base64"),
            Check::Date => unless(is_date(text), "invalid date"),
            Check::DateTime => unless(is_date_time(text), "invalid datetime"),
        }
    }
}

/// Hexadecimal digits in groups of 8, 4, 4, 4 and 12, each hyphen optional.
fn is_uuid(text: &str) -> bool {
    let mut rest = text.as_bytes();
    for (i, len) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if i > 0 {
            rest = rest.strip_prefix(b"-").unwrap_or(rest);
        }
        match rest.split_at_checked(len) {
            Some((group, tail)) if group.iter().all(u8::is_ascii_hexdigit) => rest = tail,
            _ => return false,
        }
    }
    rest.is_empty()
}

/// Whole groups of four characters, at least one, the last one padded.
fn is_base64(text: &str) -> bool {
    let digits = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text);
    !text.is_empty()
        && text.len().is_multiple_of(4)
        && digits.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
}

fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    let &[_, _, _, _, b'-', _, _, b'-', _, _] = bytes else { return false };
    let number = |range: std::ops::Range<usize>| {
        bytes[range].iter().try_fold(0u32, |n, b| b.is_ascii_digit().then(|| n * 10 + u32::from(b - b'0')))
    };
    let (Some(year), Some(month), Some(day)) = (number(0..4), number(5..7), number(8..10)) else { return false };
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day)
}

/// A date, `t`, a time with an optional fraction, and a zone; what follows a second `t` does not matter upstream.
fn is_date_time(text: &str) -> bool {
    let mut parts = text.split(['t', 'T']);
    let (Some(date), Some(time)) = (parts.next(), parts.next()) else { return false };
    let &[h, hh, b':', m, mm, b':', s, ss, ref rest @ ..] = time.as_bytes() else { return false };
    let digits = [h, hh, m, mm, s, ss];
    let in_range = [h, hh] <= *b"23" && [m, mm] <= *b"59" && [s, ss] <= *b"59";
    is_date(date) && digits.iter().all(u8::is_ascii_digit) && in_range && is_zone(rest)
}

/// `.123z`, `z`, `+01:00`; any character may stand for the point.
fn is_zone(rest: &[u8]) -> bool {
    let is_plain_zone = |zone: &[u8]| match zone {
        [b'z' | b'Z'] => true,
        [b'+' | b'-', a, b, b':', c, d] => [a, b, c, d].iter().all(|b| b.is_ascii_digit()),
        _ => false,
    };
    if is_plain_zone(rest) {
        return true;
    }
    let point = std::str::from_utf8(rest).ok().and_then(|r| r.chars().next()).filter(|c| *c != '\n');
    let Some(point) = point else { return false };
    let fraction = &rest[point.len_utf8()..];
    let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
    digits > 0 && is_plain_zone(&fraction[digits..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lengths_of_patterns_are_those_of_strfmt() {
        let uuid = r"(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$";
        let date_time = r"^([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))$";
        assert_eq!((UUID_PATTERN, DATE_TIME_PATTERN), (uuid.len() as u64, date_time.len() as u64));
    }

    #[test]
    fn dates_and_times_are_checked_digit_by_digit() {
        let dates = ["2020-02-29", "2000-02-29", "0000-01-01"];
        assert!(dates.iter().all(|d| is_date(d)));
        let wrong = ["2021-02-29", "1900-02-29", "2020-13-01", "2020-1-01", "2020-01-00", "2020-01-01x", ""];
        assert!(!wrong.iter().any(|d| is_date(d)));
        let times = ["2020-01-01T00:00:00Z", "2020-01-01t23:59:59.123+01:00", "2020-01-01T00:00:00,5z"];
        assert!(times.iter().all(|t| is_date_time(t)));
        let wrong = ["2020-01-01T24:00:00Z", "2020-01-01T00:00:00", "2020-01-01 00:00:00Z", "2020-01-01T00:00:60Z"];
        assert!(!wrong.iter().any(|t| is_date_time(t)));
    }

    #[test]
    fn base64_is_padded_and_not_empty() {
        assert!(["aGVsbG8=", "aGVsbA==", "aGVs"].iter().all(|t| is_base64(t)));
        assert!(!["", "aGVsbG8", "=", "====", "aG=s", "aGVs\n"].iter().any(|t| is_base64(t)));
    }

    #[test]
    fn hyphens_of_a_uuid_are_optional() {
        assert!(is_uuid("123e4567-e89b-12d3-A456-426614174000") && is_uuid("123e4567e89b12d3a456426614174000"));
        assert!(!is_uuid("123e4567--e89b-12d3-a456-426614174000") && !is_uuid("123e4567"));
    }
}
