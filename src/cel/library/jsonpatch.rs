//! `jsonpatch.escapeKey`, which only mutations have.

use bumpalo::collections::String as ArenaString;

use super::support::{Answer, native, reserve, traverse_once};
use crate::error::ErrorKind;
use crate::functions::{Function, Scope};
use crate::value::Value;

/// The functions of this library.
pub fn functions() -> Vec<Function> {
    vec![native(
        "jsonpatch.escapeKey",
        &[("string_jsonpatch_escapeKey_string", "(string) -> string")],
        escape_key,
        traverse_once,
    )]
}

fn escape_key<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::String(key)] = *args else { return Err(ErrorKind::NoSuchOverload) };
    let special = key.bytes().filter(|b| matches!(b, b'/' | b'~')).count();
    if special == 0 {
        return Ok(Value::String(key));
    }
    reserve(key.len() + special)?;
    let mut out = ArenaString::with_capacity_in(key.len() + special, scope.arena);
    for c in key.chars() {
        match c {
            '/' => out.push_str("~1"),
            '~' => out.push_str("~0"),
            c => out.push(c),
        }
    }
    Ok(Value::String(out.into_bump_str()))
}
