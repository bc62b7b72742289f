//! Cluster facts from a list of objects: a folder of manifests that stand for what exists.

use std::collections::HashMap;

use serde_json::{Value as Json, json};
use stockade_cel::Value;
use stockade_cel::authorizer::Authorizer;
use stockade_cel::document::decode;
use stockade_schema::{Kinds, Scope};

use crate::facts::{ClusterFacts, Fact, Into, Kind};
use crate::request::Members;

/// Objects that exist, by kind and namespace. Holds their JSON; each request decodes what it reads into its arena.
///
/// A namespace that no object stands for exists all the same, with the label `kubernetes.io/metadata.name` that every
/// namespace has: a folder of policies and Pods need not spell it out.
#[derive(Default)]
pub struct FolderFacts {
    kinds: HashMap<(String, String), Objects>,
    /// Custom kinds whose definition is in the list: group and kind to whether they are namespaced.
    defined: HashMap<(String, String), bool>,
    strict_namespaces: bool,
    authorizer: Option<Box<dyn Authorizer + Send>>,
}

/// The objects of one kind, in the order in which they were given.
#[derive(Default)]
struct Objects {
    list: Vec<Stored>,
    by_name: HashMap<(String, String), usize>,
    by_namespace: HashMap<String, Vec<usize>>,
}

struct Stored {
    json: Vec<u8>,
}

/// An object that cannot stand for one in a cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("object {number} has no {member}")]
pub struct NotAnObject {
    /// Position in the list, from 0.
    pub number: usize,
    /// `apiVersion`, `kind` or `metadata.name`
    pub member: &'static str,
}

// === impl FolderFacts ===

impl FolderFacts {
    /// Takes objects; those of kind `List` are taken apart. A later object replaces an earlier one of the same kind,
    /// namespace and name. Namespaced objects without a namespace are put into `default`, as `kubectl` does.
    ///
    /// # Errors
    /// The first object without apiVersion, kind or name.
    pub fn new(objects: impl IntoIterator<Item = Json>) -> Result<Self, NotAnObject> {
        let mut facts = Self::default();
        let (mut number, mut plain) = (0, Vec::new());
        for object in objects {
            flatten(object, &mut plain);
        }
        for object in &plain {
            facts.define(object);
        }
        for object in plain {
            facts.insert(object, number)?;
            number += 1;
        }
        Ok(facts)
    }

    /// A namespace that no object stands for does not exist.
    #[must_use]
    pub fn strict_namespaces(mut self) -> Self {
        self.strict_namespaces = true;
        self
    }

    /// Who answers the `authorizer` variable.
    #[must_use]
    pub fn with_authorizer(mut self, authorizer: Box<dyn Authorizer + Send>) -> Self {
        self.authorizer = Some(authorizer);
        self
    }

    /// Remembers the scope that a CustomResourceDefinition gives its kind.
    fn define(&mut self, object: &Json) {
        if object["kind"] != "CustomResourceDefinition" {
            return;
        }
        let spec = &object["spec"];
        if let (Some(group), Some(kind)) = (spec["group"].as_str(), spec["names"]["kind"].as_str()) {
            self.defined.insert((group.to_owned(), kind.to_owned()), spec["scope"] == "Namespaced");
        }
    }

    fn insert(&mut self, mut object: Json, number: usize) -> Result<(), NotAnObject> {
        let member = |pointer: &str, member| {
            let text = object.pointer(pointer).and_then(Json::as_str).filter(|s| !s.is_empty());
            text.map(str::to_owned).ok_or(NotAnObject { number, member })
        };
        let api_version = member("/apiVersion", "apiVersion")?;
        let kind = member("/kind", "kind")?;
        let name = member("/metadata/name", "metadata.name")?;
        let scope = self.scope(Kind { api_version: &api_version, kind: &kind });
        let metadata = &mut object["metadata"];
        let given = metadata["namespace"].as_str().unwrap_or("").to_owned();
        let namespace = match scope {
            Some(false) => String::new(),
            Some(true) if given.is_empty() => {
                metadata["namespace"] = json!("default");
                "default".to_owned()
            }
            _ => given,
        };
        if (api_version.as_str(), kind.as_str()) == ("v1", "Namespace") {
            label_with_name(metadata, &name);
        }
        let objects = self.kinds.entry((api_version, kind)).or_default();
        // Serialising a JSON value with string keys cannot fail.
        let json = serde_json::to_vec(&object).unwrap_or_default();
        let key = (namespace.clone(), name);
        if let Some(&at) = objects.by_name.get(&key) {
            objects.list[at] = Stored { json };
            return Ok(());
        }
        let at = objects.list.len();
        objects.list.push(Stored { json });
        objects.by_name.insert(key, at);
        objects.by_namespace.entry(namespace).or_default().push(at);
        Ok(())
    }

    fn scope(&self, kind: Kind<'_>) -> Option<bool> {
        let (group, version) = kind.api_version.split_once('/').unwrap_or(("", kind.api_version));
        let builtin = Kinds::builtin().resource_of_kind(group, version, kind.kind);
        builtin
            .map(|r| r.scope == Scope::Namespaced)
            .or_else(|| self.defined.get(&(group.to_owned(), kind.kind.to_owned())).copied())
    }

    fn objects(&self, kind: Kind<'_>) -> Option<&Objects> {
        self.kinds.get(&(kind.api_version.to_owned(), kind.kind.to_owned()))
    }
}

impl ClusterFacts for FolderFacts {
    fn get<'a>(&self, kind: Kind<'_>, namespace: &str, name: &str, into: Into<'a>) -> Fact<Option<Value<'a>>> {
        let key = (namespace.to_owned(), name.to_owned());
        let found = self.objects(kind).and_then(|o| Some(o.list[*o.by_name.get(&key)?].decode(into)));
        let is_namespace = (kind.api_version, kind.kind) == ("v1", "Namespace");
        if found.is_none() && is_namespace && !self.strict_namespaces && !name.is_empty() {
            return Fact::Known(Some(synthesized_namespace(name, into)));
        }
        Fact::Known(found)
    }

    fn list<'a>(&self, kind: Kind<'_>, namespace: &str, into: Into<'a>) -> Fact<&'a [Value<'a>]> {
        let mut values = bumpalo::collections::Vec::new_in(into.arena);
        if let Some(objects) = self.objects(kind) {
            if namespace.is_empty() {
                values.extend(objects.list.iter().map(|o| o.decode(into)));
            } else if let Some(numbers) = objects.by_namespace.get(namespace) {
                values.extend(numbers.iter().map(|&n| objects.list[n].decode(into)));
            }
        }
        Fact::Known(values.into_bump_slice())
    }

    fn namespaced(&self, kind: Kind<'_>) -> Option<bool> {
        if let Some(known) = self.scope(kind) {
            return Some(known);
        }
        // No definition: what the objects themselves say.
        let objects = self.objects(kind)?;
        Some(objects.by_namespace.keys().any(|n| !n.is_empty()))
    }

    fn authorizer(&self) -> Option<&dyn Authorizer> {
        self.authorizer.as_deref().map(|a| a as &dyn Authorizer)
    }
}

// === impl Stored ===

impl Stored {
    /// The object, in a request's arena. What was serialised here decodes again; should it nest too deep to, it reads
    /// as null, on which every selection errs.
    fn decode<'a>(&self, into: Into<'a>) -> Value<'a> {
        decode(into.arena.alloc_slice_copy(&self.json), into.arena, into.symbols).unwrap_or(Value::Null)
    }
}

fn flatten(object: Json, into: &mut Vec<Json>) {
    match object {
        Json::Object(mut members) if members.get("kind").is_some_and(|k| k == "List") => {
            if let Some(Json::Array(items)) = members.remove("items") {
                into.extend(items);
            }
        }
        other => into.push(other),
    }
}

fn label_with_name(metadata: &mut Json, name: &str) {
    if let Some(metadata) = metadata.as_object_mut() {
        let labels = metadata.entry("labels").or_insert_with(|| json!({}));
        if let Some(labels) = labels.as_object_mut() {
            labels.entry("kubernetes.io/metadata.name").or_insert_with(|| json!(name));
        }
    }
}

/// A Namespace as the API server makes it, built in the arena: most requests to a folder of facts need one.
fn synthesized_namespace<'a>(name: &str, into: Into<'a>) -> Value<'a> {
    let object = |members: &[(&'a str, Value<'a>)]| {
        let mut object = Members::new(into.arena, into.symbols);
        members.iter().for_each(|(key, value)| object.push(key, *value));
        object.finish()
    };
    let name = Value::String(into.arena.alloc_str(name));
    let labels = object(&[("kubernetes.io/metadata.name", name)]);
    let finalizers = Value::List(into.arena.alloc_slice_copy(&[Value::String("kubernetes")]));
    object(&[
        ("apiVersion", Value::String("v1")),
        ("kind", Value::String("Namespace")),
        ("metadata", object(&[("name", name), ("labels", labels)])),
        ("spec", object(&[("finalizers", finalizers)])),
        ("status", object(&[("phase", Value::String("Active"))])),
    ])
}

#[cfg(test)]
mod tests {
    use bumpalo::Bump;
    use stockade_cel::Symbols;

    use super::*;

    fn known<T>(fact: Fact<T>) -> T {
        match fact {
            Fact::Known(t) => t,
            Fact::NotReady => panic!("a folder is always ready"),
        }
    }

    fn names(facts: &FolderFacts, kind: Kind<'_>, namespace: &str) -> Vec<String> {
        let (arena, symbols) = (Bump::new(), Symbols::new());
        let list = known(facts.list(kind, namespace, Into { arena: &arena, symbols: &symbols }));
        list.iter().map(|v| v.path(&["metadata", "name"]).and_then(Value::as_str).unwrap().to_owned()).collect()
    }

    const CONFIG_MAP: Kind<'static> = Kind { api_version: "v1", kind: "ConfigMap" };
    const NAMESPACE: Kind<'static> = Kind { api_version: "v1", kind: "Namespace" };

    #[test]
    fn objects_are_found_by_kind_namespace_and_name_and_lists_are_taken_apart() {
        let map = |name, namespace| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}});
        let list = json!({"apiVersion": "v1", "kind": "List", "items": [map("a", "x"), map("b", "y")]});
        let bare = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}});
        let facts = FolderFacts::new([list, bare]).unwrap();
        assert_eq!(names(&facts, CONFIG_MAP, "x"), ["a"]);
        assert_eq!(names(&facts, CONFIG_MAP, "default"), ["c"]);
        assert_eq!(names(&facts, CONFIG_MAP, ""), ["a", "b", "c"]);
    }

    #[test]
    fn a_namespace_exists_with_its_name_label_unless_that_is_asked_to_be_strict() {
        let (arena, symbols) = (Bump::new(), Symbols::new());
        let into = Into { arena: &arena, symbols: &symbols };
        let given =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"a": "b"}}});
        let facts = FolderFacts::new([given]).unwrap();
        let labels = |name| {
            let ns = known(facts.get(NAMESPACE, "", name, into)).unwrap();
            serde_json::to_value(ns.path(&["metadata", "labels"]).unwrap()).unwrap()
        };
        assert_eq!(labels("shop"), json!({"a": "b", "kubernetes.io/metadata.name": "shop"}));
        assert_eq!(labels("other"), json!({"kubernetes.io/metadata.name": "other"}));
        assert!(known(facts.strict_namespaces().get(NAMESPACE, "", "other", into)).is_none());
    }

    #[test]
    fn the_scope_of_a_custom_kind_comes_from_its_definition_or_its_objects() {
        let crd = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "teams.example.com"},
            "spec": {"group": "example.com", "scope": "Cluster", "names": {"kind": "Team"}}});
        let rule = json!({"apiVersion": "example.com/v1", "kind": "Rule", "metadata": {"name": "r", "namespace": "x"}});
        let facts = FolderFacts::new([crd, rule]).unwrap();
        let kind = |kind| Kind { api_version: "example.com/v1", kind };
        assert_eq!(facts.namespaced(kind("Team")), Some(false));
        assert_eq!(facts.namespaced(kind("Rule")), Some(true));
        assert_eq!(facts.namespaced(kind("Other")), None);
    }

    #[test]
    fn an_object_without_a_name_is_refused() {
        let error = FolderFacts::new([json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}})]).err();
        assert_eq!(error, Some(NotAnObject { number: 0, member: "metadata.name" }));
    }
}
