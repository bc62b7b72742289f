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
    let files = render::files(kind, &format!("{}/{name}", kind.as_str()), &object)?;
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
