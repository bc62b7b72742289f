//! Labels and label selectors.

use super::{Field, Reader, names};
use crate::selector::{LabelSelector, Operator, Requirement};
use crate::tree::Content;

/// A mapping of labels, with its faults reported.
pub fn read_labels(reader: &mut Reader<'_>, field: &Field<'_>) -> Vec<(String, String)> {
    let Some(members) = reader.members(field) else { return Vec::new() };
    let Content::Mapping(entries) = &members.field().node.content else { return Vec::new() };
    let mut labels = Vec::new();
    for entry in entries {
        for fault in names::qualified_name(&entry.key) {
            reader.report_at(entry.key_span, &field.path, format!("Invalid value: {:?}: {fault}", entry.key));
        }
        let value = Field { node: &entry.value, path: field.path.clone() };
        // Go reads null into a map of strings as the empty string.
        let text = if entry.value.is_null() { Some("") } else { reader.string(&value) };
        let Some(text) = text else { continue };
        for fault in names::label_value(text) {
            reader.invalid(&value, &fault);
        }
        labels.push((entry.key.clone(), text.to_owned()));
    }
    labels
}

/// `metav1.LabelSelector`
pub fn read_selector(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<LabelSelector> {
    let mut members = reader.members(field)?;
    let mut requirements = Vec::new();
    if let Some(labels) = members.get("matchLabels") {
        for (key, value) in read_labels(reader, &labels) {
            requirements.push(Requirement { key, operator: Operator::In, values: vec![value] });
        }
    }
    if let Some(expressions) = members.get("matchExpressions") {
        for item in reader.list(&expressions) {
            requirements.extend(read_requirement(reader, &item));
        }
    }
    members.finish(reader);
    Some(LabelSelector { requirements })
}

fn read_requirement(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Requirement> {
    let mut members = reader.members(field)?;
    let key = members.require(reader, "key", "").and_then(|f| {
        let text = reader.string(&f)?;
        for fault in names::qualified_name(text) {
            reader.invalid(&f, &fault);
        }
        Some(text.to_owned())
    });
    let operator = members.require(reader, "operator", "").and_then(|f| {
        reader.choice(
            &f,
            &[
                ("In", Operator::In),
                ("NotIn", Operator::NotIn),
                ("Exists", Operator::Exists),
                ("DoesNotExist", Operator::DoesNotExist),
            ],
        )
    });
    let values_field = members.get("values");
    let mut values = Vec::new();
    for (item, text) in reader.optional_strings(values_field.as_ref()) {
        for fault in names::label_value(text) {
            reader.invalid(&item, &fault);
        }
        values.push(text.to_owned());
    }
    match (operator, &values_field) {
        (Some(Operator::In | Operator::NotIn), _) if values.is_empty() => {
            reader.missing(field, "values", "must be specified when `operator` is 'In' or 'NotIn'");
        }
        (Some(Operator::Exists | Operator::DoesNotExist), Some(f)) if !values.is_empty() => {
            reader.forbidden(f, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
        }
        _ => {}
    }
    members.finish(reader);
    Some(Requirement { key: key?, operator: operator?, values })
}
