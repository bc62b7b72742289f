//! Does a value fit its type, and does it touch what only a whole may replace?

use std::collections::HashSet;

use stockade_cel::Value;

use super::atom::{Atom, ListAtom, MapAtom, Scalar, TypeRef, is_scalar};
use super::key::Key;
use super::{Form, MAX_PROBLEMS, Problem, Problems};
use crate::json;

/// `duplicates`: whether items of an associative list may share a key.
pub(super) fn validate(ty: TypeRef, value: Value<'_>, duplicates: bool) -> Result<(), Problems> {
    let mut walk = Walk { path: String::new(), problems: Vec::new(), duplicates };
    walk.value(ty, value);
    if walk.problems.is_empty() { Ok(()) } else { Err(Problems(walk.problems)) }
}

struct Walk {
    path: String,
    problems: Vec<Problem>,
    duplicates: bool,
}

impl Walk {
    fn value(&mut self, ty: TypeRef, value: Value<'_>) {
        if self.problems.len() >= MAX_PROBLEMS {
            return;
        }
        let atom = Atom::of(ty);
        let scalar = atom.scalar;
        match (atom.form(Some(value)), value) {
            (Form::Leaf, _) => self.scalar(scalar, value),
            (Form::List(_) | Form::Map(_), Value::Null) => {}
            (Form::List(list), Value::List(items)) => self.list(&list, items),
            (Form::List(_), other) => self.problem(format!("expected list, got &{{{}}}", go(other))),
            (Form::Map(map), other) => match json::object(other) {
                Some(object) => self.map(&map, object),
                None => self.problem(format!("expected map, got &{{{}}}", go(other))),
            },
        }
    }

    fn scalar(&mut self, scalar: Option<Scalar>, value: Value<'_>) {
        if matches!(value, Value::Null) {
            return;
        }
        let fault = match scalar {
            Some(Scalar::Number) if !matches!(value, Value::Int(_) | Value::Double(_)) => {
                format!("expected numeric (int or float), got {}", go_type(value))
            }
            Some(Scalar::String) if !matches!(value, Value::String(_)) => {
                format!("expected string, got &value.valueUnstructured{{Value:{}}}", go_syntax(value))
            }
            Some(Scalar::Bool) if !matches!(value, Value::Bool(_)) => {
                format!("expected boolean, got &{{{}}}", go(value))
            }
            Some(Scalar::Any) if !is_scalar(value) => format!("expected any scalar, got &{{{}}}", go(value)),
            None => "schema error: invalid atom: inlined".to_owned(),
            Some(_) => return,
        };
        self.problem(fault);
    }

    fn list(&mut self, list: &ListAtom, items: &[Value<'_>]) {
        let mut seen = HashSet::new();
        for (i, item) in items.iter().enumerate() {
            let step = if list.atomic {
                format!("[{i}]")
            } else {
                let key = match Key::of(list, *item) {
                    Ok(key) => key,
                    // Without a key the rest of the list cannot be told apart either.
                    Err(fault) => return self.problem(format!("element {i}: {fault}")),
                };
                if !seen.insert(key.clone()) && !self.duplicates {
                    self.problem(format!("duplicate entries for key {}", key.0));
                }
                key.0
            };
            self.below(&step, |walk| walk.value(list.element, *item));
        }
    }

    fn map(&mut self, map: &MapAtom, object: &stockade_cel::Object<'_>) {
        for e in object.entries() {
            let step = format!(".{}", e.key);
            match map.member(e.key) {
                TypeRef::Undeclared => {
                    return self.below(&step, |walk| walk.problem("field not declared in schema".to_owned()));
                }
                ty => self.below(&step, |walk| walk.value(ty, e.value)),
            }
        }
    }

    fn below(&mut self, step: &str, then: impl FnOnce(&mut Self)) {
        let end = self.path.len();
        self.path.push_str(step);
        then(self);
        self.path.truncate(end);
    }

    fn problem(&mut self, text: String) {
        self.problems.push(Problem { path: self.path.clone(), text });
    }
}

/// Paths of all atomic lists, maps and structs that a value sets.
pub(super) fn atomics(ty: TypeRef, value: Value<'_>) -> Vec<String> {
    let mut found = Vec::new();
    collect(ty, value, &mut String::new(), &mut found);
    found
}

fn collect(ty: TypeRef, value: Value<'_>, path: &mut String, found: &mut Vec<String>) {
    if found.len() >= MAX_PROBLEMS {
        return;
    }
    let atom = Atom::of(ty);
    let end = path.len();
    if let (Some(object), Some(map)) = (json::object(value), &atom.map) {
        if map.atomic {
            found.push(path.clone());
        }
        for e in object.entries() {
            // Without a schema every list counts, at any depth; with one, members of plain maps are not looked at.
            let deduced = map.is_deduced().then_some(TypeRef::Deduced);
            if let Some(ty) = map.declared(e.key).or(deduced) {
                path.push('.');
                path.push_str(e.key);
                collect(ty, e.value, path, found);
                path.truncate(end);
            }
        }
    }
    if let (Value::List(items), Some(list)) = (value, &atom.list) {
        if list.atomic {
            found.push(path.clone());
        }
        for (i, item) in items.iter().enumerate() {
            path.push_str(&format!("[{i}]"));
            collect(list.element, *item, path, found);
            path.truncate(end);
        }
    }
}

/// As Go's `%v` prints the value.
fn go(value: Value<'_>) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Int(i) => i.to_string(),
        Value::Uint(u) => u.to_string(),
        Value::Double(d) => d.to_string(),
        Value::String(s) => s.to_owned(),
        Value::List(items) => format!("[{}]", items.iter().map(|i| go(*i)).collect::<Vec<_>>().join(" ")),
        other => match json::object(other) {
            Some(object) => {
                let mut members: Vec<_> = object.entries().iter().map(|e| (e.key, go(e.value))).collect();
                members.sort_unstable();
                let members: Vec<_> = members.iter().map(|(k, v)| format!("{k}:{v}")).collect();
                format!("map[{}]", members.join(" "))
            }
            None => go_type(other).to_owned(),
        },
    }
}

/// As Go's `%#v` prints the value.
fn go_syntax(value: Value<'_>) -> String {
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::String(s) => format!("{s:?}"),
        Value::List(items) => {
            format!("[]interface {{}}{{{}}}", items.iter().map(|i| go_syntax(*i)).collect::<Vec<_>>().join(", "))
        }
        other => match json::object(other) {
            Some(object) => {
                let mut members: Vec<_> = object.entries().iter().map(|e| (e.key, go_syntax(e.value))).collect();
                members.sort_unstable();
                let members: Vec<_> = members.iter().map(|(k, v)| format!("{k:?}:{v}")).collect();
                format!("map[string]interface {{}}{{{}}}", members.join(", "))
            }
            None => go(other),
        },
    }
}

/// As Go's `%T` prints the value's type.
fn go_type(value: Value<'_>) -> &'static str {
    match value {
        Value::Null | Value::Optional(None) => "<nil>",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int64",
        Value::Uint(_) => "uint64",
        Value::Double(_) => "float64",
        Value::String(_) | Value::Type(_) => "string",
        Value::Bytes(_) => "[]uint8",
        Value::Duration(_) => "time.Duration",
        Value::Timestamp(_) => "time.Time",
        Value::List(_) => "[]interface {}",
        Value::Object(_) | Value::Map(_) | Value::Struct(_) => "map[string]interface {}",
        Value::Optional(Some(inner)) => go_type(*inner),
        Value::Opaque(o) => o.type_name(),
    }
}
