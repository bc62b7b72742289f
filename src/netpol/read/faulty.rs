//! What becomes of a rule with faults.

use stockade_policy::compiled::Origin;
use stockade_policy::diagnostic::{Diagnostics, Severity};
use stockade_policy::read::{Field, Reader};

use super::api::Faults;
use crate::policy::{Action, Peer, Peers, Ports, Rule};

/// What becomes of a rule with faults.
pub(super) enum Faulty<'f> {
    /// Its policy is refused.
    Refused,
    /// It is closed, so that whatever it means nothing opens, and its faults are told here.
    Closed(&'f mut Faults),
}

// === impl Faulty ===

impl Faulty<'_> {
    /// Reads a rule. One that is closed has this action.
    pub(super) fn rule(
        &mut self,
        reader: &mut Reader<'_>,
        item: &Field<'_>,
        action: Action,
        read: impl FnOnce(&mut Reader<'_>) -> Option<Rule>,
    ) -> Option<Rule> {
        let Self::Closed(faults) = self else { return read(reader) };
        // Counted from nothing: a fault that has no room among those of other rules must not be overlooked.
        let before = std::mem::take(&mut reader.diagnostics);
        let rule = read(reader);
        let found: Diagnostics = std::mem::replace(&mut reader.diagnostics, before);
        let has_faults = found.iter().any(|d| d.severity == Severity::Error);
        faults.add(&found);
        match rule {
            Some(rule) if !has_faults => Some(rule),
            _ => Some(closed_rule(action, super::origin(reader, item.node))),
        }
    }
}

/// A rule that accepts nothing, or denies everything.
pub(super) fn closed_rule(action: Action, origin: Origin) -> Rule {
    Rule { name: None, origin, action, peers: Peers::AnyOf(vec![Peer::Unknown]), ports: Ports::All }
}
