//! Text → tokens (cel-spec `syntax.md`, lexical grammar), longest match first.

use crate::issues::Issue;
use crate::source::Span;

/// A token and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) span: Span,
}

/// Kinds of tokens. Values of literals are read from the text when they are parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Ident,
    EscapedIdent,
    Int,
    Uint,
    Float,
    String,
    Bytes,
    True,
    False,
    Null,
    In,
    Equals,
    NotEquals,
    Less,
    LessEquals,
    GreaterEquals,
    Greater,
    And,
    Or,
    LeftBracket,
    RightBracket,
    LeftBrace,
    RightBrace,
    LeftParen,
    RightParen,
    Dot,
    Comma,
    Minus,
    Exclamation,
    Question,
    Colon,
    Plus,
    Star,
    Slash,
    Percent,
    End,
}

/// Splits a text. The last token is always [`Kind::End`]; characters that belong to no token are reported and skipped,
/// at most `max_issues` times.
pub(super) fn tokens(text: &str, issues: &mut Vec<Issue>, max_issues: usize) -> Vec<Token> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = skip_blank(text.as_bytes(), at) {
        match token(text.as_bytes(), start) {
            Ok((kind, end)) => {
                found.push(Token { kind, span: span(start, end) });
                at = end;
            }
            Err(fault) => {
                // As ANTLR recovers: the offending character goes with what was read before it.
                at = text[fault..].chars().next().map_or(text.len(), |c| fault + c.len_utf8());
                let message = format!("Syntax error: token recognition error at: '{}'", &text[start..at]);
                issues.push(Issue { span: span(start, at), message });
                if issues.len() >= max_issues {
                    break;
                }
            }
        }
    }
    found.push(Token { kind: Kind::End, span: span(text.len(), text.len()) });
    found
}

fn span(start: usize, end: usize) -> Span {
    // Texts are at most `MAX_EXPRESSION_BYTES` long.
    Span::new(start as u32, end as u32)
}

/// Start of the next token, behind white space and comments; none at the end of the text.
fn skip_blank(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match text.get(at)? {
            b' ' | b'\t' | b'\r' | b'\n' | 0x0c => at += 1,
            b'/' if text.get(at + 1) == Some(&b'/') => {
                at = text[at..].iter().position(|&b| b == b'\n').map_or(text.len(), |n| at + n);
            }
            _ => return Some(at),
        }
    }
}

/// One token at `start`: its kind and end, or the place of the first byte that fits no token.
fn token(text: &[u8], start: usize) -> Result<(Kind, usize), usize> {
    let first = text[start];
    match first {
        b'"' | b'\'' => quoted(text, start, false).map(|end| (Kind::String, end)),
        b'`' => escaped_ident(text, start),
        b'0'..=b'9' => Ok(number(text, start)),
        b'.' if text.get(start + 1).is_some_and(u8::is_ascii_digit) => Ok(number(text, start)),
        b'_' | b'a'..=b'z' | b'A'..=b'Z' => Ok(prefixed_string(text, start).unwrap_or_else(|| word(text, start))),
        _ => punctuation(text, start),
    }
}

fn punctuation(text: &[u8], start: usize) -> Result<(Kind, usize), usize> {
    let next = text.get(start + 1).copied();
    let (kind, length) = match (text[start], next) {
        (b'=', Some(b'=')) => (Kind::Equals, 2),
        (b'!', Some(b'=')) => (Kind::NotEquals, 2),
        (b'<', Some(b'=')) => (Kind::LessEquals, 2),
        (b'>', Some(b'=')) => (Kind::GreaterEquals, 2),
        (b'&', Some(b'&')) => (Kind::And, 2),
        (b'|', Some(b'|')) => (Kind::Or, 2),
        (b'=' | b'&' | b'|', _) => return Err(start + 1),
        (b'<', _) => (Kind::Less, 1),
        (b'>', _) => (Kind::Greater, 1),
        (b'!', _) => (Kind::Exclamation, 1),
        (b'[', _) => (Kind::LeftBracket, 1),
        (b']', _) => (Kind::RightBracket, 1),
        (b'{', _) => (Kind::LeftBrace, 1),
        (b'}', _) => (Kind::RightBrace, 1),
        (b'(', _) => (Kind::LeftParen, 1),
        (b')', _) => (Kind::RightParen, 1),
        (b'.', _) => (Kind::Dot, 1),
        (b',', _) => (Kind::Comma, 1),
        (b'-', _) => (Kind::Minus, 1),
        (b'?', _) => (Kind::Question, 1),
        (b':', _) => (Kind::Colon, 1),
        (b'+', _) => (Kind::Plus, 1),
        (b'*', _) => (Kind::Star, 1),
        (b'/', _) => (Kind::Slash, 1),
        (b'%', _) => (Kind::Percent, 1),
        _ => return Err(start),
    };
    Ok((kind, start + length))
}

fn word(text: &[u8], start: usize) -> (Kind, usize) {
    let end = while_bytes(text, start, |b| b == b'_' || b.is_ascii_alphanumeric());
    let kind = match &text[start..end] {
        b"true" => Kind::True,
        b"false" => Kind::False,
        b"null" => Kind::Null,
        b"in" => Kind::In,
        _ => Kind::Ident,
    };
    (kind, end)
}

/// `r'…'`, `b'…'`, `br'…'` in either case; none when the letters are the start of a word.
fn prefixed_string(text: &[u8], start: usize) -> Option<(Kind, usize)> {
    let bytes = matches!(text[start], b'b' | b'B');
    let mut at = start + usize::from(bytes);
    let raw = matches!(text.get(at), Some(b'r' | b'R'));
    at += usize::from(raw);
    if at == start || !matches!(text.get(at), Some(b'"' | b'\'')) {
        return None;
    }
    let end = quoted(text, at, raw).ok()?;
    Some((if bytes { Kind::Bytes } else { Kind::String }, end))
}

/// End of the string whose first quote is at `start`, or the place of the byte that ends the hope for one.
fn quoted(text: &[u8], start: usize, raw: bool) -> Result<usize, usize> {
    let quote = text[start];
    let triple = [quote; 3];
    if text[start..].starts_with(&triple) {
        // An unclosed triple quote is an empty string before another quote, as the longest match has it.
        return closing(text, start + 3, &triple, raw).or(Ok(start + 2));
    }
    closing(text, start + 1, &triple[..1], raw)
}

fn closing(text: &[u8], mut at: usize, end: &[u8], raw: bool) -> Result<usize, usize> {
    loop {
        match text.get(at) {
            None => return Err(text.len()),
            Some(_) if text[at..].starts_with(end) => return Ok(at + end.len()),
            Some(b'\n' | b'\r') if end.len() == 1 => return Err(at),
            Some(b'\\') if !raw => at = escape(text, at + 1)?,
            Some(_) => at += 1,
        }
    }
}

/// End of an escape sequence whose backslash stands before `at`.
fn escape(text: &[u8], at: usize) -> Result<usize, usize> {
    let digits = |from: usize, count: usize, digit: fn(&u8) -> bool| {
        let bad = (from..from + count).find(|&i| !text.get(i).is_some_and(digit));
        bad.map_or(Ok(from + count), |i| Err(i.min(text.len())))
    };
    let octal = |b: &u8| matches!(b, b'0'..=b'7');
    match text.get(at) {
        Some(b'a' | b'b' | b'f' | b'n' | b'r' | b't' | b'v' | b'"' | b'\'' | b'\\' | b'?' | b'`') => Ok(at + 1),
        Some(b'x' | b'X') => digits(at + 1, 2, u8::is_ascii_hexdigit),
        Some(b'u') => digits(at + 1, 4, u8::is_ascii_hexdigit),
        Some(b'U') => digits(at + 1, 8, u8::is_ascii_hexdigit),
        Some(b'0'..=b'3') => digits(at + 1, 2, octal),
        _ => Err(at.min(text.len())),
    }
}

fn escaped_ident(text: &[u8], start: usize) -> Result<(Kind, usize), usize> {
    let inside = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'/' | b' ');
    let end = while_bytes(text, start + 1, inside);
    if end > start + 1 && text.get(end) == Some(&b'`') { Ok((Kind::EscapedIdent, end + 1)) } else { Err(end) }
}

fn number(text: &[u8], start: usize) -> (Kind, usize) {
    if text[start..].starts_with(b"0x") && text.get(start + 2).is_some_and(u8::is_ascii_hexdigit) {
        let end = while_bytes(text, start + 2, |b| b.is_ascii_hexdigit());
        return unsigned_suffix(text, end);
    }
    let mut end = while_bytes(text, start, |b| b.is_ascii_digit());
    let mut float = false;
    if text.get(end) == Some(&b'.') && text.get(end + 1).is_some_and(u8::is_ascii_digit) {
        end = while_bytes(text, end + 1, |b| b.is_ascii_digit());
        float = true;
    }
    if matches!(text.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        if text.get(end + 1 + sign).is_some_and(u8::is_ascii_digit) {
            end = while_bytes(text, end + 1 + sign, |b| b.is_ascii_digit());
            float = true;
        }
    }
    if float { (Kind::Float, end) } else { unsigned_suffix(text, end) }
}

fn unsigned_suffix(text: &[u8], end: usize) -> (Kind, usize) {
    if matches!(text.get(end), Some(b'u' | b'U')) { (Kind::Uint, end + 1) } else { (Kind::Int, end) }
}

fn while_bytes(text: &[u8], start: usize, accept: impl Fn(u8) -> bool) -> usize {
    text[start..].iter().position(|&b| !accept(b)).map_or(text.len(), |n| start + n)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lex(text: &str) -> (Vec<(Kind, &str)>, Vec<String>) {
        let mut issues = Vec::new();
        let tokens = tokens(text, &mut issues, 100);
        let slices = tokens.iter().map(|t| (t.kind, &text[t.span.start as usize..t.span.end as usize])).collect();
        (slices, issues.into_iter().map(|i| i.message).collect())
    }

    #[test]
    fn the_longest_match_wins() {
        use Kind::*;
        let (found, issues) = lex("0x1Fu 0x 1. .5e3 1e 12U inx in b'x' rb'y' br'\\d' ''' a.b");
        assert!(issues == ["Syntax error: token recognition error at: '' a.b'"], "{issues:?}");
        assert_eq!(
            found,
            [
                (Uint, "0x1Fu"),
                (Int, "0"),
                (Ident, "x"),
                (Int, "1"),
                (Dot, "."),
                (Float, ".5e3"),
                (Int, "1"),
                (Ident, "e"),
                (Uint, "12U"),
                (Ident, "inx"),
                (In, "in"),
                (Bytes, "b'x'"),
                (Ident, "rb"),
                (String, "'y'"),
                (Bytes, "br'\\d'"),
                (String, "''"),
                (End, ""),
            ]
        );
    }

    #[test]
    fn a_bad_character_is_reported_with_what_was_read_before_it() {
        for (text, expected) in [
            ("'abc", vec!["'abc"]),
            ("'a\\qb'", vec!["'a\\q", "'"]),
            ("a & b", vec!["& "]),
            ("\"\\x4\"", vec!["\"\\x4\""]),
            ("é", vec!["é"]),
            ("'é\n", vec!["'é\n"]),
            ("=", vec!["="]),
        ] {
            let expected: Vec<_> =
                expected.iter().map(|e| format!("Syntax error: token recognition error at: '{e}'")).collect();
            assert_eq!(lex(text).1, expected, "{text}");
        }
    }
}
