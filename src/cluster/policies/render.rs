//! Objects as policy files, so that what is wrong with one is shown with its line and a caret.

use std::mem;

use kube::core::DynamicObject;
use serde_json::{Map, Value, json};
use stockade_policy::compiled::Flavour;
use stockade_policy::diagnostic::{Diagnostic, Severity};
use stockade_policy::sources::PolicySources;

use super::SourceKind;
use crate::object::Object;

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
pub(super) fn files(kind: SourceKind, id: &str, object: &Object) -> Result<Vec<File>, String> {
    // An object that nests too deep for this is one that the watch has brought all the same.
    let object = serde_json::from_slice(object.text().json()).map_err(|e| format!("cannot be read: {e}"))?;
    files_of(kind, id, &object)
}

/// As [`files`], of an object that was read already.
///
/// # Errors
/// Why it is not read at all.
pub(super) fn files_of(kind: SourceKind, id: &str, object: &DynamicObject) -> Result<Vec<File>, String> {
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

/// [`stockade_policy::compiled::Policy::revision`] of a policy of an own kind as it is now, as the compiler sees it.
pub(super) fn revision(flavour: Flavour, object: &DynamicObject) -> Option<u64> {
    let files = files_of(SourceKind::of_own(flavour), flavour.kind(), object).ok()?;
    read(&files).policies.first().map(|policy| policy.revision)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).unwrap()
    }

    fn shown(kind: SourceKind, value: Value) -> String {
        let files = files_of(kind, "id", &object(value)).unwrap();
        files.iter().map(|f| format!("# {}\n{}", f.name, f.text)).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn an_object_is_shown_as_a_person_wrote_it_with_long_texts_on_their_lines() {
        let long = "object.spec.containers.all(c, c.image.startsWith('registry.example.com/')) && has(object.spec.x)";
        let policy = json!({
            "apiVersion": "stockade.dev/v1alpha1", "kind": "AdmissionPolicy",
            "metadata": {
                "name": "p", "uid": "u", "resourceVersion": "7", "generation": 3,
                "managedFields": [{ "manager": "kubectl" }],
                "annotations": { LAST_APPLIED: "{}", "stockade.dev/title": "t" },
            },
            "spec": { "validations": [{ "expression": long }, { "expression": "a &&\nb\n" }] },
            "status": { "conditions": [], "rollout": { "held": true, "observedGeneration": 2 } },
        });
        insta::assert_snapshot!(shown(SourceKind::AdmissionPolicy, policy.clone()), @r#"
        # id
        apiVersion: stockade.dev/v1alpha1
        kind: AdmissionPolicy
        metadata:
          name: p
          annotations:
            stockade.dev/title: t
        spec:
          validations:
          - expression: object.spec.containers.all(c, c.image.startsWith('registry.example.com/')) && has(object.spec.x)
          - expression: |
              a &&
              b
        "#);
        let mut held = policy;
        held["status"]["rollout"]["observedGeneration"] = json!(3);
        let held = shown(SourceKind::AdmissionPolicy, held);
        assert!(held.contains("  generation: 3\n") && held.contains("    held: true\n"), "{held}");
    }

    #[test]
    fn each_key_of_a_configmap_is_a_file_and_what_is_no_text_or_too_much_is_refused() {
        let config = |more: Value| {
            let mut config = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "c" } });
            config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            config
        };
        let two = config(json!({ "data": { "a.yaml": "x: 1\n", "b.yaml": "" } }));
        assert_eq!(shown(SourceKind::ConfigMap, two), "# id/a.yaml\nx: 1\n\n# id/b.yaml\n");
        let refused = |more| files_of(SourceKind::ConfigMap, "id", &object(config(more))).unwrap_err();
        let faults = [
            refused(json!({ "binaryData": { "a": "AA==" } })),
            refused(json!({ "data": { "a": "x".repeat(MAX_BYTES + 1) } })),
        ];
        assert_eq!(
            faults.each_ref().map(String::as_str),
            ["binaryData is not read: policies are text, under data", "is larger than 1048576 bytes"]
        );
    }

    #[test]
    fn objects_beside_policies_are_told_and_not_kept() {
        let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {password: hunter2}\n";
        let sources = read(&[File { name: "id/a.yaml".to_owned(), text: text.to_owned() }]);
        assert!(sources.objects.is_empty());
        insta::assert_snapshot!(sources.diagnostics, @r#"
        warning: this Secret at line 1 is not read: in a cluster params are its objects
         --> id/a.yaml
        "#);
    }
}
