//! `metadata` of a policy or binding.

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
pub(crate) struct ObjectMeta {
    pub(crate) name: String,
    pub(crate) name_span: Span,
    /// From the `stockade.dev/…` annotations.
    pub(crate) described: Metadata,
}

/// Reads `metadata` of a cluster-scoped object with a DNS subdomain as name.
pub(crate) fn read(reader: &mut Reader<'_>, object: &mut Members<'_>) -> Option<ObjectMeta> {
    let field = object.require(reader, "metadata", "")?;
    let mut meta = reader.members(&field)?;
    meta.ignore(&[
        "generateName",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
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
        result = Some(ObjectMeta { name: text.to_owned(), name_span: name.node.span, described: Metadata::default() });
    }
    if let Some(namespace) = meta.get("namespace") {
        let message = "has no effect: this kind is cluster-scoped";
        let d = Diagnostic::at(Severity::Warning, reader.file, namespace.node.span, message).field(&namespace.path);
        reader.diagnostics.push(d);
    }
    if let Some(labels) = meta.get("labels") {
        super::labels::read_labels(reader, &labels);
    }
    let described = meta.get("annotations").map(|f| annotations(reader, &f)).unwrap_or_default();
    meta.finish(reader);
    result.map(|r| ObjectMeta { described, ..r })
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
