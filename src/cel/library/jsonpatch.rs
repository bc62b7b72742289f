//! JSON Patch in mutations: `jsonpatch.escapeKey` and the type `JSONPatch`. Not part of the environment of validations.

use bumpalo::collections::String as ArenaString;

use super::support::{Answer, native, reserve, traverse_once};
use crate::env::StructProvider;
use crate::error::ErrorKind;
use crate::functions::{Function, Scope};
use crate::types::Type;
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

/// The type `JSONPatch{op, path, from, value}`.
#[derive(Debug)]
pub struct JsonPatchType;

impl StructProvider for JsonPatchType {
    fn has_struct(&self, name: &str) -> bool {
        name == "JSONPatch"
    }

    fn field(&self, structure: &str, field: &str) -> Option<Type> {
        match (structure, field) {
            ("JSONPatch", "op" | "path" | "from") => Some(Type::String),
            ("JSONPatch", "value") => Some(Type::Dyn),
            _ => None,
        }
    }

    fn constructible(&self, name: &str) -> bool {
        self.has_struct(name)
    }
}

fn escape_key<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::String(key)] = *args else { return Err(ErrorKind::NoSuchOverload) };
    let special = key.bytes().filter(|b| matches!(b, b'/' | b'~')).count();
    if special == 0 {
        return Ok(Value::String(key));
    }
    reserve(scope, key.len() + special)?;
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
