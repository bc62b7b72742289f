//! What a scalar means: go-yaml v2's rules followed by Go's JSON encoding, which is what `kubectl` sends.

use crate::tree::{Content, Style};

/// Resolves a scalar by its style and core tag (`str`, `int`, …).
///
/// # Errors
/// A tag that does not fit, or a number JSON has no word for.
pub(super) fn resolve(text: &str, style: Style, tag: Option<&str>) -> Result<Content, String> {
    let string = || Content::Text(text.to_owned(), style);
    match tag {
        Some("str") => return Ok(string()),
        Some("binary") => {
            return base64(text)
                .map(|s| Content::Text(s, style))
                .ok_or_else(|| "!!binary value contains invalid base64 data".to_owned());
        }
        None if style != Style::Plain => return Ok(string()),
        _ => {}
    }
    let content = plain(text)?.unwrap_or_else(string);
    match (tag, content) {
        (Some("float"), Content::Int(i)) => Ok(number(i as f64)),
        (Some(tag @ ("int" | "float" | "bool" | "null")), content) => {
            let fits = match content {
                Content::Null => tag == "null",
                Content::Bool(_) => tag == "bool",
                Content::Int(_) | Content::Uint(_) => tag == "int",
                Content::Float(_) => tag == "float",
                _ => false,
            };
            if fits { Ok(content) } else { Err(format!("cannot decode `{text}` as a !!{tag}")) }
        }
        (_, content) => Ok(content),
    }
}

/// The string a key becomes; none for null.
pub(super) fn key(content: &Content) -> Option<String> {
    match content {
        Content::Text(s, _) => Some(s.clone()),
        Content::Bool(b) => Some(b.to_string()),
        Content::Int(i) => Some(i.to_string()),
        Content::Uint(u) => Some(u.to_string()),
        Content::Float(f) => Some(f.to_string()),
        Content::Null | Content::Sequence(_) | Content::Mapping(_) => None,
    }
}

/// `None` when it is a string.
fn plain(text: &str) -> Result<Option<Content>, String> {
    Ok(Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => Content::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Content::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Content::Bool(false),
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf"
        | "-.INF" => return Err(format!("`{text}` cannot be written as JSON")),
        _ => match text.as_bytes()[0] {
            b'.' => return Ok(go_float(text).map(number)),
            b'+' | b'-' | b'0'..=b'9' => return Ok(numeric(text)),
            _ => return Ok(None),
        },
    }))
}

/// Integers in all of Go's bases, then floats; a date stays a string.
fn numeric(text: &str) -> Option<Content> {
    let digits: String = text.chars().filter(|&c| c != '_').collect();
    let (negative, unsigned) = match digits.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, digits.strip_prefix('+').unwrap_or(&digits)),
    };
    let lower = unsigned.to_ascii_lowercase();
    let (radix, body) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    let all_digits = !body.is_empty() && body.bytes().all(|b| b.is_ascii_alphanumeric());
    if all_digits && let Ok(magnitude) = u64::from_str_radix(body, radix) {
        return match (negative, i64::try_from(magnitude)) {
            (false, Ok(i)) => Some(Content::Int(i)),
            (true, Ok(i)) => Some(Content::Int(-i)),
            (true, Err(_)) if magnitude == 1 << 63 => Some(Content::Int(i64::MIN)),
            (false, Err(_)) if !digits.starts_with('+') => Some(Content::Uint(magnitude)),
            _ => Some(number(magnitude as f64 * if negative { -1.0 } else { 1.0 })),
        };
    }
    go_float(&digits).filter(|_| !unsigned.starts_with(['+', '-'])).map(number)
}

/// Decimal floats: digits, at most one point, an exponent. Rust's own `inf` and `nan` are no numbers here.
fn go_float(text: &str) -> Option<f64> {
    let decimal = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    text.parse::<f64>().ok().filter(|f| decimal && f.is_finite())
}

/// Go writes a float without fraction as an integer into JSON, which is then read as one.
fn number(value: f64) -> Content {
    if value.fract() == 0.0 && value.abs() < 9_223_372_036_854_775_808.0 {
        Content::Int(value as i64)
    } else {
        Content::Float(value)
    }
}

/// Standard base64 of UTF-8 text; white space is skipped.
fn base64(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let (mut bits, mut held) = (0u32, 0u32);
    let clean: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let body = clean.strip_suffix(b"==").or_else(|| clean.strip_suffix(b"=")).unwrap_or(&clean);
    if !clean.len().is_multiple_of(4) {
        return None;
    }
    for &b in body {
        let six = match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    String::from_utf8(bytes).ok()
}
