//! Policies judged silently beside those in force, and where the two do not agree.

use stockade_policy::compiled::Policy;

use crate::decision::{Differs, Finding, FindingAction, FindingResult, ShadowDifference};
use crate::outcome::Outcome;

/// What a shadow made of a request.
pub(crate) struct Shadow<'c> {
    policy: &'c Policy,
    of: &'c str,
    /// The first message, when it fails.
    failure: Option<String>,
}

impl<'c> Shadow<'c> {
    /// From what a policy would have done, had it been in force.
    pub(crate) fn new(policy: &'c Policy, of: &'c str, silent: Outcome) -> Self {
        let failure = silent.findings.into_iter().find(fails).map(|f| f.message);
        Self { policy, of, failure }
    }
}

/// Notes the differences. Where findings were left out for want of room, nothing can be said.
pub(crate) fn compare(shadows: Vec<Shadow<'_>>, out: &mut Outcome) {
    if out.is_full() {
        return;
    }
    for Shadow { policy, of, failure } in shadows {
        let in_force = out.findings.iter().find(|f| f.policy == of && fails(f));
        let (differs, message) = match (failure, in_force) {
            (Some(message), None) => (Differs::NewlyFails, message),
            (None, Some(finding)) => (Differs::NoLongerFails, finding.message.clone()),
            _ => continue,
        };
        out.shadow.push(ShadowDifference { policy: policy.name.to_string(), of: of.to_owned(), differs, message });
    }
}

/// Waived or not, denied or only told.
fn fails(finding: &Finding) -> bool {
    matches!(finding.result, FindingResult::Fail | FindingResult::Error) && finding.action != FindingAction::Ignore
}
