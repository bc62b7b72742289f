//! `string.format(list)` as cel-go's strings library below version 4 does it: numbers of `%f` and `%e` are written for
//! the locale en_US by Go's `x/text`, whose reading of the precision is kept.

use std::fmt::{self, Write as _};

use bumpalo::collections::{String as ArenaString, Vec as ArenaVec};

use crate::error::ErrorKind;
use crate::functions::Scope;
use crate::library::support::{Answer, Quoted, fail, print, reserve};
use crate::render::Text;
use crate::value::Value;

/// Digits behind the point where none are asked for.
const DEFAULT_PRECISION: u64 = 6;

/// No double has more digits behind its point.
const LONGEST_FRACTION: u64 = 1074;

/// What a clause asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    /// `%s`
    String,
    /// `%d`
    Decimal,
    /// `%f`
    Fixed,
    /// `%e`
    Scientific,
    /// `%b`
    Binary,
    /// `%x`, `%X`
    Hex {
        /// `%X`
        upper: bool,
    },
    /// `%o`
    Octal,
}

/// A piece of a format string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'f> {
    /// Text as it is.
    Literal(&'f str),
    /// The start of a clause; [`Pieces::clause`] reads it.
    Clause,
}

/// Reads a format string.
pub(crate) struct Pieces<'f> {
    rest: &'f str,
}

/// Why a clause cannot be read; worded as cel-go words it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClauseError<'f> {
    /// Nothing follows the percent sign.
    End,
    /// Nothing follows the precision.
    EndOfPrecision,
    /// The precision has no digits, or too many.
    Precision(&'f str),
    /// The byte of an unknown verb.
    Verb(u8),
}

impl fmt::Display for ClauseError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == ClauseError::End {
            return f.write_str("unexpected end of string");
        }
        f.write_str("could not parse formatting clause: ")?;
        match *self {
            ClauseError::End => Ok(()),
            ClauseError::EndOfPrecision => {
                f.write_str("error while parsing precision: could not find end of precision specifier")
            }
            ClauseError::Precision(digits) => {
                let why = if digits.is_empty() { "invalid syntax" } else { "value out of range" };
                write!(f, "error while parsing precision: error while converting precision to integer: ")?;
                write!(f, "strconv.Atoi: parsing \"{digits}\": {why}")
            }
            // cel-go takes the byte for a character.
            ClauseError::Verb(byte) => write!(f, "unrecognized formatting clause \"{}\"", char::from(byte)),
        }
    }
}

impl<'f> Pieces<'f> {
    pub(crate) fn new(format: &'f str) -> Self {
        Self { rest: format }
    }

    /// The next piece. A [`Piece::Clause`] must be read with [`Pieces::clause`] before the next call.
    pub(crate) fn next_piece(&mut self) -> Option<Piece<'f>> {
        let rest = self.rest;
        if rest.is_empty() {
            return None;
        }
        if let Some(tail) = rest.strip_prefix("%%") {
            self.rest = tail;
            return Some(Piece::Literal("%"));
        }
        if rest.starts_with('%') {
            return Some(Piece::Clause);
        }
        let end = rest.find('%').unwrap_or(rest.len());
        self.rest = &rest[end..];
        Some(Piece::Literal(&rest[..end]))
    }

    /// The clause that was announced: what it asks for, and its precision.
    pub(crate) fn clause(&mut self) -> Result<(Verb, Option<u64>), ClauseError<'f>> {
        let mut rest = self.rest.strip_prefix('%').unwrap_or(self.rest);
        if rest.is_empty() {
            return Err(ClauseError::End);
        }
        let mut precision = None;
        if let Some(digits) = rest.strip_prefix('.') {
            let len = digits.bytes().take_while(u8::is_ascii_digit).count();
            let (digits, tail) = digits.split_at(len);
            if tail.is_empty() {
                return Err(ClauseError::EndOfPrecision);
            }
            let number = digits.parse::<i64>().map_err(|_| ClauseError::Precision(digits))?;
            precision = Some(number.unsigned_abs());
            rest = tail;
        }
        let verb = match rest.as_bytes().first().copied().unwrap_or_default() {
            b's' => Verb::String,
            b'd' => Verb::Decimal,
            b'f' => Verb::Fixed,
            b'e' => Verb::Scientific,
            b'b' => Verb::Binary,
            b'x' => Verb::Hex { upper: false },
            b'X' => Verb::Hex { upper: true },
            b'o' => Verb::Octal,
            other => return Err(ClauseError::Verb(other)),
        };
        self.rest = &rest[1..];
        Ok((verb, precision))
    }
}

impl Verb {
    /// What it says to a value of a type that it does not take.
    pub(crate) fn refusal(self) -> &'static str {
        match self {
            Verb::String => {
                "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, \
                 durations, and timestamps, was given"
            }
            Verb::Decimal => "decimal clause can only be used on integers, was given",
            Verb::Fixed => "fixed-point clause can only be used on doubles, was given",
            Verb::Scientific => "scientific clause can only be used on doubles, was given",
            Verb::Binary => "only integers and bools can be formatted as binary, was given",
            Verb::Hex { .. } => "only integers, byte buffers, and strings can be formatted as hex, was given",
            Verb::Octal => "octal clause can only be used on integers, was given",
        }
    }
}

/// `string.format(list)`
pub(super) fn format<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::String(format), Value::List(args)] = *args else { return Err(ErrorKind::NoSuchOverload) };
    let mut out = ArenaString::with_capacity_in(format.len(), scope.arena);
    let mut pieces = Pieces::new(format);
    let mut at = 0;
    while let Some(piece) = pieces.next_piece() {
        match piece {
            Piece::Literal(text) => out.push_str(text),
            Piece::Clause => {
                let Some(&value) = args.get(at) else {
                    return Err(fail(scope, format_args!("index {at} out of range")));
                };
                at += 1;
                let (verb, precision) = pieces.clause().map_err(|error| fail(scope, format_args!("{error}")))?;
                clause(scope, &mut out, verb, precision, value)?;
            }
        }
        reserve(out.len())?;
    }
    Ok(Value::String(out.into_bump_str()))
}

fn clause<'a>(
    scope: &Scope<'a>,
    out: &mut ArenaString<'a>,
    verb: Verb,
    precision: Option<u64>,
    value: Value<'a>,
) -> Result<(), ErrorKind<'a>> {
    let precision = precision.unwrap_or(DEFAULT_PRECISION);
    let refuse = || fail(scope, format_args!("error during formatting: {} {}", verb.refusal(), value.type_name()));
    // Writing to a string in the arena does not fail.
    let _ = match (verb, value) {
        (Verb::String, _) => return text(scope, out, value, refuse),
        (Verb::Decimal, Value::Int(i)) => write!(out, "{i}"),
        (Verb::Decimal, Value::Uint(u)) => write!(out, "{u}"),
        (Verb::Fixed, _) => {
            fixed(out, number(value).ok_or_else(refuse)?, precision);
            Ok(())
        }
        (Verb::Scientific, _) => {
            scientific(out, number(value).ok_or_else(refuse)?, precision);
            Ok(())
        }
        (Verb::Binary, Value::Bool(b)) => write!(out, "{}", u8::from(b)),
        (Verb::Binary, _) => integer(value, |sign, n| write!(out, "{sign}{n:b}")).ok_or_else(refuse)?,
        (Verb::Octal, _) => integer(value, |sign, n| write!(out, "{sign}{n:o}")).ok_or_else(refuse)?,
        (Verb::Hex { upper }, Value::String(_) | Value::Bytes(_)) => {
            let bytes = match value {
                Value::String(s) => s.as_bytes(),
                Value::Bytes(b) => b,
                _ => &[],
            };
            reserve(bytes.len().saturating_mul(2))?;
            bytes.iter().try_for_each(|b| if upper { write!(out, "{b:02X}") } else { write!(out, "{b:02x}") })
        }
        (Verb::Hex { upper: true }, _) => integer(value, |sign, n| write!(out, "{sign}{n:X}")).ok_or_else(refuse)?,
        (Verb::Hex { upper: false }, _) => integer(value, |sign, n| write!(out, "{sign}{n:x}")).ok_or_else(refuse)?,
        _ => return Err(refuse()),
    };
    Ok(())
}

/// Sign and amount of an integer.
fn integer<R>(value: Value<'_>, write: impl FnOnce(&str, u64) -> R) -> Option<R> {
    match value {
        Value::Int(i) => Some(write(if i < 0 { "-" } else { "" }, i.unsigned_abs())),
        Value::Uint(u) => Some(write("", u)),
        _ => None,
    }
}

/// A double, or the name of one that is no number.
fn number(value: Value<'_>) -> Option<f64> {
    match value {
        Value::Double(d) => Some(d),
        Value::String("NaN") => Some(f64::NAN),
        Value::String("Infinity") => Some(f64::INFINITY),
        Value::String("-Infinity") => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// Where Go's `fmt` gives up reading a number, nothing is left that it could print.
fn too_large(number: u64) -> bool {
    number / 10 > 1_000_000
}

const NO_VERB: &str = "%!(NOVERB)";

/// Names of what is no number, in en_US.
fn special(value: f64) -> Option<&'static str> {
    match value {
        v if v.is_nan() => Some("NaN"),
        f64::INFINITY => Some("∞"),
        f64::NEG_INFINITY => Some("-∞"),
        _ => None,
    }
}

/// `%.Nf` with thousands separators. `x/text` rounds to N digits (as 16 bits), drops zeros at the end and fills up
/// with zeros to N (as 8 bits).
fn fixed(out: &mut ArenaString<'_>, value: f64, precision: u64) {
    if too_large(precision) {
        return out.push_str(NO_VERB);
    }
    if let Some(name) = special(value) {
        return out.push_str(name);
    }
    let rounded = u64::try_from(precision as i16).unwrap_or(LONGEST_FRACTION).min(LONGEST_FRACTION);
    let filled = usize::from(precision as u8);
    let start = out.len();
    // Writing to a string in the arena does not fail.
    let _ = write!(out, "{:.*}", rounded as usize, if value == 0.0 { 0.0 } else { value });
    let whole_end = out[start..].find('.').map_or(out.len(), |at| start + at);
    if precision > u64::from(u8::MAX) && whole_end < out.len() {
        let kept = out[whole_end + 1..].trim_end_matches('0').len();
        out.truncate(whole_end + 1 + kept);
    }
    if filled > 0 && whole_end == out.len() {
        out.push('.');
    }
    while out.len() < whole_end + 1 + filled && filled > 0 {
        out.push('0');
    }
    if out.ends_with('.') {
        out.pop();
    }
    let first = start + usize::from(out[start..].starts_with('-'));
    let mut at = whole_end;
    while at > first + 3 {
        at -= 3;
        out.insert(at, ',');
    }
}

/// `%Ne`: cel-go writes the precision where Go reads a width (as 16 bits); there are always six digits.
fn scientific(out: &mut ArenaString<'_>, value: f64, width: u64) {
    if too_large(width) {
        return out.push_str(NO_VERB);
    }
    let mut text = match special(value) {
        Some(name) => name.to_owned(),
        None => format!("{:.6e}", if value == 0.0 { 0.0 } else { value }),
    };
    if let Some(at) = text.find('e') {
        let exponent = text.split_off(at);
        let digits = exponent.trim_start_matches(['e', '-']);
        text.push_str("×10");
        if exponent.contains('-') {
            text.push('⁻');
        }
        if digits.len() == 1 {
            text.push('⁰');
        }
        text.extend(
            digits.bytes().map(|b| ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'][usize::from(b - b'0') % 10]),
        );
    }
    for _ in text.chars().count()..usize::from(width as u16) {
        out.push(' ');
    }
    out.push_str(&text);
}

/// `%s`
fn text<'a>(
    scope: &Scope<'a>,
    out: &mut ArenaString<'a>,
    value: Value<'a>,
    refuse: impl Fn() -> ErrorKind<'a>,
) -> Result<(), ErrorKind<'a>> {
    match value {
        Value::String(s) | Value::Type(s) => out.push_str(s),
        Value::Null => out.push_str("null"),
        Value::Bytes(bytes) => out.push_str(utf8(scope, bytes)?),
        Value::List(_) | Value::Object(_) | Value::Map(_) => literal(scope, out, value)?,
        Value::Bool(_)
        | Value::Int(_)
        | Value::Uint(_)
        | Value::Double(_)
        | Value::Duration(_)
        | Value::Timestamp(_) => {
            let _ = write!(out, "{}", Text(value));
        }
        Value::Struct(_) | Value::Optional(_) | Value::Opaque(_) => return Err(refuse()),
    }
    Ok(())
}

fn utf8<'a>(scope: &Scope<'a>, bytes: &'a [u8]) -> Result<&'a str, ErrorKind<'a>> {
    std::str::from_utf8(bytes).map_err(|_| {
        let why = "invalid UTF-8 in bytes, cannot convert to string";
        fail(scope, format_args!("error during formatting: could not convert argument \"{why}\" to string"))
    })
}

/// A value inside a list or map: as a CEL literal.
fn literal<'a>(scope: &Scope<'a>, out: &mut ArenaString<'a>, value: Value<'a>) -> Result<(), ErrorKind<'a>> {
    // Writing to a string in the arena does not fail.
    let _ = match value {
        Value::Null => write!(out, "null"),
        Value::Bool(_) | Value::Int(_) | Value::Uint(_) => write!(out, "{}", Text(value)),
        Value::String(s) => write!(out, "{}", Quoted(s)),
        Value::Type(name) => write!(out, "{name}"),
        Value::Bytes(bytes) => write!(out, "b{}", Quoted(utf8(scope, bytes)?)),
        Value::Double(d) if d.is_nan() => write!(out, "\"NaN\""),
        Value::Double(d) if d.is_infinite() => write!(out, "\"{}Inf\"", if d > 0.0 { '+' } else { '-' }),
        Value::Double(d) => write!(out, "{d:.6}"),
        Value::Duration(_) => write!(out, "duration(\"{}\")", Text(value)),
        Value::Timestamp(_) => write!(out, "timestamp(\"{}\")", Text(value)),
        Value::List(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                literal(scope, out, *item)?;
            }
            out.push(']');
            Ok(())
        }
        Value::Object(_) | Value::Map(_) => return map(scope, out, value),
        Value::Struct(_) | Value::Optional(_) | Value::Opaque(_) => {
            let name = value.type_name();
            return Err(fail(scope, format_args!("error during formatting: no formatting function for {name}")));
        }
    };
    reserve(out.len())
}

/// A map with its entries in the order of their keys' text.
fn map<'a>(scope: &Scope<'a>, out: &mut ArenaString<'a>, value: Value<'a>) -> Result<(), ErrorKind<'a>> {
    let len = value.map_len().unwrap_or(0);
    let mut entries = ArenaVec::with_capacity_in(len, scope.arena);
    for i in 0..len {
        let Some((key, value)) = value.map_entry(i) else { continue };
        let key = match key {
            Value::String(s) => print(scope, format_args!("{}", Quoted(s))),
            Value::Bool(_) | Value::Int(_) | Value::Uint(_) => print(scope, format_args!("{}", Text(key))),
            other => {
                let name = other.type_name();
                let text = format_args!("error during formatting: no formatting function for map key of type {name}");
                return Err(fail(scope, text));
            }
        };
        entries.push((key, value));
    }
    entries.sort_by_key(|(key, _)| *key);
    out.push('{');
    for (i, (key, value)) in entries.iter().enumerate() {
        out.push_str(if i > 0 { ", " } else { "" });
        out.push_str(key);
        out.push(':');
        literal(scope, out, *value)?;
    }
    out.push('}');
    Ok(())
}
