//! Objects in another version of the same kind, for policies that match by `matchPolicy: Equivalent`.
//!
//! The API server converts through its internal types, or as a CustomResourceDefinition says. Here a custom resource
//! is converted as its strategy `None` does: the apiVersion changes and nothing else. Events, which 1.36 serves in two
//! groups, differ in the names of fields. The versions of HorizontalPodAutoscaler differ in more: there the policy
//! fails under its failurePolicy with a message that says what to match instead, because judging an object by rules
//! written for other fields would be worse than either answer.

use stockade_cel::{Object, Value};
use stockade_schema::Kinds;

use crate::facts::Into;
use crate::request::{GroupVersionKind, Members};

/// Two versions whose objects differ.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to convert object version: {from} and {to} {why}; name {from} in the policy's rules")]
pub struct NoConversion {
    from: String,
    to: String,
    why: &'static str,
}

/// Fields of an Event in the core group, and the same in `events.k8s.io`.
const EVENT_FIELDS: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    (REPORTER, "reportingController"),
];

/// Together with [`REPORTING_INSTANCE`] always there in the core group, and in the other group only when not empty.
const REPORTER: &str = "reportingComponent";

const REPORTING_INSTANCE: &str = "reportingInstance";

const CORE_EVENT: GroupVersionKind<'_> = GroupVersionKind { group: "", version: "v1", kind: "Event" };

const EVENT: GroupVersionKind<'_> = GroupVersionKind { group: "events.k8s.io", version: "v1", kind: "Event" };

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
    match (from, to) {
        (CORE_EVENT, EVENT) => return Ok(event_of_core(members, into)),
        (EVENT, CORE_EVENT) => return Ok(core_event(members, into)),
        _ => {}
    }
    let builtin = |k: GroupVersionKind<'_>| Kinds::builtin().by_gvk(k.group, k.version, k.kind).is_some();
    if from.kind != to.kind || builtin(from) || builtin(to) {
        return Err(NoConversion { from: from.to_string(), to: to.to_string(), why: "have different fields" });
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

/// The object as another kind of a CustomResourceDefinition that converts by a webhook: only itself, and null for null.
///
/// # Errors
/// It would have to be converted.
pub(crate) fn by_webhook<'a>(
    object: Value<'a>,
    from: GroupVersionKind<'_>,
    to: GroupVersionKind<'_>,
) -> Result<Value<'a>, NoConversion> {
    if from == to || object.as_object().is_none() {
        return Ok(object);
    }
    let why = "are converted by a webhook that only the API server can ask";
    Err(NoConversion { from: from.to_string(), to: to.to_string(), why })
}

fn event_of_core<'a>(event: &'a Object<'a>, into: Into<'a>) -> Value<'a> {
    let mut converted = Members::new(into.arena, into.symbols);
    for e in event.entries() {
        let empty = matches!(e.value, Value::String(""));
        match e.key {
            "apiVersion" => converted.push(e.key, Value::String("events.k8s.io/v1")),
            REPORTER | REPORTING_INSTANCE if empty => {}
            key => {
                let field = EVENT_FIELDS.iter().find(|(core, _)| *core == key);
                converted.push(field.map_or(key, |(_, other)| other), e.value);
            }
        }
    }
    converted.finish()
}

fn core_event<'a>(event: &'a Object<'a>, into: Into<'a>) -> Value<'a> {
    let mut converted = Members::new(into.arena, into.symbols);
    for e in event.entries() {
        let field = EVENT_FIELDS.iter().find(|(_, other)| *other == e.key);
        match e.key {
            "apiVersion" => converted.push(e.key, Value::String("v1")),
            key => converted.push(field.map_or(key, |(core, _)| core), e.value),
        }
    }
    for (core, other) in [(REPORTER, "reportingController"), (REPORTING_INSTANCE, REPORTING_INSTANCE)] {
        if event.get(other).is_none() {
            converted.push(core, Value::String(""));
        }
    }
    converted.finish()
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
    fn an_event_has_other_names_of_fields_in_the_other_group() {
        let core = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "involvedObject": {"name": "p"},
            "message": "m", "source": {}, "firstTimestamp": null, "lastTimestamp": null, "count": 2, "reason": "r",
            "reportingComponent": "", "reportingInstance": "i"
        });
        let event = json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"}, "regarding": {"name": "p"},
            "note": "m", "deprecatedSource": {}, "deprecatedFirstTimestamp": null, "deprecatedLastTimestamp": null,
            "deprecatedCount": 2, "reason": "r", "reportingInstance": "i"
        });
        assert_eq!(converted(&core, "events.k8s.io/v1"), Ok(event.clone()));
        assert_eq!(converted(&event, "v1"), Ok(core));
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
