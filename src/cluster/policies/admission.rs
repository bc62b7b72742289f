//! Objects of the own kinds before they are stored: what does not compile is refused with the diagnostics that the
//! command line shows, so that nobody has to look for them in a status.

use kube::core::DynamicObject;
use serde_json::Value as Json;
use stockade_engine::decision::{Decision, Status};
use stockade_engine::request::{Operation, Request};
use stockade_policy::compile::incremental::check;
use stockade_policy::compiled::PolicySet;
use stockade_policy::diagnostic::{Diagnostic, Diagnostics, Severity};
use stockade_policy::sources::PolicySources;

use super::{SourceKind, render};

/// Most faults that a refusal shows. Who has more mends these first.
const MAX_SHOWN: usize = 10;

/// Adds to a decision about an object of an own kind what compiling it tells: a refusal, or warnings. Nothing when the
/// request is about something else, is refused already, or leaves the spec as it is: finalizers and labels of an
/// object that was broken before must stay changeable. `beside` is what is in force: what neither has is warned of.
pub fn review(request: &Request<'_>, beside: &PolicySet, max_exception_seconds: Option<u32>, decision: &mut Decision) {
    let Some(kind) = SourceKind::OBJECTS.into_iter().find(|kind| is_of(*kind, request)) else { return };
    if !decision.allowed || !matches!(request.operation, Operation::Create | Operation::Update) {
        return;
    }
    let json = |value| serde_json::to_value(value).unwrap_or_default();
    let (new, old): (Json, Json) = (json(request.object), json(request.old_object));
    if request.operation == Operation::Update && new.get("spec") == old.get("spec") {
        return;
    }
    let diagnostics = match read(kind, new) {
        Ok(sources) => check(sources, beside, max_exception_seconds),
        Err(why) => Diagnostics::from(Diagnostic::of_file(Severity::Error, kind.as_str(), why)),
    };
    if diagnostics.has_errors() {
        *decision = refused(kind, &diagnostics, decision);
        return;
    }
    decision.warnings.extend(diagnostics.iter().filter(|d| d.severity == Severity::Warning).map(in_a_line));
}

/// Whether a request is about an object of this kind, and the kind is ours.
fn is_of(kind: SourceKind, request: &Request<'_>) -> bool {
    let resource = kind.api_resource();
    resource.group == OWN_GROUP
        && request.kind.group == OWN_GROUP
        && resource.kind == request.kind.kind
        && request.sub_resource.is_empty()
}

const OWN_GROUP: &str = "stockade.dev";

fn read(kind: SourceKind, object: Json) -> Result<PolicySources, String> {
    let object: DynamicObject = serde_json::from_value(object).map_err(|e| format!("is no object: {e}"))?;
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let files = render::files_of(kind, &format!("{}/{name}", kind.as_str()), &object)?;
    Ok(render::read(&files))
}

/// The decision with a refusal that shows the faults with their lines.
fn refused(kind: SourceKind, diagnostics: &Diagnostics, decision: &Decision) -> Decision {
    let faults: Vec<&Diagnostic> = diagnostics.iter().filter(|d| d.severity == Severity::Error).collect();
    let shown: Vec<String> = faults.iter().take(MAX_SHOWN).map(ToString::to_string).collect();
    let mut message = format!("this {} cannot be put in force:\n\n{}", kind.as_str(), shown.join("\n\n"));
    if faults.len() > MAX_SHOWN {
        message.push_str(&format!("\n\nand {} more", faults.len() - MAX_SHOWN));
    }
    Decision {
        allowed: false,
        status: Some(Status { code: 422, reason: "Invalid".to_owned(), message }),
        patch: Vec::new(),
        object: None,
        ..decision.clone()
    }
}

/// `spec.validations[0].expression: undefined field 'x' (line 12)`: a warning is one line of a header.
fn in_a_line(diagnostic: &Diagnostic) -> String {
    let Diagnostic { field, message, line, .. } = diagnostic;
    let colon = if field.is_empty() { "" } else { ": " };
    format!("{field}{colon}{} (line {line})", message.lines().next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use bumpalo::Bump;
    use serde_json::json;
    use stockade_cel::{Symbols, document};

    use super::*;

    fn policy(expression: &str, finalizer: &str) -> Json {
        let rule = json!({ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"] });
        json!({
            "apiVersion": "stockade.dev/v1alpha1", "kind": "AdmissionPolicy",
            "metadata": { "name": "p", "finalizers": [finalizer] },
            "spec": {
                "matchConstraints": { "resourceRules": [rule] }, "validations": [{ "expression": expression }],
                "shadowOf": "old",
            },
        })
    }

    /// Code and message, or the warnings.
    fn answer(operation: &str, sub_resource: &str, object: &Json, old: &Json) -> (Option<Status>, Vec<String>) {
        let kind = json!({ "group": "stockade.dev", "version": "v1alpha1", "kind": "AdmissionPolicy" });
        let resource = json!({ "group": "stockade.dev", "version": "v1alpha1", "resource": "admissionpolicies" });
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "u", "kind": kind, "resource": resource, "subResource": sub_resource, "name": "p",
                "operation": operation, "userInfo": {}, "object": object, "oldObject": old,
            },
        });
        let (body, arena, symbols) = (review.to_string(), Bump::new(), Symbols::new());
        let review = document::decode(body.as_bytes(), &arena, &symbols).unwrap();
        let mut decision = Decision::allowed();
        super::review(&Request::from_review(review).unwrap(), &PolicySet::default(), None, &mut decision);
        assert_eq!(decision.allowed, decision.status.is_none());
        (decision.status, decision.warnings)
    }

    #[test]
    fn a_spec_that_does_not_compile_is_refused_and_one_that_names_nothing_is_warned_of() {
        let (status, warnings) = answer("CREATE", "", &policy("objekt.x", "a"), &Json::Null);
        let status = status.unwrap();
        assert_eq!((status.code, status.reason.as_str(), warnings.len()), (422, "Invalid", 0));
        insta::assert_snapshot!(status.message, @r#"
        this AdmissionPolicy cannot be put in force:

        error: spec.validations[0].expression: undeclared reference to 'objekt' (in container '')
          --> AdmissionPolicy/p:17:17
           |
        17 |   - expression: objekt.x
           |                 ^^^^^^
           = help: did you mean `object`?
        "#);
        let (status, warnings) = answer("CREATE", "", &policy("object.spec.x == 1", "a"), &Json::Null);
        assert_eq!(status, None);
        insta::assert_snapshot!(warnings.join("\n"), @r#"
        spec.validations[0].expression: undefined field 'x' in v1 Pod (line 17)
        spec.shadowOf: no policy named "old": every failure will be told as a difference (line 18)
        "#);
    }

    #[test]
    fn what_was_broken_before_stays_changeable_outside_of_its_spec() {
        let (old, new) = (policy("objekt.x", "a"), policy("objekt.x", "b"));
        assert_eq!(answer("UPDATE", "", &new, &old), (None, Vec::new()));
        assert_eq!(answer("UPDATE", "status", &policy("objekt.y", "a"), &old), (None, Vec::new()));
        assert_eq!(answer("DELETE", "", &Json::Null, &old), (None, Vec::new()));
        assert!(answer("UPDATE", "", &policy("objekt.y", "a"), &old).0.is_some());
    }
}
