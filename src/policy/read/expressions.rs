//! The parts of a policy that hold expressions.

use super::{Field, Members, Reader, Text, names};
use crate::compiled::{ParamKind, Reason};
use crate::source::{MutationSource, ValidationSource};

/// Most matchConditions of one policy (upstream).
const MAX_MATCH_CONDITIONS: usize = 64;
/// Most auditAnnotations of one policy (upstream `maxAuditAnnotations`).
const MAX_AUDIT_ANNOTATIONS: usize = 20;
/// Longest valueExpression in bytes (upstream `maxAuditAnnotationValueExpressionLength`).
const MAX_VALUE_EXPRESSION: usize = 5 * 1024;

/// A required expression that is not blank.
fn expression(reader: &mut Reader<'_>, members: &mut Members<'_>, name: &'static str, detail: &str) -> Option<Text> {
    let field = members.require(reader, name, detail)?;
    if reader.string(&field)?.trim().is_empty() {
        reader.empty(&field, detail);
        return None;
    }
    Some(field.text())
}

/// `paramKind`
pub(crate) fn param_kind(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<ParamKind> {
    let mut members = reader.members(field)?;
    let api_version = members.require(reader, "apiVersion", "").and_then(|f| {
        let text = reader.string(&f)?;
        for fault in api_version_faults(text) {
            reader.invalid(&f, &fault);
        }
        Some(text.to_owned())
    });
    let kind = members.require(reader, "kind", "").and_then(|f| {
        let text = reader.string(&f)?;
        for fault in names::dns1035_label(&text.to_lowercase()) {
            reader.invalid(&f, &format!("may have mixed case, but should otherwise match: {fault}"));
        }
        Some(text.to_owned())
    });
    members.finish(reader);
    Some(ParamKind { api_version: api_version?, kind: kind? })
}

fn api_version_faults(text: &str) -> Vec<String> {
    let (group, version) = match text.split_once('/') {
        Some((_, rest)) if rest.contains('/') => return vec![format!("unexpected GroupVersion string: {text}")],
        Some((group, version)) => (group, version),
        None => ("", text),
    };
    let mut faults = if group.is_empty() { Vec::new() } else { names::dns_subdomain(group) };
    if version.is_empty() {
        faults.push("version must be specified".to_owned());
    } else {
        faults.extend(names::dns1035_label(version));
    }
    faults
}

/// `matchConditions`
pub(crate) fn match_conditions(reader: &mut Reader<'_>, field: &Field<'_>) -> Vec<(String, Text)> {
    let items = reader.list(field);
    if items.len() > MAX_MATCH_CONDITIONS {
        let message = format!("Too many: {}: must have at most {MAX_MATCH_CONDITIONS} items", items.len());
        reader.report(field, message);
    }
    let mut conditions: Vec<(String, Text)> = Vec::new();
    for item in items.iter().take(MAX_MATCH_CONDITIONS) {
        let Some(mut members) = reader.members(item) else { continue };
        let expression = expression(reader, &mut members, "expression", "");
        let name = members.require(reader, "name", "").and_then(|f| {
            let text = reader.string(&f)?;
            if text.is_empty() {
                reader.empty(&f, "");
            } else {
                for fault in names::qualified_name(text) {
                    reader.invalid(&f, &fault);
                }
                if conditions.iter().any(|(n, _)| n == text) {
                    reader.duplicate(&f);
                }
            }
            Some(text.to_owned())
        });
        members.finish(reader);
        if let Some(expression) = expression {
            conditions.push((name.unwrap_or_default(), expression));
        }
    }
    conditions
}

/// `variables`
pub(crate) fn variables(reader: &mut Reader<'_>, field: &Field<'_>) -> Vec<(String, Text)> {
    let mut variables: Vec<(String, Text)> = Vec::new();
    for item in reader.list(field) {
        let Some(mut members) = reader.members(&item) else { continue };
        let name = members.require(reader, "name", "name is not specified").and_then(|f| {
            let text = reader.string(&f)?;
            if text.trim().is_empty() {
                reader.empty(&f, "name is not specified");
            } else if !names::is_cel_identifier(text) {
                reader.invalid(&f, "must be a valid CEL identifier");
            } else if variables.iter().any(|(n, _)| n == text) {
                reader.duplicate(&f);
            }
            Some(text.to_owned())
        });
        let expression = expression(reader, &mut members, "expression", "expression is not specified");
        members.finish(reader);
        if let (Some(name), Some(expression)) = (name, expression) {
            variables.push((name, expression));
        }
    }
    variables
}

/// `validations`
pub(crate) fn validations(reader: &mut Reader<'_>, field: &Field<'_>) -> Vec<ValidationSource> {
    let mut validations = Vec::new();
    for item in reader.list(field) {
        let Some(mut members) = reader.members(&item) else { continue };
        let expression = expression(reader, &mut members, "expression", "expression is not specified");
        let message_expression = members.get("messageExpression").and_then(|f| {
            let text = reader.string(&f)?;
            if !text.is_empty() && text.trim().is_empty() {
                reader.invalid(&f, "must be non-empty if specified");
            }
            (!text.trim().is_empty()).then(|| f.text())
        });
        let message = members.get("message").and_then(|f| {
            let text = reader.string(&f)?;
            if !text.is_empty() && text.trim().is_empty() {
                reader.invalid(&f, "must be non-empty if specified");
            } else if text.trim().contains(['\n', '\r']) {
                reader.invalid(&f, "must not contain line breaks");
            }
            (!text.is_empty()).then(|| text.to_owned())
        });
        let reasons = [
            ("Forbidden", Reason::Forbidden),
            ("Invalid", Reason::Invalid),
            ("RequestEntityTooLarge", Reason::RequestEntityTooLarge),
        ];
        let reason = members.get("reason").and_then(|f| reader.choice(&f, &reasons)).unwrap_or_default();
        members.finish(reader);
        if let Some(expression) = expression {
            validations.push(ValidationSource { expression, message, message_expression, reason });
        }
    }
    validations
}

/// `auditAnnotations` of the policy `policy_name`.
pub(crate) fn audit_annotations(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    policy_name: Option<&str>,
) -> Vec<(String, Text)> {
    let items = reader.list(field);
    if items.len() > MAX_AUDIT_ANNOTATIONS {
        reader.invalid(field, &format!("must not have more than {MAX_AUDIT_ANNOTATIONS} auditAnnotations"));
    }
    let mut annotations: Vec<(String, Text)> = Vec::new();
    for item in items {
        let Some(mut members) = reader.members(&item) else { continue };
        let key = members.require(reader, "key", "").and_then(|f| {
            let text = reader.string(&f)?;
            for fault in policy_name.map(|p| names::qualified_name(&format!("{p}/{text}"))).unwrap_or_default() {
                reader.invalid(&f, &fault);
            }
            if annotations.iter().any(|(k, _)| k == text) {
                reader.duplicate(&f);
            }
            Some(text.to_owned())
        });
        let value = expression(reader, &mut members, "valueExpression", "valueExpression is not specified");
        members.finish(reader);
        let (Some(key), Some(value)) = (key, value) else { continue };
        if value.as_str().trim().len() > MAX_VALUE_EXPRESSION {
            let detail = format!("must not exceed {MAX_VALUE_EXPRESSION} bytes in length");
            reader.empty(&Field { node: &value.node, path: value.path.clone() }, &detail);
            continue;
        }
        annotations.push((key, value));
    }
    annotations
}

#[derive(Clone, Copy, PartialEq)]
enum PatchType {
    ApplyConfiguration,
    JsonPatch,
}

/// `mutations`
pub(crate) fn mutations(reader: &mut Reader<'_>, field: &Field<'_>) -> Vec<MutationSource> {
    let mut mutations = Vec::new();
    for item in reader.list(field) {
        let Some(mut members) = reader.members(&item) else { continue };
        let types = [("ApplyConfiguration", PatchType::ApplyConfiguration), ("JSONPatch", PatchType::JsonPatch)];
        let patch_type = members.require(reader, "patchType", "").and_then(|f| reader.choice(&f, &types));
        let (apply, json) = (members.get("applyConfiguration"), members.get("jsonPatch"));
        let (chosen, other, name) = match patch_type {
            Some(PatchType::ApplyConfiguration) => (&apply, &json, "applyConfiguration"),
            Some(PatchType::JsonPatch) => (&json, &apply, "jsonPatch"),
            None => {
                members.finish(reader);
                continue;
            }
        };
        let type_name = if name == "jsonPatch" { "JSONPatch" } else { "ApplyConfiguration" };
        if let Some(other) = other {
            reader.report(other, format!("Invalid value: must not be specified when patchType is {type_name}"));
        }
        match chosen {
            None => {
                reader.missing(&item, name, &format!("must be specified when patchType is {type_name}"));
            }
            Some(f) => {
                if let Some(mut inner) = reader.members(f) {
                    let text = expression(reader, &mut inner, "expression", "");
                    inner.finish(reader);
                    mutations.extend(text.map(|t| match patch_type {
                        Some(PatchType::JsonPatch) => MutationSource::JsonPatch(t),
                        _ => MutationSource::ApplyConfiguration(t),
                    }));
                }
            }
        }
        members.finish(reader);
    }
    mutations
}
