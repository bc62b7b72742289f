//! Objects from files, as we present them and as the API server does: what it sends to a mutating webhook.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use stockade_e2e::cluster::Cluster;
use stockade_e2e::discovery::Discovery;
use stockade_e2e::documents::{self, text};
use stockade_e2e::recorder::Recorder;
use stockade_e2e::tools;
use stockade_schema::normalise::normalise;

/// Members that the server sets and a file cannot.
const SET_BY_SERVER: [&str; 6] =
    ["uid", "creationTimestamp", "managedFields", "resourceVersion", "generation", "selfLink"];

/// Fewer of the suites' objects would say that the comparison has lost them.
const AT_LEAST: usize = 500;

#[test]
fn an_object_from_a_file_looks_as_the_server_presents_it() {
    if !tools::present() {
        return;
    }
    let cluster = Cluster::start();
    let discovery = Discovery::new(&cluster.client);
    let recorder = Recorder::register(&cluster.client);

    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/normalise");
    let suites = stockade_conformance::folder().map(|folder| objects(&folder));
    let at_least = if suites.is_some() { AT_LEAST } else { 0 };
    let objects = suites.unwrap_or_default().into_iter().chain(objects(&own));
    let mut namespaces = BTreeSet::new();
    let (mut equal, mut refused) = (0, 0);
    let mut differences: BTreeMap<String, String> = BTreeMap::new();
    for (number, (path, object)) in objects.enumerate() {
        let Some(resource) = discovery.resource(text(&object, "/apiVersion"), text(&object, "/kind")) else { continue };
        let (object, namespace) = placed(object, resource.namespaced);
        if resource.namespaced && namespaces.insert(namespace.clone()) {
            let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
            cluster.client.post("/api/v1/namespaces", &body);
        }
        let case = format!("normalise-{number}");
        let url = format!("{}?dryRun=All&fieldManager={case}", resource.collection(&namespace));
        let answer = cluster.client.post(&url, &object);
        // A refusal after admission (validation) does not matter; one before it leaves nothing to compare.
        let reviews = recorder.take(&case);
        for review in [&reviews.mutating, &reviews.validating].into_iter().flatten() {
            // What the server presents, before or after it has completed the object, is what we leave alone.
            let presented = &review["request"]["object"];
            note(&mut differences, "unchanged ", presented, &normalise(presented.clone()), &path);
        }
        let Some(review) = reviews.mutating else {
            refused += 1;
            if path.starts_with(&own) {
                differences.insert(text(&object, "/kind").to_owned(), answer.message().to_owned());
            }
            continue;
        };
        let presented = without_cluster(review["request"]["object"].clone());
        let ours = without_cluster(normalise(object));
        if presented == ours {
            equal += 1;
        }
        note(&mut differences, "", &presented, &ours, &path);
    }
    // Completing a claim, the server takes away the phase that it has filled in before: no object shows both.
    differences.remove("unchanged PersistentVolumeClaim.status.phase");
    println!("{equal} objects equal, {refused} refused before admission");
    assert_eq!(differences, BTreeMap::new());
    assert!(equal >= at_least, "only {equal} objects were compared");
}

/// One example for each place where two objects differ.
fn note(differences: &mut BTreeMap<String, String>, what: &str, server: &Value, ours: &Value, path: &Path) {
    if server == ours {
        return;
    }
    let mut found = Vec::new();
    compare(server, ours, text(ours, "/kind"), &mut found);
    for (place, difference) in found {
        differences.entry(format!("{what}{place}")).or_insert_with(|| format!("{difference} in {}", path.display()));
    }
}

/// All distinct objects of all YAML files below a folder.
fn objects(folder: &Path) -> Vec<(PathBuf, Value)> {
    let mut files = Vec::new();
    collect(folder, &mut files);
    files.sort();
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for file in files {
        for object in documents::read(&file).unwrap_or_default() {
            if object.is_object() && seen.insert(object.to_string()) {
                all.push((file.clone(), object));
            }
        }
    }
    all
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
            files.push(path);
        }
    }
}

/// The object with its namespace set as the URL will say, and without what the server would refuse on creation.
fn placed(mut object: Value, namespaced: bool) -> (Value, String) {
    let mut namespace = match text(&object, "/metadata/namespace") {
        "" => "default".to_owned(),
        namespace => namespace.to_owned(),
    };
    if !object["metadata"].is_object() {
        object["metadata"] = Value::Object(Map::new());
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|key, _| !SET_BY_SERVER.contains(&key.as_str()));
        if namespaced {
            metadata.insert("namespace".to_owned(), Value::from(namespace.clone()));
        } else {
            metadata.shift_remove("namespace");
            namespace = String::new();
        }
    }
    (object, namespace)
}

/// Without what only the server knows, and what its admission plugins add before webhooks are asked.
fn without_cluster(mut object: Value) -> Value {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|key, _| !SET_BY_SERVER.contains(&key.as_str()));
        if metadata.get("generateName").and_then(Value::as_str).is_some_and(|name| !name.is_empty()) {
            metadata.shift_remove("name");
        }
        drop_items(metadata, "finalizers", |item| {
            matches!(item.as_str(), Some("kubernetes.io/pvc-protection" | "kubernetes.io/pv-protection"))
        });
    }
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        for key in ["tolerations", "taints"] {
            drop_items(spec, key, |item| {
                matches!(text(item, "/key"), "node.kubernetes.io/not-ready" | "node.kubernetes.io/unreachable")
            });
        }
    }
    object
}

fn drop_items(object: &mut Map<String, Value>, key: &str, dropped: impl Fn(&Value) -> bool) {
    let Some(items) = object.get_mut(key).and_then(Value::as_array_mut) else { return };
    items.retain(|item| !dropped(item));
    if items.is_empty() {
        object.shift_remove(key);
    }
}

/// Places that differ, without list indexes so that equal causes count once.
fn compare(server: &Value, ours: &Value, place: &str, found: &mut Vec<(String, String)>) {
    match (server, ours) {
        (Value::Object(s), Value::Object(o)) => {
            let keys: BTreeSet<_> = s.keys().chain(o.keys()).collect();
            for key in keys {
                compare(&server[key], &ours[key], &format!("{place}.{key}"), found);
                if s.contains_key(key) != o.contains_key(key) && server[key] == ours[key] {
                    found.push((format!("{place}.{key}"), "null or absent".to_owned()));
                }
            }
        }
        (Value::Array(s), Value::Array(o)) if s.len() == o.len() => {
            for (s, o) in s.iter().zip(o) {
                compare(s, o, &format!("{place}[]"), found);
            }
        }
        (s, o) if s != o => {
            let short = |value: &Value| value.to_string().chars().take(200).collect::<String>();
            found.push((place.to_owned(), format!("server {}, ours {}", short(s), short(o))));
        }
        _ => {}
    }
}
