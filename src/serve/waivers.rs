//! Exceptions that requests needed, told for their status.

use stockade_engine::Request;
use stockade_engine::decision::{Decision, FindingAction, FindingResult};
use tokio::sync::mpsc;

/// Tells of each exception that something would have failed without, where there is a cluster to tell it to. Nothing
/// waits: what finds no room is told by the next such request. A dry run uses nothing.
pub(crate) fn tell(used: Option<&mpsc::Sender<String>>, request: &Request<'_>, decision: &Decision) {
    let Some(used) = used.filter(|_| !request.dry_run) else { return };
    let needed =
        decision.findings.iter().filter(|f| f.action == FindingAction::Waive && f.result != FindingResult::Pass);
    for exception in needed.filter_map(|f| f.exception.as_ref()) {
        let _ = used.try_send(exception.clone());
    }
}
