//! Nulls, as the server's decoder takes them: a null member of a struct is as if it were not there, a null in a map or
//! list of strings is the empty string.

use bumpalo::Bump;
use stockade_cel::{Symbols, Value};

use crate::json;
use crate::shape::{Shape, TypeId};

/// The value without nulls; shared with the original where it has none.
pub(crate) fn drop<'a>(ty: Option<TypeId>, value: Value<'a>, arena: &'a Bump, symbols: &Symbols) -> Value<'a> {
    if has_nulls(value) { rebuild(ty, value, arena, symbols) } else { value }
}

fn has_nulls(value: Value<'_>) -> bool {
    match value {
        Value::Null => true,
        Value::List(items) => items.iter().any(|i| has_nulls(*i)),
        other => json::object(other).is_some_and(|o| o.entries().iter().any(|e| has_nulls(e.value))),
    }
}

fn rebuild<'a>(ty: Option<TypeId>, value: Value<'a>, arena: &'a Bump, symbols: &Symbols) -> Value<'a> {
    if let Value::List(items) = value {
        let element = ty.and_then(TypeId::element);
        let items = items.iter().map(|item| match item {
            Value::Null => zero(element).unwrap_or(Value::Null),
            item => rebuild(element, *item, arena, symbols),
        });
        return json::list(items.collect::<Vec<_>>(), arena);
    }
    let Some(object) = json::object(value) else { return value };
    let map = ty.and_then(|ty| match ty.shape() {
        Shape::Map { element, .. } => Some(*element),
        _ => None,
    });
    let members = object.entries().iter().filter_map(|e| match e.value {
        Value::Null => Some((e.key, zero(Some(map?))?)),
        value => Some((e.key, rebuild(ty.and_then(|ty| ty.member(e.key)), value, arena, symbols))),
    });
    json::build(members.collect::<Vec<_>>(), arena, symbols)
}

/// What a null of this type becomes where it cannot be left out.
fn zero(ty: Option<TypeId>) -> Option<Value<'static>> {
    match ty?.shape() {
        Shape::String(_) => Some(Value::String("")),
        Shape::Quantity => Some(Value::String("0")),
        Shape::Int { .. } => Some(Value::Int(0)),
        Shape::Bool => Some(Value::Bool(false)),
        Shape::Struct { .. } => Some(Value::Object(&stockade_cel::Object::EMPTY)),
        _ => None,
    }
}
