//! `metadata` of an object.

use stockade_cel::source::Span;

use super::{Field, Members, Reader, names};
use crate::compiled::Metadata;
use crate::diagnostic::{Diagnostic, Severity};
use crate::tree::Content;

/// Prefix of the annotations that describe a policy.
const ANNOTATION_PREFIX: &str = "stockade.dev/";

/// Severities, worst first.
pub(crate) const SEVERITIES: [&str; 5] = ["critical", "high", "medium", "low", "info"];

/// What is needed of `metadata`.
pub struct ObjectMeta {
    /// `metadata.name`
    pub name: String,
    /// Place of the name.
    pub name_span: Span,
    /// From the `stockade.dev/…` annotations.
    pub described: Metadata,
    /// Of a namespaced object.
    pub namespace: Option<String>,
    /// Seconds since 1970; what the API server has written.
    pub created: Option<i64>,
    /// Counts the changes of the spec; what the API server has written.
    pub generation: Option<i64>,
}

/// Whether objects of a kind live in namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// In none.
    Cluster,
    /// In one, which must be named.
    Namespaced,
    /// In one; who applies an object that names none chooses it.
    NamespacedByDefault,
}

/// Reads `metadata` of an object with a DNS subdomain as name.
pub fn read(reader: &mut Reader<'_>, object: &mut Members<'_>, scope: Scope) -> Option<ObjectMeta> {
    let field = object.require(reader, "metadata", "")?;
    let mut meta = reader.members(&field)?;
    meta.ignore(&[
        "generateName",
        "uid",
        "resourceVersion",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "ownerReferences",
        "finalizers",
        "managedFields",
        "selfLink",
    ]);
    let mut result = None;
    if let Some(name) = meta.require(reader, "name", "name is required")
        && let Some(text) = reader.string(&name)
    {
        let faults = names::dns_subdomain(text);
        for fault in &faults {
            reader.invalid(&name, fault);
        }
        result = Some((text.to_owned(), name.node.span));
    }
    let namespace = read_namespace(reader, &mut meta, scope);
    // Both are the API server's: what a person wrote there says nothing.
    let created = meta.get("creationTimestamp").and_then(|f| f.node.as_str()?.parse::<jiff::Timestamp>().ok());
    let generation = meta.get("generation").and_then(|f| f.node.as_i64());
    if let Some(labels) = meta.get("labels") {
        super::labels::read_labels(reader, &labels);
    }
    let described = meta.get("annotations").map(|f| annotations(reader, &f)).unwrap_or_default();
    meta.finish(reader);
    let (name, name_span) = result?;
    let created = created.map(jiff::Timestamp::as_second);
    Some(ObjectMeta { name, name_span, described, namespace, created, generation })
}

fn read_namespace(reader: &mut Reader<'_>, meta: &mut Members<'_>, scope: Scope) -> Option<String> {
    if scope != Scope::Cluster {
        let field = match scope {
            Scope::Namespaced => meta.require(reader, "namespace", "it is about objects of its own namespace")?,
            _ => meta.get("namespace")?,
        };
        let text = reader.string(&field)?;
        for fault in names::dns1123_label(text) {
            reader.invalid(&field, &fault);
        }
        return Some(text.to_owned());
    }
    if let Some(namespace) = meta.get("namespace") {
        let message = "has no effect: this kind is cluster-scoped";
        let d = Diagnostic::at(Severity::Warning, reader.file, namespace.node.span, message).field(&namespace.path);
        reader.diagnostics.push(d);
    }
    None
}

fn annotations(reader: &mut Reader<'_>, field: &Field<'_>) -> Metadata {
    let mut metadata = Metadata::default();
    let Some(members) = reader.members(field) else { return metadata };
    let Content::Mapping(entries) = &members.field().node.content else { return metadata };
    for entry in entries {
        for fault in names::qualified_name(&entry.key.to_lowercase()) {
            reader.report_at(entry.key_span, &field.path, format!("Invalid value: {:?}: {fault}", entry.key));
        }
        if entry.value.is_null() {
            continue;
        }
        let value = Field { node: &entry.value, path: format!("{}[{}]", field.path, entry.key) };
        let Some(text) = reader.string(&value) else { continue };
        let Some(name) = entry.key.strip_prefix(ANNOTATION_PREFIX) else { continue };
        let slot = match name {
            "title" => &mut metadata.title,
            "category" => &mut metadata.category,
            "description" => &mut metadata.description,
            "remediation" => &mut metadata.remediation,
            "severity" => {
                if !SEVERITIES.contains(&text) {
                    // The API server takes any annotation; only we read meaning into this one.
                    let message = format!("unknown severity {text:?}: known are {}", SEVERITIES.join(", "));
                    let d = Diagnostic::at(Severity::Warning, reader.file, value.node.span, message);
                    reader.diagnostics.push(d.field(&value.path));
                    continue;
                }
                &mut metadata.severity
            }
            _ => continue,
        };
        *slot = Some(text.to_owned());
    }
    metadata
}
