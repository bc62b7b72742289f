//! From the value of a mutation's expression to the changed object.

use stockade_cel::limits::MAX_DOCUMENT_DEPTH;
use stockade_cel::value::Struct;
use stockade_cel::{Object, Value};
use stockade_schema::json_patch::{self, MAX_ADDED_BYTES, Operation, PatchError};
use stockade_schema::{Kind, Kinds, merge as structured};

use crate::decision::Status;
use crate::facts::Into;
use crate::request::Members;

/// Why a mutation was not applied.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum MutationError {
    /// Counts under failurePolicy.
    Policy(String),
    /// Ends the request whatever the failurePolicy: the object would be none any more.
    Request(Status),
}

/// Largest integer that JSON numbers hold exactly; cel-go turns larger ones into strings.
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// Applies an apply configuration.
pub(super) fn merge<'a>(object: Value<'a>, value: Value<'a>, into: Into<'a>) -> Result<Value<'a>, MutationError> {
    let Value::Struct(configuration) = value else {
        return Err(failed("unsupported return type from ApplyConfiguration expression"));
    };
    check_type_names(configuration)?;
    structured::apply(kind_of(object), object, value, into.arena, into.symbols)
        .map_err(|e| MutationError::Policy(format!("error applying patch: {e}")))
}

/// Applies a JSON Patch.
pub(super) fn patch<'a>(object: Value<'a>, value: Value<'a>, into: Into<'a>) -> Result<Value<'a>, MutationError> {
    let Value::List(list) = value else {
        return Err(failed("type mismatch: JSONPatchType.expression should evaluate to array"));
    };
    let mut operations = Vec::with_capacity(list.len());
    let mut room = MAX_ADDED_BYTES;
    for item in list {
        let Value::Struct(item) = item else {
            return Err(failed("type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch"));
        };
        operations.push(operation(item, &mut room, into)?);
    }
    match json_patch::apply(object, &operations, into.arena, into.symbols) {
        Ok(patched) if matches!(patched, Value::Object(_)) => still_the_same_kind(object, patched),
        Ok(_) => Err(not_an_object("the patched object is not a JSON object")),
        Err(PatchError::TestFailed(_)) => Ok(object),
        Err(error) => Err(MutationError::Policy(format!("JSON Patch: {error}"))),
    }
}

/// A patch that makes the object another kind, or gives it fields or types that its kind does not have, is refused: the
/// API server decodes the result strictly and ends the request when that fails.
fn still_the_same_kind<'a>(before: Value<'a>, after: Value<'a>) -> Result<Value<'a>, MutationError> {
    for key in ["apiVersion", "kind"] {
        let text = |v: Value<'a>| v.get(key).and_then(Value::as_str);
        if text(before).is_some() && text(before) != text(after) {
            return Err(not_an_object(&format!("the patch changes {key}")));
        }
    }
    match kind_of(before) {
        // What did not fit before, an object straight from a file, is not the patch's fault.
        Some(kind) if structured::conforms(kind, before).is_ok() => {
            let misfit = |e| not_an_object(&format!("the patched object is no {}: {e}", kind.kind));
            structured::conforms(kind, after).map_err(misfit)?;
        }
        _ => {}
    }
    Ok(after)
}

fn kind_of(object: Value<'_>) -> Option<&'static Kind> {
    let text = |key| object.get(key).and_then(Value::as_str).unwrap_or("");
    Kinds::builtin().by_api_version(text("apiVersion"), text("kind"))
}

fn operation<'a>(item: &'a Struct<'a>, room: &mut usize, into: Into<'a>) -> Result<Operation<'a>, MutationError> {
    let text = |key| item.fields.get(key).and_then(Value::as_str).unwrap_or("");
    let value = match item.fields.get("value") {
        None => None,
        Some(value) => {
            if let Value::Struct(object) = value {
                check_type_names(object)?;
            }
            let plain = json(value, MAX_DOCUMENT_DEPTH, room, into).map_err(|why| {
                let what = "JSONPath valueExpression evaluated to a type that could not marshal to JSON";
                MutationError::Policy(format!("{what}: {why}"))
            })?;
            Some(plain)
        }
    };
    let from = Some(text("from")).filter(|f| !f.is_empty());
    Ok(Operation { op: text("op"), path: text("path"), from, value })
}

/// A value as the JSON value that cel-go converts it to.
///
/// Values of an expression share structure, so a small one may stand for a huge text: `room` is how many bytes may
/// still be copied.
fn json<'a>(value: Value<'a>, depth: usize, room: &mut usize, into: Into<'a>) -> Result<Value<'a>, String> {
    let Some(depth) = depth.checked_sub(1) else { return Err("nested too deep".to_owned()) };
    // A value takes more in the arena than the shortest JSON of one.
    let bytes = value.as_str().map_or(0, str::len).max(8);
    let Some(left) = room.checked_sub(bytes) else { return Err(PatchError::TooLarge.to_string()) };
    *room = left;
    let text = |t: String| Value::String(into.arena.alloc_str(&t));
    Ok(match value {
        Value::Null | Value::Bool(_) | Value::Double(_) | Value::String(_) => value,
        Value::Int(i) if i.unsigned_abs() <= MAX_SAFE_INTEGER => value,
        Value::Int(i) => text(i.to_string()),
        Value::Uint(u) if u <= MAX_SAFE_INTEGER => Value::Int(u as i64),
        Value::Uint(u) => text(u.to_string()),
        Value::Bytes(_) | Value::Duration(_) | Value::Timestamp(_) => {
            // These serialise as strings.
            let json = serde_json::to_value(value).map_err(|e| e.to_string())?;
            text(json.as_str().unwrap_or_default().to_owned())
        }
        Value::List(list) => {
            let mut items = bumpalo::collections::Vec::with_capacity_in(list.len(), into.arena);
            for item in list {
                items.push(json(*item, depth, room, into)?);
            }
            Value::List(items.into_bump_slice())
        }
        Value::Object(object) => members(object, depth, room, into)?,
        Value::Struct(item) => members(&item.fields, depth, room, into)?,
        Value::Map(entries) => {
            let mut members = Members::new(into.arena, into.symbols);
            for (key, value) in entries {
                let Value::String(key) = key else {
                    return Err("unsupported type conversion of a map key to 'string'".to_owned());
                };
                members.push(key, json(*value, depth, room, into)?);
            }
            members.finish()
        }
        Value::Optional(Some(inner)) => json(*inner, depth, room, into)?,
        Value::Optional(None) => return Err("optional.none() dereference".to_owned()),
        Value::Type(name) => return Err(format!("type conversion not supported for 'type' {name}")),
        Value::Opaque(o) => return Err(format!("unsupported native conversion of {}", o.type_name())),
    })
}

fn members<'a>(object: &Object<'a>, depth: usize, room: &mut usize, into: Into<'a>) -> Result<Value<'a>, String> {
    let mut members = Members::new(into.arena, into.symbols);
    for e in object.entries() {
        members.push(e.key, json(e.value, depth, room, into)?);
    }
    Ok(members.finish())
}

/// Each `Object.a.b{…}` must stand where its name says, because nothing else checks the type names of initialisers.
fn check_type_names(root: &Struct<'_>) -> Result<(), MutationError> {
    let mut names = Names { path: root.type_name.to_owned(), faults: Vec::new(), left: MAX_ADDED_BYTES };
    names.check(Value::Struct(root), MAX_DOCUMENT_DEPTH);
    if names.faults.is_empty() {
        return Ok(());
    }
    Err(MutationError::Policy(format!("type mismatch: {}", names.faults.join("\n"))))
}

/// Most faults told of one expression.
const MAX_FAULTS: usize = 20;

/// A walk over initialisers.
struct Names {
    path: String,
    faults: Vec<String>,
    /// Values still looked at. What has more is too large to be applied, which is told then.
    left: usize,
}

impl Names {
    fn check(&mut self, value: Value<'_>, depth: usize) {
        let (Some(depth), Some(left)) = (depth.checked_sub(1), self.left.checked_sub(1)) else { return };
        self.left = left;
        if self.faults.len() >= MAX_FAULTS {
            return;
        }
        match value {
            Value::Struct(item) => {
                if item.type_name != self.path {
                    self.faults.push(format!(
                        "unexpected type name {:?}, expected {:?}, which matches field name path from root Object type",
                        item.type_name, self.path
                    ));
                }
                for e in item.fields.entries() {
                    let end = self.path.len();
                    self.path.push('.');
                    self.path.push_str(e.key);
                    self.check(e.value, depth);
                    self.path.truncate(end);
                }
            }
            // Documents hold no initialisers; only lists and maps that the expression made can, and both look alike.
            Value::List(list) => list.iter().for_each(|v| self.check(*v, depth)),
            Value::Object(object) => object.entries().iter().for_each(|e| self.check(e.value, depth)),
            Value::Map(entries) => entries.iter().for_each(|(_, v)| self.check(*v, depth)),
            _ => {}
        }
    }
}

fn failed(text: &str) -> MutationError {
    MutationError::Policy(text.to_owned())
}

fn not_an_object(why: &str) -> MutationError {
    let message = format!("Internal error occurred: {why}");
    MutationError::Request(Status { code: 500, reason: "InternalError".to_owned(), message })
}

/// The changed fields, for people: the first few paths.
pub(super) fn summary(operations: &[Operation<'_>]) -> String {
    const SHOWN: usize = 5;
    let mut text = operations.iter().take(SHOWN).map(|o| o.path).collect::<Vec<_>>().join(", ");
    if operations.len() > SHOWN {
        text.push_str(&format!(" and {} more", operations.len() - SHOWN));
    }
    text
}

#[cfg(test)]
mod tests;
