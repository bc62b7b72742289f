//! Policy sets from the conformance suites and from our own packs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Case, Operation, PolicySet};
use crate::conformance::{self, Row};
use crate::documents::{self, text};

/// Kinds the API server runs itself.
const POLICY_KINDS: [&str; 2] = ["ValidatingAdmissionPolicy", "MutatingAdmissionPolicy"];

/// The sets of the conformance suites, rows of the same policies together, in the order of the files.
pub fn of_conformance(folder: &Path) -> Vec<PolicySet> {
    let mut order: Vec<Vec<PathBuf>> = Vec::new();
    let mut groups: BTreeMap<Vec<PathBuf>, Vec<Row>> = BTreeMap::new();
    for row in conformance::rows(folder) {
        let files = [&row.native_path, &row.binding_path, &row.params_path];
        let key: Vec<PathBuf> = files.into_iter().flatten().cloned().collect();
        if !groups.contains_key(&key) {
            order.push(key.clone());
        }
        groups.entry(key).or_default().push(row);
    }
    order.iter().map(|key| of_rows(folder, &groups[key])).collect()
}

fn of_rows(folder: &Path, rows: &[Row]) -> PolicySet {
    let first = &rows[0];
    let read = |path: &Option<PathBuf>| -> Vec<Value> {
        path.iter().flat_map(|path| documents::read(&folder.join(path)).unwrap()).collect()
    };
    let mut set = PolicySet {
        name: first
            .native_path
            .iter()
            .chain(&first.params_path)
            .map(|path| path.display().to_string())
            .collect::<Vec<_>>()
            .join(" + "),
        documents: read(&first.native_path),
        params: read(&first.params_path),
        cases: Vec::new(),
    };
    set.documents.extend(read(&first.binding_path));
    complete(&mut set);
    for row in rows {
        let namespace_object = read(&row.namespace_path).pop();
        let operation = match row.operation.as_deref() {
            None | Some("CREATE") => Operation::Create,
            Some("UPDATE") => Operation::Update(0),
            Some("DELETE") => Operation::Delete,
            Some(other) => panic!("{}: operation {other}", row.id),
        };
        for object in read(&row.resource_path) {
            let mut case = case(&row.id, object, operation);
            if let Some(namespace) = &namespace_object {
                text(namespace, "/metadata/name").clone_into(&mut case.namespace);
            }
            case.namespace_object.clone_from(&namespace_object);
            case.expect = Some(row.expect.clone());
            set.cases.push(case);
        }
    }
    set
}

/// The packs' policies that are plain Kubernetes ones, with their `pass` and `fail` cases.
pub fn of_packs(folder: &Path) -> Vec<PolicySet> {
    let mut sets = Vec::new();
    for pack in children(folder) {
        for policy in children(&pack) {
            let Some(mut set) = of_policy_folder(&policy) else { continue };
            set.name = policy.strip_prefix(folder).unwrap_or(&policy).display().to_string();
            complete(&mut set);
            // What is expected of them is `stockade test`'s business: bindings may only warn.
            for file in ["pass", "fail"].into_iter().flat_map(|kind| children(&policy.join(kind))) {
                let label = file.strip_prefix(folder).unwrap_or(&file).display().to_string();
                for object in documents::read(&file).unwrap_or_default() {
                    set.cases.push(case(&label, object, Operation::Create));
                }
            }
            sets.push(set);
        }
    }
    sets
}

/// Our own sets, one a folder: `policy.yaml`, `cases.yaml`, perhaps `params.yaml`. They use what the suites do not.
pub fn of_features(folder: &Path) -> Vec<PolicySet> {
    let mut sets = Vec::new();
    for feature in children(folder) {
        let mut set = PolicySet {
            name: format!("features/{}", feature.file_name().unwrap_or_default().display()),
            documents: documents::read(&feature.join("policy.yaml")).unwrap(),
            ..PolicySet::default()
        };
        if feature.join("params.yaml").exists() {
            set.params = documents::read(&feature.join("params.yaml")).unwrap();
        }
        complete(&mut set);
        for (number, object) in documents::read(&feature.join("cases.yaml")).unwrap().into_iter().enumerate() {
            let id = format!("{} {number} {} {}", set.name, text(&object, "/kind"), text(&object, "/metadata/name"));
            set.cases.push(case(&id, object, Operation::Create));
        }
        sets.push(set);
    }
    sets
}

/// The policy, its bindings and params: every YAML file of the folder but the tests. None when it is not plain.
fn of_policy_folder(folder: &Path) -> Option<PolicySet> {
    let files = children(folder).into_iter().filter(|file| {
        file.extension().is_some_and(|extension| extension == "yaml")
            && file.file_name().is_some_and(|name| name != "test.yaml")
    });
    let documents: Vec<Value> = files.flat_map(|file| documents::read(&file).unwrap_or_default()).collect();
    let (documents, params): (Vec<Value>, Vec<Value>) = documents
        .into_iter()
        .partition(|document| text(document, "/apiVersion").starts_with("admissionregistration.k8s.io/"));
    let plain = !params.iter().any(|param| text(param, "/apiVersion").starts_with("stockade.dev/"));
    (plain && !documents.is_empty()).then(|| PolicySet { documents, params, ..PolicySet::default() })
}

/// A request to create (or change, or delete) an object where its own metadata says.
fn case(id: &str, object: Value, operation: Operation) -> Case {
    let namespace = match text(&object, "/metadata/namespace") {
        "" => "default",
        namespace => namespace,
    }
    .to_owned();
    Case { id: id.to_owned(), namespace, namespace_object: None, operation, object, sent: None, expect: None }
}

pub(super) fn children(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Binds what has no binding, and gives each denying binding a twin that warns: the refusal names only the first
/// failure, the warnings name all.
pub(super) fn complete(set: &mut PolicySet) {
    set.documents.retain(|document| text(document, "/apiVersion").starts_with("admissionregistration.k8s.io/"));
    let mut added = Vec::new();
    for policy in &set.documents {
        let kind = text(policy, "/kind");
        let name = text(policy, "/metadata/name");
        if !POLICY_KINDS.contains(&kind) || bindings_of(set, name).next().is_some() {
            continue;
        }
        let mut binding = json!({
            "apiVersion": policy["apiVersion"],
            "kind": format!("{kind}Binding"),
            "metadata": { "name": format!("{name}-everywhere") },
            "spec": { "policyName": name },
        });
        if kind == "ValidatingAdmissionPolicy" {
            binding["spec"]["validationActions"] = json!(["Deny"]);
        }
        added.push(binding);
    }
    set.documents.append(&mut added);
    for binding in &set.documents {
        let denies = binding.pointer("/spec/validationActions").and_then(Value::as_array);
        if text(binding, "/kind") == "ValidatingAdmissionPolicyBinding"
            && denies.is_some_and(|actions| actions.contains(&json!("Deny")))
        {
            let mut twin = binding.clone();
            twin["metadata"]["name"] = json!(format!("{}-warns", text(binding, "/metadata/name")));
            twin["spec"]["validationActions"] = json!(["Warn"]);
            added.push(twin);
        }
    }
    set.documents.append(&mut added);
}

/// The bindings of one policy.
pub fn bindings_of<'s>(set: &'s PolicySet, policy: &'s str) -> impl Iterator<Item = &'s Value> {
    set.documents.iter().filter(move |document| text(document, "/spec/policyName") == policy)
}
