//! Percent-encoding, as Go's `net/url` does it in each part of a URL.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::library::support::{Quoted, QuotedBytes};

/// A part of a URL: characters beside letters, digits and `-._~` that stand for themselves in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    plain: &'static str,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Host,
    Zone,
    Query,
}

const HOST_CHARACTERS: &str = "!\"$&'()*+,:;<=>[]";

pub(super) const PATH: Part = Part { plain: "$&+,/:;=@", kind: Kind::Text };
pub(super) const HOST: Part = Part { plain: HOST_CHARACTERS, kind: Kind::Host };
pub(super) const ZONE: Part = Part { plain: HOST_CHARACTERS, kind: Kind::Zone };
pub(super) const USER: Part = Part { plain: "$&+,;=", kind: Kind::Text };
pub(super) const QUERY: Part = Part { plain: "", kind: Kind::Query };
pub(super) const FRAGMENT: Part = Part { plain: "!$&()*+,/:;=?@", kind: Kind::Text };

impl Part {
    fn keeps(self, byte: u8) -> bool {
        byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || self.plain.as_bytes().contains(&byte)
    }
}

/// Replaces what the part does not keep.
pub(super) fn escape(bytes: &[u8], part: Part) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        if part.keeps(byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Whether a path or fragment is written as it may be, if not as Go would write it.
pub(super) fn is_valid(text: &str, part: Part) -> bool {
    text.bytes().all(|b| b"!$&'()*+,;=:@[]%".contains(&b) || part.keeps(b))
}

/// Resolves escapes. Bytes that are not UTF-8 are kept in [`unescape_bytes`] only.
pub(super) fn unescape(text: &str, part: Part) -> Result<Cow<'_, str>, String> {
    Ok(match unescape_bytes(text, part)? {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    })
}

/// Resolves escapes.
///
/// # Errors
/// In Go's words.
pub(super) fn unescape_bytes(text: &str, part: Part) -> Result<Cow<'_, [u8]>, String> {
    let bytes = text.as_bytes();
    let mut changed = false;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'%' => {
                changed = true;
                check_escape(bytes, at, part)?;
                at += 3;
            }
            b'+' => {
                changed |= part.kind == Kind::Query;
                at += 1;
            }
            byte => {
                if matches!(part.kind, Kind::Host | Kind::Zone) && byte.is_ascii() && !part.keeps(byte) {
                    let quoted = text.get(at..=at).unwrap_or_default();
                    return Err(format!("invalid character {} in host name", Quoted(quoted)));
                }
                at += 1;
            }
        }
    }
    if !changed {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'%' => {
                out.push(escaped_byte(bytes, at).unwrap_or_default());
                at += 2;
            }
            b'+' if part.kind == Kind::Query => out.push(b' '),
            byte => out.push(byte),
        }
        at += 1;
    }
    Ok(Cow::Owned(out))
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|d| d as u8)
}

/// What `%xy` at this place stands for.
fn escaped_byte(bytes: &[u8], at: usize) -> Option<u8> {
    Some(hex(*bytes.get(at + 1)?)? << 4 | hex(*bytes.get(at + 2)?)?)
}

fn check_escape(bytes: &[u8], at: usize, part: Part) -> Result<(), String> {
    let written = &bytes[at..(at + 3).min(bytes.len())];
    let fault = || Err(format!("invalid URL escape {}", QuotedBytes(written)));
    let Some(byte) = escaped_byte(bytes, at) else { return fault() };
    let percent = written == b"%25";
    match part.kind {
        // In a host only what is not ASCII may be escaped, and the sign that starts a zone.
        Kind::Host if byte.is_ascii() && !percent => fault(),
        Kind::Zone if !percent && byte != b' ' && !HOST.keeps(byte) => fault(),
        _ => Ok(()),
    }
}
