//! Rules that others make pointless, and policies whose order is open.

use super::{Check, Finding};
use crate::compile::{Compiled, PolicyId, RuleId};
use crate::policy::{Direction, Policy, Tier};

pub(super) fn check(compiled: &Compiled, findings: &mut Vec<Finding>) {
    for (id, policy) in compiled.policies() {
        for direction in Direction::ALL {
            never_decides(compiled, id, direction, findings);
        }
        undefined_order(compiled, id, policy, findings);
    }
}

/// An earlier rule of the same policy that means all that a later one does leaves it nothing.
fn never_decides(compiled: &Compiled, policy: PolicyId, direction: Direction, findings: &mut Vec<Finding>) {
    let rules: Vec<_> = compiled.rules_of(policy, direction).collect();
    for (at, (id, rule)) in rules.iter().enumerate() {
        let earlier = rules[..at].iter().find(|(_, other)| other.means_all_of(rule));
        // In a NetworkPolicy order says nothing: a later rule takes an earlier one's place just as well.
        let later = || {
            let others = rules[at + 1..].iter().filter(|_| compiled.policy(policy).tier == Tier::Network);
            others.into_iter().find(|(_, other)| other.means_all_of(rule) && !rule.means_all_of(other))
        };
        let Some((other, _)) = earlier.or_else(later) else { continue };
        let RuleId { index, .. } = *id;
        findings.push(Finding {
            check: Check::NeverDecides,
            origin: compiled.rule(*id).origin.clone(),
            message: format!(
                "{} rule {} of {} never decides: rule {} means all that it does",
                direction.rules(),
                index + 1,
                compiled.policy(policy),
                other.index + 1
            ),
            help: "remove it, or put it first where it is to decide otherwise".to_owned(),
            yaml: String::new(),
        });
    }
}

fn undefined_order(compiled: &Compiled, id: PolicyId, policy: &Policy, findings: &mut Vec<Finding>) {
    if policy.tier == Tier::Network {
        return;
    }
    let same = |other: &&(PolicyId, &Policy)| {
        let (number, other) = other;
        *number > id && (other.tier, other.priority) == (policy.tier, policy.priority)
    };
    let others: Vec<_> = compiled.policies().collect();
    if let Some((_, other)) = others.iter().find(same) {
        findings.push(Finding {
            check: Check::UndefinedOrder,
            origin: other.origin.clone(),
            message: format!(
                "{policy} and {other} have the priority {} in one tier: which of them is asked first is left open",
                policy.priority
            ),
            help: "give each its own priority; here they are judged in the order of their names".to_owned(),
            yaml: String::new(),
        });
    }
}
