//! Refusals told as Kubernetes Events.

use k8s_openapi::api::core::v1::ObjectReference;
use stockade_cluster::events::Events;
use stockade_engine::Request;
use stockade_engine::decision::{Decision, FindingAction};

/// Tells of a refusal, where there is a cluster to tell it to. Nothing waits. A dry run changes nothing, not even the
/// list of events.
pub(crate) fn tell(events: Option<&Events>, request: &Request<'_>, decision: &Decision) {
    let Some(events) = events.filter(|_| !decision.allowed && !request.dry_run) else { return };
    let Some(finding) = decision.findings.iter().find(|f| f.action == FindingAction::Deny) else { return };
    let text = |text: &str| Some(text.to_owned()).filter(|t| !t.is_empty());
    let about = ObjectReference {
        api_version: Some(request.kind.api_version()),
        kind: text(request.kind.kind),
        // An event about a Namespace that is refused cannot lie in it.
        namespace: text(request.namespace).filter(|_| !request.is_namespace()),
        name: text(request.display_name()),
        ..ObjectReference::default()
    };
    events.denied(&finding.policy, &finding.message, about);
}
