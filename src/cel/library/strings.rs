//! Strings (cel-go `ext.Strings` version 2). Positions count code points.

pub(crate) mod format;

use bumpalo::collections::{String as ArenaString, Vec as ArenaVec};

use super::support::{Answer, fail, native, reserve, traversals, traverse_once, traverse_twice, tree_cost};
use crate::error::ErrorKind;
use crate::functions::{Function, Scope};
use crate::render::Shown;
use crate::value::Value;

/// The functions of this library.
pub fn functions() -> Vec<Function> {
    vec![
        native("charAt", &[("string_char_at_int", "string.(int) -> string")], char_at, crate::functions::constant_cost),
        native(
            "indexOf",
            &[
                ("string_index_of_string", "string.(string) -> int"),
                ("string_index_of_string_int", "string.(string, int) -> int"),
            ],
            index_of,
            tree_cost,
        ),
        native(
            "lastIndexOf",
            &[
                ("string_last_index_of_string", "string.(string) -> int"),
                ("string_last_index_of_string_int", "string.(string, int) -> int"),
            ],
            last_index_of,
            tree_cost,
        ),
        native("lowerAscii", &[("string_lower_ascii", "string.() -> string")], lower_ascii, traverse_once),
        native("upperAscii", &[("string_upper_ascii", "string.() -> string")], upper_ascii, traverse_once),
        native(
            "replace",
            &[
                ("string_replace_string_string", "string.(string, string) -> string"),
                ("string_replace_string_string_int", "string.(string, string, int) -> string"),
            ],
            replace,
            traverse_twice,
        ),
        native(
            "split",
            &[
                ("string_split_string", "string.(string) -> list(string)"),
                ("string_split_string_int", "string.(string, int) -> list(string)"),
            ],
            split,
            traverse_twice,
        ),
        native(
            "substring",
            &[
                ("string_substring_int", "string.(int) -> string"),
                ("string_substring_int_int", "string.(int, int) -> string"),
            ],
            substring,
            traverse_once,
        ),
        native("trim", &[("string_trim", "string.() -> string")], trim, traverse_once),
        native(
            "join",
            &[("list_join", "list(string).() -> string"), ("list_join_string", "list(string).(string) -> string")],
            join,
            |_, _, result| traversals(result.cost_size(), 2.0),
        ),
        native("strings.quote", &[("strings_quote", "(string) -> string")], quote, traverse_once),
        native("format", &[("string_format", "string.(list(dyn)) -> string")], format::format, traverse_once),
    ]
}

/// Byte position of a code point; the length for the one behind the last; `None` further out.
fn byte_at(text: &str, position: i64) -> Option<usize> {
    let position = usize::try_from(position).ok()?;
    if text.is_ascii() {
        return (position <= text.len()).then_some(position);
    }
    text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(position)
}

fn code_points(text: &str) -> i64 {
    text.chars().count() as i64
}

fn out_of_range<'a>(scope: &Scope<'a>, position: i64) -> ErrorKind<'a> {
    fail(scope, format_args!("index out of range: {position}"))
}

fn char_at<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::String(text), Value::Int(at)] = *args else { return Err(ErrorKind::NoSuchOverload) };
    let rest = &text[byte_at(text, at).ok_or_else(|| out_of_range(scope, at))?..];
    let len = rest.chars().next().map_or(0, char::len_utf8);
    Ok(Value::String(&rest[..len]))
}

fn index_of<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let (text, part, offset) = match *args {
        [Value::String(text), Value::String(part)] => (text, part, 0),
        [Value::String(text), Value::String(part), Value::Int(offset)] => (text, part, offset),
        _ => return Err(ErrorKind::NoSuchOverload),
    };
    if part.is_empty() {
        return Ok(Value::Int(offset));
    }
    if offset < 0 {
        return Err(out_of_range(scope, offset));
    }
    let found = byte_at(text, offset).and_then(|start| Some((start, text[start..].find(part)?)));
    Ok(Value::Int(found.map_or(-1, |(start, at)| offset + code_points(&text[start..start + at]))))
}

fn last_index_of<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let (text, part, offset) = match *args {
        [Value::String(text), Value::String(part)] => (text, part, None),
        [Value::String(text), Value::String(part), Value::Int(offset)] => (text, part, Some(offset)),
        _ => return Err(ErrorKind::NoSuchOverload),
    };
    if part.is_empty() {
        return Ok(Value::Int(offset.unwrap_or_else(|| code_points(text))));
    }
    let found = match offset {
        None => text.rfind(part),
        Some(offset) if offset < 0 => return Err(out_of_range(scope, offset)),
        Some(offset) => match byte_at(text, offset) {
            // Behind the last code point nothing is found, however near.
            Some(start) if start < text.len() => {
                let mut end = (start + part.len()).min(text.len());
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                text[..end].rfind(part)
            }
            _ => None,
        },
    };
    Ok(Value::Int(found.map_or(-1, |at| code_points(&text[..at]))))
}

fn lower_ascii<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::String(text)] = *args else { return Err(ErrorKind::NoSuchOverload) };
    if !text.bytes().any(|b| b.is_ascii_uppercase()) {
        return Ok(Value::String(text));
    }
    reserve(text.len())?;
    let copy = scope.arena.alloc_str(text);
    copy.make_ascii_lowercase();
    Ok(Value::String(copy))
}

fn upper_ascii<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::String(text)] = *args else { return Err(ErrorKind::NoSuchOverload) };
    if !text.bytes().any(|b| b.is_ascii_lowercase()) {
        return Ok(Value::String(text));
    }
    reserve(text.len())?;
    let copy = scope.arena.alloc_str(text);
    copy.make_ascii_uppercase();
    Ok(Value::String(copy))
}

fn replace<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let (text, old, new, limit) = match *args {
        [Value::String(text), Value::String(old), Value::String(new)] => (text, old, new, -1),
        [Value::String(text), Value::String(old), Value::String(new), Value::Int(limit)] => (text, old, new, limit),
        _ => return Err(ErrorKind::NoSuchOverload),
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let count = text.matches(old).take(limit).count();
    if count == 0 || old == new {
        return Ok(Value::String(text));
    }
    let size = text.len().saturating_sub(count * old.len()).saturating_add(count.saturating_mul(new.len()));
    reserve(size)?;
    let mut out = ArenaString::with_capacity_in(size, scope.arena);
    let mut end = 0;
    for (at, part) in text.match_indices(old).take(count) {
        out.push_str(&text[end..at]);
        out.push_str(new);
        end = at + part.len();
    }
    out.push_str(&text[end..]);
    Ok(Value::String(out.into_bump_str()))
}

fn split<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let (text, separator, limit) = match *args {
        [Value::String(text), Value::String(separator)] => (text, separator, -1),
        [Value::String(text), Value::String(separator), Value::Int(limit)] => (text, separator, limit),
        _ => return Err(ErrorKind::NoSuchOverload),
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if limit == 0 || (separator.is_empty() && text.is_empty()) {
        return Ok(Value::List(&[]));
    }
    let count = if separator.is_empty() {
        text.chars().count().min(limit)
    } else {
        text.matches(separator).take(limit - 1).count() + 1
    };
    reserve(count.saturating_mul(size_of::<Value<'_>>()))?;
    let mut parts = ArenaVec::with_capacity_in(count, scope.arena);
    if separator.is_empty() {
        let mut rest = text;
        while parts.len() + 1 < count {
            let (first, tail) = rest.split_at(rest.chars().next().map_or(0, char::len_utf8));
            parts.push(Value::String(first));
            rest = tail;
        }
        parts.push(Value::String(rest));
    } else {
        parts.extend(text.splitn(count, separator).map(Value::String));
    }
    Ok(Value::List(parts.into_bump_slice()))
}

fn substring<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    match *args {
        [Value::String(text), Value::Int(start)] => {
            let start = byte_at(text, start).ok_or_else(|| out_of_range(scope, start))?;
            Ok(Value::String(&text[start..]))
        }
        [Value::String(text), Value::Int(start), Value::Int(end)] => {
            if start > end {
                return Err(fail(scope, format_args!("invalid substring range. start: {start}, end: {end}")));
            }
            let from = byte_at(text, start).ok_or_else(|| out_of_range(scope, start))?;
            let to = byte_at(text, end).ok_or_else(|| out_of_range(scope, end))?;
            Ok(Value::String(&text[from..to]))
        }
        _ => Err(ErrorKind::NoSuchOverload),
    }
}

fn trim<'a>(_: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::String(text)] = *args else { return Err(ErrorKind::NoSuchOverload) };
    Ok(Value::String(text.trim()))
}

fn join<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let (items, separator) = match *args {
        [Value::List(items)] => (items, ""),
        [Value::List(items), Value::String(separator)] => (items, separator),
        _ => return Err(ErrorKind::NoSuchOverload),
    };
    // Upstream looks at the first element to tell the type of a list.
    if !matches!(items.first(), None | Some(Value::String(_))) {
        return Err(ErrorKind::NoSuchOverload);
    }
    let mut size = separator.len().saturating_mul(items.len().saturating_sub(1));
    for item in items {
        let Value::String(text) = item else {
            return Err(fail(scope, format_args!("join: invalid input: {}", Shown(*item))));
        };
        size = size.saturating_add(text.len());
    }
    if let [Value::String(only)] = *items {
        return Ok(Value::String(only));
    }
    reserve(size)?;
    let mut out = ArenaString::with_capacity_in(size, scope.arena);
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push_str(separator);
        }
        out.push_str(item.as_str().unwrap_or_default());
    }
    Ok(Value::String(out.into_bump_str()))
}

fn quote<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::String(text)] = *args else { return Err(ErrorKind::NoSuchOverload) };
    reserve(text.len().saturating_mul(2))?;
    let mut out = ArenaString::with_capacity_in(text.len() + 2, scope.arena);
    out.push('"');
    for c in text.chars() {
        let escaped = match c {
            '\x07' => 'a',
            '\x08' => 'b',
            '\x0C' => 'f',
            '\n' => 'n',
            '\r' => 'r',
            '\t' => 't',
            '\x0B' => 'v',
            '\\' | '"' => c,
            _ => {
                out.push(c);
                continue;
            }
        };
        out.push('\\');
        out.push(escaped);
    }
    out.push('"');
    Ok(Value::String(out.into_bump_str()))
}

#[cfg(test)]
mod tests;
