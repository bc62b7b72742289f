//! Requests of every operation, subresource and user, judged under several sets of policies each.
//!
//! `requests/requests.yaml` holds objects to be made first (documents with `path` and `object`) and requests (documents
//! with `id` and `send`); each other file is a policy set with its params.

use std::path::Path;

use serde_json::{Value, json};

use super::sets::{children, complete};
use super::{Case, Operation, PolicySet};
use crate::documents::{self, text};

/// One request as it goes over the wire.
#[derive(Debug, Clone)]
pub struct Sent {
    /// `GET`, `POST`, …
    pub method: String,
    /// With its query.
    pub path: String,
    /// Content type of the body.
    pub media: String,
    /// The body.
    pub body: Option<Value>,
    /// Headers that make the administrator someone else.
    pub user: Vec<(String, String)>,
}

/// The sets, each with all requests, and the objects that these are about with the URLs to post them to.
///
/// # Panics
/// When a file cannot be read.
pub fn of_folder(folder: &Path) -> (Vec<PolicySet>, Vec<(String, Value)>) {
    const REQUESTS: &str = "requests.yaml";
    let all = documents::read(&folder.join(REQUESTS)).unwrap();
    let (requests, objects): (Vec<Value>, Vec<Value>) =
        all.into_iter().partition(|document| document.get("send").is_some());
    let objects = objects.iter().map(|made| (text(made, "/path").to_owned(), made["object"].clone())).collect();
    let mut sets = Vec::new();
    for file in children(folder).iter().filter(|file| !file.ends_with(REQUESTS)) {
        let name = format!("requests/{}", file.file_stem().unwrap_or_default().display());
        let (documents, params): (Vec<Value>, Vec<Value>) = documents::read(file)
            .unwrap()
            .into_iter()
            .partition(|document| text(document, "/apiVersion").starts_with("admissionregistration.k8s.io/"));
        let cases = requests.iter().map(|request| case(&name, request)).collect();
        let mut set = PolicySet { name, documents, params, cases };
        complete(&mut set);
        sets.push(set);
    }
    (sets, objects)
}

fn case(set: &str, request: &Value) -> Case {
    let (method, path) = text(request, "/send").split_once(' ').unwrap();
    // A connection has no such option.
    let query = match request.get("dryRun") {
        Some(Value::Bool(false)) => "",
        _ if path.contains('?') => "&dryRun=All",
        _ => "?dryRun=All",
    };
    let media = match text(request, "/media") {
        "" => "json",
        other => other,
    };
    Case {
        id: format!("{set} {}", text(request, "/id")),
        namespace: "default".to_owned(),
        namespace_object: None,
        operation: Operation::Sent,
        object: Value::Null,
        sent: Some(Sent {
            method: method.to_owned(),
            path: format!("{path}{query}"),
            media: format!("application/{media}"),
            body: request.get("body").cloned(),
            user: user(request.get("user")),
        }),
        expect: None,
    }
}

/// `{name, uid, groups, extra}` as headers; the administrator when there is none.
fn user(user: Option<&Value>) -> Vec<(String, String)> {
    let administrator = json!({ "name": "admin", "groups": ["system:masters"] });
    let user = user.unwrap_or(&administrator);
    let mut headers = vec![("Impersonate-User".to_owned(), text(user, "/name").to_owned())];
    let mut add = |name: String, value: &Value| headers.push((name, value.as_str().unwrap_or_default().to_owned()));
    if let Some(uid) = user.get("uid") {
        add("Impersonate-Uid".to_owned(), uid);
    }
    for group in user["groups"].as_array().into_iter().flatten() {
        add("Impersonate-Group".to_owned(), group);
    }
    for (key, values) in user["extra"].as_object().into_iter().flatten() {
        for value in values.as_array().into_iter().flatten() {
            add(format!("Impersonate-Extra-{key}"), value);
        }
    }
    headers
}
