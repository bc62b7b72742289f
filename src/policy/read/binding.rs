//! ValidatingAdmissionPolicyBinding, MutatingAdmissionPolicyBinding, and the parts that an AdmissionPolicy holds inline.

use super::matching::Operations;
use super::{Field, Members, Reader, labels, matching, metadata, names};
use crate::compiled::{Actions, Flavour, Origin, ParamRef, ParamSource, ParameterNotFoundAction};
use crate::source::BindingSource;

const ACTIONS: [&str; 3] = ["Audit", "Deny", "Warn"];

/// Reads a binding; `None` when it lacks what it cannot be without.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    mut object: Members<'_>,
    flavour: Flavour,
    origin: Origin,
    default_not_found: Option<ParameterNotFoundAction>,
) -> Option<BindingSource> {
    let meta = metadata::read(reader, &mut object, metadata::Scope::Cluster);
    let spec_field = object.require(reader, "spec", "");
    object.finish(reader);
    let mut spec = reader.members(&spec_field?)?;
    let policy_name = spec.require(reader, "policyName", "").and_then(|f| {
        let text = reader.string(&f)?;
        if text.is_empty() {
            reader.empty(&f, "");
        } else {
            for fault in names::dns_subdomain(text) {
                reader.invalid(&f, &fault);
            }
        }
        Some((text.to_owned(), f.node.span))
    });
    let params_field = spec.get("paramRef");
    let params = params_field.as_ref().and_then(|f| param_ref(reader, f, default_not_found));
    let operations = if flavour == Flavour::Mutating { Operations::Mutating } else { Operations::Any };
    let match_resources = spec.get("matchResources").and_then(|f| matching::read(reader, &f, operations, false));
    let actions = if flavour == Flavour::Mutating {
        Actions { deny: true, ..Actions::default() }
    } else {
        let field = spec.get("validationActions");
        if field.is_none() {
            reader.missing(spec.field(), "validationActions", "at least one validation action is required");
        }
        field.map(|f| self::actions(reader, &f)).unwrap_or_default()
    };
    spec.finish(reader);
    let (policy_name, policy_name_span) = policy_name?;
    let meta = meta?;
    Some(BindingSource {
        flavour,
        name: meta.name,
        name_span: meta.name_span,
        file: reader.file.clone(),
        origin,
        policy_name,
        policy_name_span,
        match_resources,
        params,
        params_span: params_field.map(|f| f.node.span),
        actions,
    })
}

/// `validationActions`
pub(crate) fn actions(reader: &mut Reader<'_>, field: &Field<'_>) -> Actions {
    let mut actions = Actions::default();
    let before = reader.diagnostics.len();
    let items = reader.strings(field);
    if items.is_empty() && reader.diagnostics.len() == before {
        reader.empty(field, "at least one validation action is required");
    }
    for (item, word) in items {
        let slot = match word {
            "Deny" => &mut actions.deny,
            "Warn" => &mut actions.warn,
            "Audit" => &mut actions.audit,
            _ => {
                reader.unsupported(&item, &ACTIONS);
                continue;
            }
        };
        if std::mem::replace(slot, true) {
            reader.duplicate(&item);
        }
    }
    if actions.deny && actions.warn {
        let why = "must not contain both Deny and Warn (repeating the same validation failure information in the \
                   API response and headers serves no purpose)";
        reader.invalid(field, why);
    }
    actions
}

/// `paramRef`; `default_not_found` where the version has a default for `parameterNotFoundAction`.
pub(crate) fn param_ref(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    default_not_found: Option<ParameterNotFoundAction>,
) -> Option<ParamRef> {
    let mut members = reader.members(field)?;
    let name_field = members.get("name");
    let name = name_field.as_ref().and_then(|f| reader.string(f)).filter(|n| !n.is_empty());
    let namespace = members.get("namespace").and_then(|f| reader.string(&f)).filter(|n| !n.is_empty());
    let selector_field = members.get("selector");
    let selector = selector_field.as_ref().and_then(|f| labels::read_selector(reader, f));
    if let (Some(f), Some(text)) = (&name_field, name) {
        for fault in names::path_segment(text) {
            reader.invalid(f, &fault);
        }
        if let Some(selector) = &selector_field {
            reader.forbidden(f, "name and selector are mutually exclusive");
            reader.forbidden(selector, "name and selector are mutually exclusive");
        }
    }
    if name.is_none() && selector_field.is_none() {
        reader.empty(field, "one of name or selector must be specified");
    }
    let choices = [("Deny", ParameterNotFoundAction::Deny), ("Allow", ParameterNotFoundAction::Allow)];
    let not_found = match members.get("parameterNotFoundAction") {
        Some(f) => reader.choice(&f, &choices),
        None => {
            if default_not_found.is_none() {
                reader.missing(field, "parameterNotFoundAction", "");
            }
            default_not_found
        }
    };
    members.finish(reader);
    let source = match (name, selector) {
        (Some(name), _) => ParamSource::Name(name.to_owned()),
        (None, Some(selector)) => ParamSource::Selector(selector),
        (None, None) => return None,
    };
    Some(ParamRef { source, namespace: namespace.map(str::to_owned), not_found: not_found? })
}
