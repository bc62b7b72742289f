//! Values of literal tokens.

use crate::ast::Literal;

/// Value of an integer token with an optional sign before it.
pub(super) fn int(text: &str, negative: bool) -> Result<Literal, &'static str> {
    let (digits, radix) = text.strip_prefix("0x").map_or((text, 10), |hex| (hex, 16));
    let signed = if negative { format!("-{digits}") } else { digits.to_owned() };
    i64::from_str_radix(&signed, radix).map(Literal::Int).map_err(|_| "invalid int literal")
}

/// Value of an unsigned token, its suffix included.
pub(super) fn uint(text: &str) -> Result<Literal, &'static str> {
    let text = text.trim_end_matches(['u', 'U']);
    let (digits, radix) = text.strip_prefix("0x").map_or((text, 10), |hex| (hex, 16));
    u64::from_str_radix(digits, radix).map(Literal::Uint).map_err(|_| "invalid uint literal")
}

/// Value of a floating-point token. What overflows is an error, as in cel-go.
pub(super) fn double(text: &str, negative: bool) -> Result<Literal, &'static str> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(Literal::Double(if negative { -value } else { value })),
        _ => Err("invalid double literal"),
    }
}

/// Value of a string token.
pub(super) fn string(text: &str) -> Result<Literal, &'static str> {
    let bytes = unquote(text, false)?;
    String::from_utf8(bytes).map(Literal::String).map_err(|_| "invalid unicode code point")
}

/// Value of a bytes token, its `b` included.
pub(super) fn bytes(text: &str) -> Result<Literal, &'static str> {
    unquote(&text[1..], true).map(Literal::Bytes)
}

/// Takes off prefix and quotes and resolves escapes. In bytes `\x` and octal escapes are bytes, elsewhere code points.
/// Line ends of every kind become `\n`.
fn unquote(text: &str, is_bytes: bool) -> Result<Vec<u8>, &'static str> {
    let raw = text.starts_with(['r', 'R']);
    let text = &text[usize::from(raw)..];
    let quote = if text.len() >= 6 && (text.starts_with("'''") || text.starts_with("\"\"\"")) { 3 } else { 1 };
    let inner = text.get(quote..text.len() - quote).ok_or("unable to unescape string")?;
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find(['\\', '\r']) {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let tail = &rest[at + 1..];
        if rest.as_bytes()[at] == b'\r' {
            out.push(b'\n');
            rest = tail.strip_prefix('\n').unwrap_or(tail);
        } else if raw {
            out.push(b'\\');
            rest = tail;
        } else {
            rest = escape(tail, is_bytes, &mut out)?;
        }
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

/// Resolves the escape after a backslash; gives back the text behind it.
fn escape<'t>(text: &'t str, is_bytes: bool, out: &mut Vec<u8>) -> Result<&'t str, &'static str> {
    const FAULT: &str = "unable to unescape string";
    let letter = *text.as_bytes().first().ok_or(FAULT)?;
    let (skip, digits, radix) = match letter {
        b'x' | b'X' => (1, 2, 16),
        b'u' if !is_bytes => (1, 4, 16),
        b'U' if !is_bytes => (1, 8, 16),
        b'0'..=b'3' => (0, 3, 8),
        _ => {
            out.push(simple(letter).ok_or(FAULT)?);
            return Ok(&text[1..]);
        }
    };
    let number = text.get(skip..skip + digits).ok_or(FAULT)?;
    let code = u32::from_str_radix(number, radix).map_err(|_| FAULT)?;
    if is_bytes {
        out.push(u8::try_from(code).map_err(|_| FAULT)?);
    } else {
        let c = char::from_u32(code).ok_or("invalid unicode code point")?;
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Ok(&text[skip + digits..])
}

fn simple(letter: u8) -> Option<u8> {
    Some(match letter {
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        b'\\' | b'\'' | b'"' | b'`' | b'?' => letter,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_resolve_to_code_points_in_strings_and_to_bytes_in_bytes() {
        assert_eq!(
            string(r#"'\a\b\f\n\r\t\v\\\'\"\`\?'"#),
            Ok(Literal::String("\x07\x08\x0c\n\r\t\x0b\\'\"`?".into()))
        );
        assert_eq!(string(r"'\xff\377\u00e9\U0001F431'"), Ok(Literal::String("ÿÿé🐱".into())));
        assert_eq!(bytes(r"b'\xff\377é'"), Ok(Literal::Bytes(vec![0xff, 0xff, 0xc3, 0xa9])));
        assert_eq!(bytes(r"b'\u00ff'"), Err("unable to unescape string"));
        assert_eq!(string(r"'\ud800'"), Err("invalid unicode code point"));
        assert_eq!(string(r"r'\d'"), Ok(Literal::String("\\d".into())));
        assert_eq!(string("'''a\r\nb\rc'''"), Ok(Literal::String("a\nb\nc".into())));
        assert_eq!(string("''"), Ok(Literal::String(String::new())));
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        assert_eq!(int("9223372036854775808", true), Ok(Literal::Int(i64::MIN)));
        assert_eq!(int("9223372036854775808", false), Err("invalid int literal"));
        assert_eq!(int("0x8000000000000000", true), Ok(Literal::Int(i64::MIN)));
        assert_eq!(uint("18446744073709551615u"), Ok(Literal::Uint(u64::MAX)));
        assert_eq!(uint("18446744073709551616u"), Err("invalid uint literal"));
        assert_eq!(double("1e400", false), Err("invalid double literal"));
        assert_eq!(double(".5", true), Ok(Literal::Double(-0.5)));
    }
}
