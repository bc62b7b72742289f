//! Objects in another version of the same kind, for policies that match by `matchPolicy: Equivalent`.
//!
//! The API server converts through its internal types, or as a CustomResourceDefinition says. Here a custom resource
//! is converted as its strategy `None` does: the apiVersion changes and nothing else. The built-in kinds that 1.36
//! serves in two versions (HorizontalPodAutoscaler, Event) differ in their fields: there the policy fails under its
//! failurePolicy with a message that says what to match instead, because judging an object by rules written for other
//! fields would be worse than either answer.

use stockade_cel::Value;
use stockade_schema::Kinds;

use crate::facts::Into;
use crate::request::{GroupVersionKind, Members};

/// Two versions whose objects differ.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to convert object version: {from} and {to} have different fields; name {from} in the policy's rules")]
pub struct NoConversion {
    from: String,
    to: String,
}

/// The object as another kind; itself when that is its own, and null for null.
///
/// # Errors
/// The kinds are built in and declare different fields.
pub(crate) fn convert<'a>(
    object: Value<'a>,
    from: GroupVersionKind<'_>,
    to: GroupVersionKind<'_>,
    into: Into<'a>,
) -> Result<Value<'a>, NoConversion> {
    let Some(members) = object.as_object().filter(|_| from != to) else { return Ok(object) };
    let builtin = |k: GroupVersionKind<'_>| Kinds::builtin().by_gvk(k.group, k.version, k.kind).is_some();
    if from.kind != to.kind || builtin(from) || builtin(to) {
        return Err(NoConversion { from: from.to_string(), to: to.to_string() });
    }
    let mut converted = Members::new(into.arena, into.symbols);
    for e in members.entries() {
        let value = match e.key {
            "apiVersion" => Value::String(into.arena.alloc_str(&to.api_version())),
            _ => e.value,
        };
        converted.push(e.key, value);
    }
    Ok(converted.finish())
}

#[cfg(test)]
mod tests {
    use bumpalo::Bump;
    use serde_json::json;
    use stockade_cel::Symbols;
    use stockade_cel::document::from_json;

    use super::*;

    fn converted(object: &serde_json::Value, to: &str) -> Result<serde_json::Value, String> {
        let (arena, symbols) = (Bump::new(), Symbols::new());
        let kind = object["kind"].as_str().unwrap();
        let from = GroupVersionKind::from_api_version(object["apiVersion"].as_str().unwrap(), kind);
        let to = GroupVersionKind::from_api_version(to, kind);
        let value = from_json(object, &arena, &symbols).unwrap();
        let converted = convert(value, from, to, Into { arena: &arena, symbols: &symbols });
        converted.map(|v| serde_json::to_value(v).unwrap()).map_err(|e| e.to_string())
    }

    #[test]
    fn versions_of_a_custom_resource_differ_only_in_their_api_version() {
        let rule = json!({"apiVersion": "example.com/v1", "kind": "Rule", "spec": {"a": 1}});
        assert_eq!(
            converted(&rule, "example.com/v2"),
            Ok(json!({"apiVersion": "example.com/v2", "kind": "Rule", "spec": {"a": 1}}))
        );
    }

    #[test]
    fn versions_with_other_fields_are_an_error_that_says_what_to_do() {
        let scaler = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler"});
        let error = converted(&scaler, "autoscaling/v1").unwrap_err();
        assert_eq!(
            error,
            "failed to convert object version: autoscaling/v2, Kind=HorizontalPodAutoscaler and autoscaling/v1, \
             Kind=HorizontalPodAutoscaler have different fields; name autoscaling/v2, Kind=HorizontalPodAutoscaler in \
             the policy's rules"
        );
    }
}
