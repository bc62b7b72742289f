use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use stockade_policy::sources::PolicySources;

use super::definitions;

/// Every field of the own kinds, with the objects that hold them.
const FULL: &str = include_str!("tests/full.yaml");

fn full() -> Vec<Value> {
    let mut all: Vec<Value> = serde_saphyr::from_multiple(FULL).unwrap();
    // An AdmissionPolicy that asks about images takes what an ImagePolicy does.
    let of = |kind: &str| all.iter().position(|o| o["kind"] == kind && o["spec"].get("registries").is_some());
    let (demands, asks) = (of("ImagePolicy").unwrap(), of("AdmissionPolicy").unwrap());
    for name in ["authorities", "registries"] {
        all[asks]["spec"][name] = all[demands]["spec"][name].clone();
    }
    all
}

/// The schema of a kind.
fn schema(kind: &str) -> Value {
    let all = definitions::definitions().unwrap();
    let of_kind = all.into_iter().find(|d| d["spec"]["names"]["kind"] == kind).unwrap();
    of_kind["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// What the reader of files says of an object.
fn told(object: &Value) -> String {
    let mut sources = PolicySources::default();
    sources.add("object.json", &object.to_string(), true);
    sources.diagnostics.to_string()
}

/// JSON Pointers of the structs in a value, with the schema of each, and the schema paths of all their fields.
fn structs<'s>(
    schema: &'s Value,
    value: &Value,
    pointer: &str,
    path: &str,
    found: &mut Vec<(String, &'s Value)>,
    fields: &mut BTreeSet<String>,
) {
    if let Some(items) = value.as_array() {
        for (i, item) in items.iter().enumerate() {
            structs(&schema["items"], item, &format!("{pointer}/{i}"), path, found, fields);
        }
    }
    let Some(properties) = schema["properties"].as_object() else { return };
    found.push((pointer.to_owned(), schema));
    for (name, property) in properties {
        if let Some(value) = value.get(name) {
            let path = format!("{path}.{name}");
            structs(property, value, &format!("{pointer}/{name}"), &path, found, fields);
            fields.insert(path);
        }
    }
}

/// Schema paths of all fields below a schema.
fn all_fields(schema: &Value, path: &str, fields: &mut BTreeSet<String>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        all_fields(property, &path, fields);
        all_fields(&property["items"], &path, fields);
        fields.insert(path);
    }
}

#[test]
fn the_definitions_of_the_chart_are_those_of_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/stockade/crds");
    for (name, text) in definitions::files().unwrap() {
        let written = std::fs::read_to_string(folder.join(&name)).unwrap_or_default();
        assert!(written == text, "charts/stockade/crds/{name} is stale: run make generate");
    }
}

#[test]
fn the_reader_of_files_knows_exactly_the_fields_of_the_schema() {
    const UNKNOWN: &str = "zzzzzzzzzzzz";
    for object in full() {
        let kind = object["kind"].as_str().unwrap();
        let schema = schema(kind);
        let (mut found, mut fields) = (Vec::new(), BTreeSet::new());
        structs(&schema["properties"]["spec"], &object["spec"], "/spec", "spec", &mut found, &mut fields);
        assert!(!found.is_empty());
        assert_eq!(told(&object), "");
        for (pointer, schema) in found {
            let mut spoiled = object.clone();
            spoiled.pointer_mut(&pointer).unwrap()[UNKNOWN] = json!(1);
            let told = told(&spoiled);
            let known = told.split_once("known fields: ").unwrap_or_else(|| panic!("{pointer}: {told}")).1;
            let known = known.lines().next().unwrap_or_default().replace('`', "");
            let properties: Vec<_> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(known.split(", ").collect::<Vec<_>>(), properties, "{kind} {pointer}");
        }
    }
}

#[test]
fn no_field_is_without_an_example() {
    for kind in ["AdmissionPolicy", "ImagePolicy", "PolicyException", "NamespaceGroup"] {
        let schema = schema(kind);
        let (mut every, mut shown) = (BTreeSet::new(), BTreeSet::new());
        all_fields(&schema["properties"]["spec"], "spec", &mut every);
        for object in full().iter().filter(|o| o["kind"] == kind) {
            structs(&schema["properties"]["spec"], &object["spec"], "", "spec", &mut Vec::new(), &mut shown);
        }
        assert_eq!(every.difference(&shown).collect::<Vec<_>>(), [""; 0], "{kind}");
    }
}

/// Gives each list and each text of a value its schema, with its JSON Pointer.
fn bounded<'s>(schema: &'s Value, value: &Value, pointer: &str, found: &mut Vec<(String, &'s Value)>) {
    if schema.get("maxItems").or(schema.get("maxProperties")).or(schema.get("maxLength")).is_some() {
        found.push((pointer.to_owned(), schema));
    }
    for (i, item) in value.as_array().into_iter().flatten().enumerate() {
        bounded(&schema["items"], item, &format!("{pointer}/{i}"), found);
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(value) = value.get(name) {
            bounded(property, value, &format!("{pointer}/{name}"), found);
        }
    }
}

/// A value with this many elements or characters.
fn of_size(value: &Value, size: u64) -> Value {
    let numbered = |i: u64| match value.get(0) {
        Some(Value::Object(first)) => {
            let mut item = first.clone();
            for name in ["name", "key"] {
                if item.contains_key(name) {
                    item.insert(name.to_owned(), json!(format!("n{i}")));
                }
            }
            Value::Object(item)
        }
        _ => json!(format!("n{i}")),
    };
    match value {
        Value::Array(_) => (0..size).map(numbered).collect(),
        Value::Object(_) => (0..size).map(|i| (format!("n{i}"), json!("v"))).collect(),
        _ => json!("a".repeat(usize::try_from(size).unwrap())),
    }
}

#[test]
fn the_reader_of_files_has_the_bounds_of_the_schema() {
    let (mut checked, mut taken) = (0, Vec::new());
    for object in full() {
        let schema = schema(object["kind"].as_str().unwrap());
        let mut found = Vec::new();
        bounded(&schema["properties"]["spec"], &object["spec"], "/spec", &mut found);
        for (pointer, schema) in found {
            let most =
                ["maxItems", "maxProperties", "maxLength"].iter().find_map(|name| schema[*name].as_u64()).unwrap();
            if pointer.to_lowercase().ends_with("expression") {
                // The compiler refuses an expression that is too long.
                continue;
            }
            let mut spoiled = object.clone();
            let value = spoiled.pointer_mut(&pointer).unwrap();
            *value = of_size(value, most + 1);
            let told = told(&spoiled);
            if told.is_empty() {
                taken.push(format!("{most} of {pointer}"));
            }
            checked += 1;
        }
    }
    assert_eq!(taken, [""; 0], "the reader takes more than the schema");
    assert!(checked > 60, "{checked}");
}
