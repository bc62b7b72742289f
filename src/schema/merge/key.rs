//! What tells the items of an associative list apart.

use std::fmt::Write;

use stockade_cel::Value;

use super::atom::{ListAtom, TypeRef};
use crate::json;

/// The key of an item, as error messages show it: `[name="a"]`, `[="x"]`. Equal keys have equal text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Key(pub(super) String);

impl Key {
    /// # Errors
    /// Why the item has no key, in upstream's words.
    pub(super) fn of(list: &ListAtom, item: Value<'_>) -> Result<Self, String> {
        if list.keys.is_empty() {
            return set_key(item);
        }
        let fields = match item {
            Value::Null => return Err("associative list with keys may not have a null element".to_owned()),
            other => json::object(other).ok_or("associative list with keys may not have non-map elements")?,
        };
        let mut parts: Vec<(&str, String)> = Vec::new();
        for name in list.keys {
            match fields.get(name) {
                Some(value) => parts.push((name, text(value))),
                None => parts.extend(default(list, name).map(|text| (*name, text))),
            }
        }
        if parts.is_empty() {
            return Err(format!(
                "associative list with keys has an element that omits all key fields {:?} (and doesn't have default \
                 values for any key fields)",
                list.keys
            )
            .replace("\", \"", "\" \""));
        }
        parts.sort_unstable();
        let mut key = String::from("[");
        for (i, (name, value)) in parts.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let _ = write!(key, "{comma}{name}={value}");
        }
        key.push(']');
        Ok(Key(key))
    }
}

fn set_key(item: Value<'_>) -> Result<Key, String> {
    if json::object(item).is_some() {
        return Err("associative list without keys has an element that's a map type".to_owned());
    }
    match item {
        Value::List(_) => Err("not supported: associative list with lists as elements".to_owned()),
        Value::Null => Err("associative list without keys has an element that's an explicit null".to_owned()),
        item => Ok(Key(format!("[={}]", text(item)))),
    }
}

/// Declared default of a key field: a scalar, whose JSON text is its text here.
fn default(list: &ListAtom, name: &str) -> Option<String> {
    let TypeRef::Type(element) = list.element else { return None };
    element.field(name)?.default.map(str::to_owned)
}

/// A value as upstream shows it in a path.
fn text(value: Value<'_>) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Int(i) => i.to_string(),
        // Whole numbers equal the integer.
        Value::Double(d) => d.to_string(),
        Value::String(s) => format!("{s:?}"),
        Value::List(items) => {
            format!("[{}]", items.iter().map(|i| text(*i)).collect::<Vec<_>>().join(","))
        }
        other => match json::object(other) {
            Some(object) => object.entries().iter().map(|e| format!("{}={}", e.key, text(e.value))).collect(),
            None => "{{undefined}}".to_owned(),
        },
    }
}
