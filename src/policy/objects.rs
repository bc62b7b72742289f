//! Any Kubernetes objects of a file, for the command line and for params.

use serde_json::{Map, Value};

use crate::compiled::Origin;
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::source_file::SourceFile;
use crate::tree::{Content, Member, Node};
use crate::yaml;

/// An object with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedObject {
    /// Where it was read.
    pub origin: Origin,
    /// The object: a mapping with `apiVersion` and `kind`.
    pub value: Value,
}

/// Reads all objects of a YAML or JSON text; members of lists (`kind: List`, `PodList`) come out one by one.
///
/// # Errors
/// All faults: syntax, duplicate keys, documents that are no objects.
pub fn load_objects(file_name: &str, text: &str) -> Result<Vec<LoadedObject>, Diagnostics> {
    let file = SourceFile::new(file_name, text);
    let (documents, mut diagnostics) = yaml::parse(&file);
    let mut nodes = Vec::new();
    for document in &documents {
        flatten(&file, document, &mut nodes, &mut diagnostics);
    }
    if diagnostics.has_errors() {
        return Err(diagnostics.sorted());
    }
    Ok(nodes.iter().map(|n| loaded(&file, n)).collect())
}

/// Reads documents of any shape (user info, a table of answers), each with its line.
///
/// # Errors
/// All faults of syntax, and duplicate keys.
pub fn load_documents(file_name: &str, text: &str) -> Result<Vec<LoadedObject>, Diagnostics> {
    let file = SourceFile::new(file_name, text);
    let (documents, diagnostics) = yaml::parse(&file);
    if diagnostics.has_errors() {
        return Err(diagnostics.sorted());
    }
    Ok(documents.iter().map(|n| loaded(&file, &Item { node: n, defaults: None })).collect())
}

/// A node, with the apiVersion and kind that its list gives it.
pub struct Item<'n> {
    /// The object.
    pub node: &'n Node,
    /// What it does not say itself.
    pub defaults: Option<(String, String)>,
}

impl<'n> Item<'n> {
    /// `apiVersion` and `kind`, when both are there.
    pub fn kind(&self) -> Option<(&str, &str)> {
        let written = |name: &str| self.node.get(name).and_then(Node::as_str);
        match &self.defaults {
            Some((api_version, kind)) => Some((api_version, kind)),
            None => Some((written("apiVersion")?, written("kind")?)),
        }
    }
}

pub(crate) fn loaded(file: &SourceFile, item: &Item<'_>) -> LoadedObject {
    let line = file.position(item.node.span.start).line;
    let mut value = item.node.to_json();
    if let (Value::Object(map), Some((api_version, kind))) = (&mut value, &item.defaults) {
        let mut filled = Map::new();
        filled.insert("apiVersion".to_owned(), Value::String(api_version.clone()));
        filled.insert("kind".to_owned(), Value::String(kind.clone()));
        filled.append(map);
        *map = filled;
    }
    LoadedObject { origin: Origin { file: file.name().clone(), line }, value }
}

/// Takes lists apart. Lists inside lists are followed as deep as documents may nest.
pub fn flatten<'n>(file: &SourceFile, node: &'n Node, out: &mut Vec<Item<'n>>, diagnostics: &mut Diagnostics) {
    if diagnostics.is_full() {
        return;
    }
    let Content::Mapping(members) = &node.content else {
        let message = format!("expected an object, found {}", node.describe());
        diagnostics.push(Diagnostic::at(Severity::Error, file, node.span, message));
        return;
    };
    let kind = text(members, "kind");
    let api_version = text(members, "apiVersion");
    let (Some(kind), Some(api_version)) = (kind, api_version) else {
        for name in ["apiVersion", "kind"] {
            if text(members, name).is_none() {
                let d = Diagnostic::at(Severity::Error, file, node.span, format!("Object '{name}' is missing"));
                diagnostics.push(d.field(name));
            }
        }
        return;
    };
    let items = node.get("items").map(|n| &n.content);
    let Some((element, Content::Sequence(items))) = kind.strip_suffix("List").zip(items) else {
        out.push(Item { node, defaults: None });
        return;
    };
    for item in items {
        let complete = item.get("kind").is_some() && item.get("apiVersion").is_some();
        if complete || element.is_empty() || !matches!(item.content, Content::Mapping(_)) {
            flatten(file, item, out, diagnostics);
        } else if item.get("kind").is_none() && item.get("apiVersion").is_none() {
            out.push(Item { node: item, defaults: Some((api_version.to_owned(), element.to_owned())) });
        } else {
            flatten(file, item, out, diagnostics);
        }
    }
}

fn text<'n>(members: &'n [Member], key: &str) -> Option<&'n str> {
    members.iter().find(|m| m.key == key).and_then(|m| m.value.as_str()).filter(|s| !s.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_are_taken_apart_and_elements_get_the_kind_of_their_list() {
        let text = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod}\n- apiVersion: v1\n  kind: PodList\n  \
                    items:\n  - metadata: {name: a}\n---\napiVersion: v1\nkind: Secret\n";
        let objects: Vec<_> =
            load_objects("a.yaml", text).unwrap().into_iter().map(|o| (o.origin.line, o.value)).collect();
        assert_eq!(
            objects,
            [
                (4, json!({"apiVersion": "v1", "kind": "Pod"})),
                (8, json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}})),
                (10, json!({"apiVersion": "v1", "kind": "Secret"})),
            ]
        );
    }

    #[test]
    fn what_is_no_object_is_refused() {
        insta::assert_snapshot!(load_objects("a.yaml", "- 1\n---\nkind: Pod\n").unwrap_err(), @r#"
        error: expected an object, found a list
         --> a.yaml:1:1
          |
        1 | - 1
          | ^^^

        error: apiVersion: Object 'apiVersion' is missing
         --> a.yaml:3:1
          |
        3 | kind: Pod
          | ^^^^^^^^^
        "#);
    }
}
