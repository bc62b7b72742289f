//! What one end's policies say, in words.

use serde::Serialize;
use stockade_netpol::compile::{Compiled, PolicyId, RuleId};
use stockade_netpol::policy::Direction;
use stockade_netpol::verdict::Decision;

use crate::table::shown;

/// What decides, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DecisionView {
    /// `accepted`, `denied`, `isolated`, `not-selected`, `no-pod`, `itself` or `own-node`.
    pub reason: &'static str,
    /// In words.
    pub message: String,
    /// The rule that decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleView>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleView {
    /// `NetworkPolicy shop/web`
    pub policy: String,
    /// `ingress` or `egress`
    pub direction: Direction,
    /// From 1.
    pub number: u32,
    /// Its name, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Path as the user gave it.
    pub file: String,
    /// From 1.
    pub line: u32,
}

// === impl DecisionView ===

impl DecisionView {
    /// About one end, by the name that it is shown by.
    pub(super) fn new(compiled: &Compiled, whose: &str, direction: Direction, decision: &Decision) -> Self {
        let policies = |ids: &[PolicyId]| {
            let names: Vec<String> = ids.iter().map(|id| compiled.policy(*id).to_string()).collect();
            names.join(" and ")
        };
        let ruled = |verb: &str, id: RuleId| {
            let rule = RuleView::new(compiled, id);
            let name = rule.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
            let message = format!("{} rule {}{name} of {} {verb} it", id.direction.rules(), rule.number, rule.policy);
            (message, Some(rule))
        };
        let plain = |message: String| (message, None);
        let (reason, (message, rule)) = match decision {
            Decision::Accepted(rule) => ("accepted", ruled("accepts", *rule)),
            Decision::Denied(rule) => ("denied", ruled("denies", *rule)),
            Decision::Isolated(ids) => {
                let verb = if ids.len() == 1 { "selects" } else { "select" };
                ("isolated", plain(format!("{} {verb} {whose}, and no rule accepts it", policies(ids))))
            }
            Decision::NotSelected => {
                ("not-selected", plain(format!("no policy decides about {} of {whose}", direction.rules())))
            }
            Decision::NoPod => ("no-pod", plain(format!("{whose} is no Pod that policies are about"))),
            Decision::Itself => ("itself", plain("a Pod always reaches itself".to_owned())),
            Decision::OwnNode => ("own-node", plain("a Pod and its own node always reach each other".to_owned())),
        };
        Self { reason, message, rule }
    }
}

// === impl RuleView ===

impl RuleView {
    pub(super) fn new(compiled: &Compiled, id: RuleId) -> Self {
        let rule = compiled.rule(id);
        Self {
            policy: compiled.policy(id.policy).to_string(),
            direction: id.direction,
            number: id.index + 1,
            name: rule.name.as_ref().map(ToString::to_string),
            file: rule.origin.file.to_string(),
            line: rule.origin.line,
        }
    }

    pub(super) fn place(&self) -> String {
        format!("{}:{}", shown(&self.file), self.line)
    }
}
