//! Objects as policy files, so that what is wrong with one is shown with its line and a caret.

use std::mem;

use kube::core::DynamicObject;
use serde_json::{Map, Value, json};
use stockade_policy::diagnostic::{Diagnostic, Severity};
use stockade_policy::sources::PolicySources;

use super::SourceKind;

/// Most bytes of one source's text. An object in etcd has at most 1.5 MiB, a ConfigMap 1 MiB; a policy some KiB.
const MAX_BYTES: usize = 1 << 20;

/// Annotation in which `kubectl apply` repeats the whole object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) text: String,
}

/// The files that an object stands for: itself, or each key of a ConfigMap.
///
/// # Errors
/// Why it is not read at all.
pub(super) fn files(kind: SourceKind, id: &str, object: &DynamicObject) -> Result<Vec<File>, String> {
    if kind != SourceKind::ConfigMap {
        let text = manifest(kind, object)?;
        return within_bounds(vec![File { name: id.to_owned(), text }]);
    }
    if object.data.get("binaryData").and_then(Value::as_object).is_some_and(|d| !d.is_empty()) {
        return Err("binaryData is not read: policies are text, under data".to_owned());
    }
    let data = object.data.get("data").and_then(Value::as_object);
    let file = |(key, value): (&String, &Value)| File {
        name: format!("{id}/{key}"),
        text: value.as_str().unwrap_or_default().to_owned(),
    };
    within_bounds(data.into_iter().flatten().map(file).collect())
}

/// What is read of files.
pub(super) fn read(files: &[File]) -> PolicySources {
    let mut sources = PolicySources::default();
    for File { name, text } in files {
        sources.add(name, text, true);
    }
    without_objects(sources)
}

/// Objects beside the policies are params where there is no cluster. Here params are the cluster's.
pub(super) fn without_objects(mut sources: PolicySources) -> PolicySources {
    for object in mem::take(&mut sources.objects) {
        let kind = object.value.get("kind").and_then(Value::as_str).unwrap_or_default();
        let message =
            format!("this {kind} at line {} is not read: in a cluster params are its objects", object.origin.line);
        sources.diagnostics.push(Diagnostic::of_file(Severity::Warning, &object.origin.file, message));
    }
    sources
}

/// What stands for a source that is not read.
pub(super) fn unread(id: &str, why: &str) -> PolicySources {
    let mut sources = PolicySources::default();
    sources.diagnostics.push(Diagnostic::of_file(Severity::Error, id, why));
    sources
}

fn within_bounds(files: Vec<File>) -> Result<Vec<File>, String> {
    let bytes: usize = files.iter().map(|f| f.text.len()).sum();
    if bytes > MAX_BYTES { Err(format!("is larger than {MAX_BYTES} bytes")) } else { Ok(files) }
}

/// The object as YAML with what a person wrote; of what the API server added only what the compiled form depends on.
fn manifest(kind: SourceKind, object: &DynamicObject) -> Result<String, String> {
    let mut written = Map::new();
    let resource = kind.api_resource();
    written.insert("apiVersion".to_owned(), Value::String(resource.api_version));
    written.insert("kind".to_owned(), Value::String(resource.kind));
    let mut metadata = Map::new();
    metadata.insert("name".to_owned(), Value::from(object.metadata.name.clone()));
    if let Some(namespace) = &object.metadata.namespace {
        metadata.insert("namespace".to_owned(), Value::from(namespace.clone()));
    }
    if let (SourceKind::PolicyException, Some(created)) = (kind, &object.metadata.creation_timestamp) {
        metadata.insert("creationTimestamp".to_owned(), serde_json::to_value(created).unwrap_or_default());
    }
    let hold = hold(object);
    if hold.is_some() {
        metadata.insert("generation".to_owned(), Value::from(object.metadata.generation));
    }
    let annotations: Map<String, Value> = object
        .metadata
        .annotations
        .iter()
        .flatten()
        .filter(|(key, _)| *key != LAST_APPLIED)
        .map(|(key, value)| (key.clone(), Value::from(value.clone())))
        .collect();
    if !annotations.is_empty() {
        metadata.insert("annotations".to_owned(), Value::Object(annotations));
    }
    written.insert("metadata".to_owned(), Value::Object(metadata));
    if let Value::Object(rest) = &object.data {
        let own = ["apiVersion", "kind", "metadata", "status"];
        written
            .extend(rest.iter().filter(|(key, _)| !own.contains(&key.as_str())).map(|(k, v)| (k.clone(), v.clone())));
    }
    if let Some(hold) = hold {
        written.insert("status".to_owned(), json!({ "rollout": hold }));
    }
    yaml(&Value::Object(written))
}

/// Of the status only this is policy: the rollout of this generation has stopped.
fn hold(object: &DynamicObject) -> Option<Value> {
    let rollout = object.data.get("status")?.get("rollout")?;
    let observed = rollout.get("observedGeneration")?;
    let is_held = rollout.get("held")?.as_bool()? && *observed == object.metadata.generation?;
    is_held.then(|| json!({ "held": true, "observedGeneration": observed }))
}

/// Block style; texts of several lines as `|`, others on one line however long, as carets need it.
fn yaml(value: &Value) -> Result<String, String> {
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    serde_saphyr::to_string_with_options(value, options).map_err(|e| format!("cannot be shown: {e}"))
}
