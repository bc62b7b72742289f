//! What the schema refuses, and that the reader of files refuses it too.

use serde_json::{Value, json};
use stockade_e2e::documents::text;

use super::{cluster, collection, full, read};

/// An object of [`full`] by name, the path of a field in it, and what is written there.
fn spoiled() -> Vec<(&'static str, &'static str, Value)> {
    let stage = json!({ "percentage": 101 });
    let rule = |field: &str, value: Value| {
        let mut rule =
            json!({ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"] });
        rule[field] = value;
        json!([rule])
    };
    vec![
        ("checks", "/spec/actions", json!(["Deny", "Warn"])),
        ("checks", "/spec/actions", json!([])),
        ("checks", "/spec/actions", json!(["Deny", "Deny"])),
        ("checks", "/spec/actions", json!(["Refuse"])),
        ("checks", "/spec/actions", json!(["Audit"])),
        ("checks", "/spec/severity", json!("grave")),
        ("checks", "/spec/failurePolicy", json!("Open")),
        ("checks", "/spec/matchConstraints", Value::Null),
        ("checks", "/spec/matchConstraints/resourceRules", json!([])),
        ("checks", "/spec/matchConstraints/resourceRules", rule("operations", json!(["*", "CREATE"]))),
        ("checks", "/spec/matchConstraints/resourceRules", rule("apiGroups", json!(["*", "apps"]))),
        ("checks", "/spec/matchConstraints/resourceRules", rule("scope", json!("Everywhere"))),
        ("checks", "/spec/matchConstraints/matchPolicy", json!("Loose")),
        ("checks", "/spec/matchConstraints/objectSelector/matchExpressions", json!([{ "key": "a", "operator": "In" }])),
        (
            "checks",
            "/spec/matchConstraints/objectSelector/matchExpressions",
            json!([{ "key": "a", "operator": "Exists", "values": ["b"] }]),
        ),
        ("checks", "/spec/paramKind", Value::Null),
        ("checks", "/spec/paramRef", Value::Null),
        ("checks", "/spec/paramRef", json!({ "namespace": "a" })),
        ("checks", "/spec/paramRef/name", json!("both")),
        ("checks", "/spec/variables", json!([{ "name": "a", "expression": "1" }, { "name": "a", "expression": "2" }])),
        ("checks", "/spec/validations", json!([{ "expression": " " }])),
        ("checks", "/spec/validations", json!([{ "expression": "true", "reason": "Because" }])),
        ("checks", "/spec/validations", json!([{ "expression": "true", "mesage": "typo" }])),
        ("checks", "/spec/rollout/deny", stage),
        ("checks", "/spec/rollout/budget", json!({ "maxDenyPercentage": 5, "windowSeconds": 1, "minRequests": 1 })),
        ("checks", "/spec/shadowOf", json!("other")),
        ("checks", "/spec/namespaceGroups", json!(["a", "a"])),
        ("shadow", "/spec/validations", json!([])),
        ("shadow", "/spec/shadowOf", json!("shadow")),
        ("changes", "/spec/mutations", json!([{ "patchType": "JSONPatch" }])),
        (
            "changes",
            "/spec/mutations",
            json!([{ "patchType": "JSONPatch", "jsonPatch": { "expression": "[]" },
            "applyConfiguration": { "expression": "Object{}" } }]),
        ),
        ("changes", "/spec/rollout", json!({ "deny": { "percentage": 5 } })),
        ("node-agent", "/spec/policies", json!([])),
        ("node-agent", "/spec/policies", json!([{ "name": "a" }, { "name": "a" }])),
        ("node-agent", "/spec/policies", json!([{ "name": "a", "rules": ["validations[01]"] }])),
        ("node-agent", "/spec/expires", json!("tomorrow")),
        ("node-agent", "/spec/expires", Value::Null),
        ("node-agent", "/spec/reason", json!("")),
        ("node-agent", "/spec/owner", Value::Null),
        ("node-agent", "/spec/images", json!([])),
        ("production", "/spec/requireDefaultDeny", json!(["Sideways"])),
        ("production", "/spec/names", json!(["a", "a"])),
        ("production", "/spec/policies", json!([{ "name": "a" }, { "name": "a" }])),
        ("neither", "/spec/names", Value::Null),
        ("anything", "/spec/images", Value::Null),
    ]
}

fn object(name: &str) -> Value {
    let mut base = full().into_iter().find(|o| text(o, "/metadata/name") == name);
    if name == "neither" {
        base = full().into_iter().find(|o| text(o, "/kind") == "NamespaceGroup");
    } else if name == "anything" {
        base = full().into_iter().find(|o| text(o, "/kind") == "PolicyException");
    }
    let mut base = base.unwrap();
    if matches!(name, "neither" | "anything") {
        let spec = base["spec"].as_object_mut().unwrap();
        spec.remove("selector");
        spec.remove("resources");
    }
    base
}

fn set(object: &mut Value, path: &str, value: Value) {
    let (parent, name) = path.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap()[name] = value;
}

#[test]
fn what_the_schema_refuses_the_reader_of_files_refuses() {
    let Some(cluster) = cluster() else { return };
    let mut told = String::new();
    for (name, path, value) in spoiled() {
        let mut object = object(name);
        set(&mut object, path, value.clone());
        let answer =
            cluster.client.post(&format!("{}?dryRun=All&fieldValidation=Strict", collection(&object)), &object);
        assert!(!read(&object).is_empty(), "the reader takes {path}: {value}");
        let message = answer.message().replace(&format!(" {:?}", text(&object, "/metadata/name")), "");
        told.push_str(&format!("{path}: {value}\n    {} {message}\n", answer.code));
    }
    insta::assert_snapshot!(told);
}
