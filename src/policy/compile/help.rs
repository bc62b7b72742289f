//! What to do about the compile errors that people meet most.

use stockade_cel::source::Span;
use stockade_cel::{Issue, Type};

use super::expressions::Place;
use crate::compiled::Flavour;
use crate::environment::{ATTESTATION_ROOTS, ROOTS};
use crate::read::suggest::closest;
use crate::source::PolicySource;

/// Help for an issue, recognised by the words that upstream gives it.
pub(super) fn for_issue(message: &str, source: &PolicySource, place: Place) -> Option<String> {
    if let Some(field) = quoted(message, "undefined field '") {
        let names = source.variables.iter().map(|(name, _)| name.as_str());
        return closest(field, names).filter(|n| *n != field).map(|n| format!("did you mean `{n}`?"));
    }
    let name = quoted(message, "undeclared reference to '")?;
    let root = name.split('.').next().unwrap_or(name);
    match root {
        "authorizer" | "params" if source.flavour == Flavour::Image => {
            Some("an ImagePolicy has none: images are judged the same for everybody".to_owned())
        }
        "params" => Some("declare `spec.paramKind`, and `paramRef` in the binding".to_owned()),
        "authorizer" if place == Place::Message => {
            Some("`authorizer` is not available in a messageExpression".to_owned())
        }
        "variables" if place == Place::MatchCondition => {
            Some("matchConditions cannot use variables: they are judged before them".to_owned())
        }
        "variables" => Some("declare `spec.variables`".to_owned()),
        "images" if source.flavour == Flavour::Image => {
            Some("this library is available in AdmissionPolicy; an ImagePolicy has `image`".to_owned())
        }
        "cluster" | "network" | "images" if !source.flavour.is_own() => {
            Some("this library is available in `stockade.dev/v1alpha1` AdmissionPolicy only".to_owned())
        }
        name if source.flavour == Flavour::Image && ATTESTATION_ROOTS.contains(&name) => {
            Some("available in `spec.attestations[].validations` and in `spec.variables` only".to_owned())
        }
        "Object" | "JSONPatch" | "jsonpatch" if place != Place::Mutation => {
            Some("available in `spec.mutations` only".to_owned())
        }
        _ if source.variables.iter().any(|(n, _)| n == root) => Some(format!("did you mean `variables.{root}`?")),
        _ => {
            let known = ROOTS.into_iter().filter(|r| !r.contains('.') && !ATTESTATION_ROOTS.contains(r));
            let known = known.chain(["variables"]);
            closest(root, known).map(|n| format!("did you mean `{n}`?"))
        }
    }
}

/// What an issue is about when that is more than its place: the whole of an unknown name.
pub(super) fn widened(issue: &Issue, text: &str) -> Span {
    let Some(name) = quoted(&issue.message, "undeclared reference to '") else { return issue.span };
    let start = issue.span.start;
    let written = text.get(start as usize..).is_some_and(|rest| rest.starts_with(name));
    if written { Span::new(start, start + name.len() as u32) } else { issue.span }
}

/// Help for an expression of the wrong type.
pub(super) fn for_type(wanted: &[Type], got: &Type) -> Option<String> {
    match (wanted, got) {
        ([Type::Bool], Type::Dyn) => {
            Some("compare it, or convert it with `bool(…)`: its type is only known at run time".to_owned())
        }
        ([Type::String, ..], Type::Dyn) => Some("convert it with `string(…)`".to_owned()),
        ([Type::String, ..], Type::Int | Type::Uint | Type::Double | Type::Bool) => {
            Some("convert it with `string(…)`".to_owned())
        }
        ([Type::Bool], Type::Optional(_)) => Some("end it with `.orValue(false)` or `.hasValue()`".to_owned()),
        _ => None,
    }
}

/// The text between a prefix that ends in a quote and the next quote.
fn quoted<'m>(message: &'m str, prefix: &str) -> Option<&'m str> {
    let rest = &message[message.find(prefix)? + prefix.len()..];
    rest.split('\'').next()
}
