//! What rules say about one protocol and port of one source.

use crate::policy::{Action, Tier};

/// No rule of a tier is about it; later than every rule.
pub const NO_RULE: u32 = u32::MAX;

/// The first rule of each tier, each a word: `ordinal << 2 | action`, or [`NO_RULE`]. The ordinal is the rule's place
/// in [`super::Table::rules`]; actions are 1 Accept, 2 Deny, 3 Pass. The lesser of two words is the earlier rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Leaf {
    /// Of the tier Admin.
    pub admin: u32,
    /// Of NetworkPolicies.
    pub network: u32,
    /// Of the tier Baseline.
    pub baseline: u32,
}

/// Bits of a word that are the action.
const ACTION_BITS: u32 = 2;

// === impl Leaf ===

impl Leaf {
    /// No rule.
    pub const NONE: Self = Self { admin: NO_RULE, network: NO_RULE, baseline: NO_RULE };

    /// One rule, by its place in its table.
    pub fn of_rule(tier: Tier, action: Action, ordinal: u32) -> Self {
        let action = match action {
            Action::Accept => 1,
            Action::Deny => 2,
            Action::Pass => 3,
        };
        let word = ordinal << ACTION_BITS | action;
        match tier {
            Tier::Admin => Self { admin: word, ..Self::NONE },
            Tier::Network => Self { network: word, ..Self::NONE },
            Tier::Baseline => Self { baseline: word, ..Self::NONE },
        }
    }

    /// What is first of two, tier by tier.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self {
            admin: self.admin.min(other.admin),
            network: self.network.min(other.network),
            baseline: self.baseline.min(other.baseline),
        }
    }

    /// Whether a packet may pass, and the ordinal of the rule that decides. Without one it is the isolation of the Pod
    /// that denies, and the absence of any that lets pass.
    pub fn verdict(self, isolated: bool) -> (bool, Option<u32>) {
        let decided = |word: u32| match Self::action(word) {
            Some(Action::Accept) => Some((true, Some(Self::ordinal(word)))),
            Some(Action::Deny) => Some((false, Some(Self::ordinal(word)))),
            Some(Action::Pass) | None => None,
        };
        if let Some(verdict) = decided(self.admin) {
            return verdict;
        }
        if isolated {
            return decided(self.network).unwrap_or((false, None));
        }
        decided(self.baseline).unwrap_or((true, None))
    }

    /// The place of a word's rule.
    pub fn ordinal(word: u32) -> u32 {
        word >> ACTION_BITS
    }

    /// What a word's rule does; none when it is no rule.
    pub fn action(word: u32) -> Option<Action> {
        match word & ((1 << ACTION_BITS) - 1) {
            _ if word == NO_RULE => None,
            1 => Some(Action::Accept),
            2 => Some(Action::Deny),
            3 => Some(Action::Pass),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_are_asked_in_their_order_and_pass_leads_on() {
        let rule = Leaf::of_rule;
        let (admin, network, baseline) = (Tier::Admin, Tier::Network, Tier::Baseline);
        let (accept, deny, pass) = (Action::Accept, Action::Deny, Action::Pass);
        let cases = [
            (Leaf::NONE, true, (false, None)),
            (Leaf::NONE, false, (true, None)),
            (rule(admin, deny, 0).min(rule(network, accept, 1)), true, (false, Some(0))),
            (rule(admin, accept, 5), true, (true, Some(5))),
            (rule(admin, pass, 0).min(rule(network, accept, 1)), true, (true, Some(1))),
            (rule(admin, pass, 0).min(rule(baseline, deny, 2)), true, (false, None)),
            (rule(admin, pass, 0).min(rule(baseline, deny, 2)), false, (false, Some(2))),
            (rule(admin, pass, 0).min(rule(admin, deny, 1)), false, (true, None)),
            (rule(baseline, pass, 0).min(rule(baseline, deny, 1)), false, (true, None)),
        ];
        for (leaf, isolated, expected) in cases {
            assert_eq!(leaf.verdict(isolated), expected, "{leaf:?}");
        }
    }
}
