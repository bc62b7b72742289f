//! The same policies on kinds without a schema.
//!
//! The server refuses most broken built-in objects before any policy sees them. Twin kinds of the same name in a group
//! of our own take every field of every type, so that a policy's expressions meet what nobody foresaw.

use serde_json::{Value, json};

use super::{Case, PolicySet};
use crate::discovery::{Discovery, definition};
use crate::documents::text;

/// The group of the twin kinds.
pub const GROUP: &str = "twins.stockade.dev";

/// Adds to the set its validating policies on the twins of the kinds of its cases; gives the twins of those cases.
///
/// None for a set of mutating policies: merging needs a schema.
pub fn add(set: &mut PolicySet, discovery: &Discovery) -> Vec<Case> {
    if set.mutates() {
        return Vec::new();
    }
    let mut added = Vec::new();
    for document in &set.documents {
        let mut twin = document.clone();
        let name = format!("{}-twin", text(document, "/metadata/name"));
        if name.len() > 253 {
            return Vec::new();
        }
        twin["metadata"]["name"] = json!(name);
        if text(document, "/kind").ends_with("Binding") {
            twin["spec"]["policyName"] = json!(format!("{}-twin", text(document, "/spec/policyName")));
        }
        for pointer in ["/spec/matchConstraints", "/spec/matchResources"] {
            if let Some(constraints) = twin.pointer_mut(pointer) {
                move_rules(constraints);
            }
        }
        added.push(twin);
    }
    set.documents.append(&mut added);
    set.cases.iter().filter_map(|case| twin_case(case, discovery)).collect()
}

fn move_rules(constraints: &mut Value) {
    for key in ["resourceRules", "excludeResourceRules"] {
        for rule in constraints.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten() {
            rule["apiGroups"] = json!([GROUP]);
            rule["apiVersions"] = json!(["*"]);
        }
    }
}

fn twin_case(case: &Case, discovery: &Discovery) -> Option<Case> {
    let kind = text(&case.object, "/kind");
    let original = discovery.resource(text(&case.object, "/apiVersion"), kind)?;
    let api_version = format!("{GROUP}/v1");
    let mut crd = definition(GROUP, "v1", kind, original.namespaced);
    crd["metadata"]["name"] = json!(format!("{}.{GROUP}", original.plural));
    crd["spec"]["names"]["plural"] = json!(original.plural);
    discovery.define(&api_version, kind, &crd);
    let mut twin = case.clone();
    twin.id = format!("{} twin", case.id);
    twin.object["apiVersion"] = json!(api_version);
    twin.expect = None;
    Some(twin)
}
