//! Which URL a kind of object lives at.

use std::collections::HashMap;
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::documents::text;
use crate::webhook::eventually;

/// Kind to URL, asked of the server once for each group and version.
pub struct Discovery {
    client: Client,
    known: Mutex<HashMap<String, HashMap<String, Resource>>>,
}

/// One resource of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// `/apis/apps/v1` or `/api/v1`
    pub base: String,
    /// `deployments`
    pub plural: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

impl Resource {
    /// URL of the collection.
    pub fn collection(&self, namespace: &str) -> String {
        if self.namespaced {
            format!("{}/namespaces/{}/{}", self.base, escape(namespace), self.plural)
        } else {
            format!("{}/{}", self.base, self.plural)
        }
    }

    /// URL of one object.
    pub fn object(&self, namespace: &str, name: &str) -> String {
        format!("{}/{}", self.collection(namespace), escape(name))
    }
}

impl Discovery {
    /// Asks through this client.
    pub fn new(client: &Client) -> Discovery {
        Discovery { client: client.clone(), known: Mutex::default() }
    }

    /// The resource of an object's apiVersion and kind, if the server has it.
    pub fn resource(&self, api_version: &str, kind: &str) -> Option<Resource> {
        let mut known = self.known.lock().unwrap();
        if !known.get(api_version).is_some_and(|kinds| kinds.contains_key(kind)) {
            known.insert(api_version.to_owned(), self.ask(api_version));
        }
        known[api_version].get(kind).cloned()
    }

    /// The same; a kind that the server does not have is defined as one that takes every field.
    ///
    /// # Panics
    /// When the kind belongs to a built-in group that does not serve it.
    pub fn resource_or_define(&self, api_version: &str, kind: &str, namespaced: bool) -> Option<Resource> {
        if let Some(resource) = self.resource(api_version, kind) {
            return Some(resource);
        }
        let (group, version) = api_version.split_once('/')?;
        if !group.contains('.') || group.ends_with(".k8s.io") {
            return None;
        }
        self.define(api_version, kind, &definition(group, version, kind, namespaced));
        self.resource(api_version, kind)
    }

    /// Posts a CustomResourceDefinition, unless the kind is served already, and waits until it is.
    ///
    /// # Panics
    /// When the server refuses it or does not serve it in time.
    pub fn define(&self, api_version: &str, kind: &str, definition: &Value) {
        if self.resource(api_version, kind).is_some() {
            return;
        }
        self.client.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition).expect_ok();
        let listed =
            || self.resource(api_version, kind).map(|resource| self.client.get(&resource.collection("default")));
        eventually(listed, |list| list.as_ref().is_some_and(Answer::ok));
    }

    fn ask(&self, api_version: &str) -> HashMap<String, Resource> {
        let base =
            if api_version.contains('/') { format!("/apis/{api_version}") } else { format!("/api/{api_version}") };
        let answer = self.client.get(&base);
        let resources = answer.body.pointer("/resources").and_then(Value::as_array);
        resources
            .into_iter()
            .flatten()
            .filter(|resource| !text(resource, "/name").contains('/'))
            .map(|resource| {
                let entry = Resource {
                    base: base.clone(),
                    plural: text(resource, "/name").to_owned(),
                    namespaced: resource.pointer("/namespaced") == Some(&Value::Bool(true)),
                };
                (text(resource, "/kind").to_owned(), entry)
            })
            .collect()
    }
}

/// A CustomResourceDefinition without any demand on its objects.
pub fn definition(group: &str, version: &str, kind: &str, namespaced: bool) -> Value {
    let singular = kind.to_lowercase();
    let plural = format!("{singular}s");
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.{group}") },
        "spec": {
            "group": group,
            "names": { "kind": kind, "plural": plural, "singular": singular, "listKind": format!("{kind}List") },
            "scope": if namespaced { "Namespaced" } else { "Cluster" },
            "versions": [{
                "name": version, "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } },
            }],
        },
    })
}

/// Percent-encodes one path segment.
pub fn escape(segment: &str) -> String {
    segment
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => (byte as char).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}
