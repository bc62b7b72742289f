//! Policies judged silently beside those in force, and where the two do not agree.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use stockade_policy::compiled::{Flavour, Policy};

use crate::decision::{Compared, Decision, Differs, Finding, FindingAction, FindingResult, ShadowDifference};
use crate::outcome::Outcome;

/// What the shadows of one engine have come to. One engine hands it on to the next ([`crate::Engine::continuing`]).
#[derive(Debug, Default)]
pub struct Shadows {
    /// By position in the set.
    tallies: HashMap<u32, Arc<Tally>>,
}

/// Counts of one revision of a shadow, on this replica, that nobody has taken yet.
#[derive(Debug)]
struct Tally {
    flavour: Flavour,
    policy: Arc<str>,
    revision: u64,
    judged: AtomicU64,
    newly_fails: AtomicU64,
    no_longer_fails: AtomicU64,
}

/// What a shadow has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparisons {
    /// The kind of the shadow.
    pub flavour: Flavour,
    /// The shadow.
    pub policy: Arc<str>,
    /// [`Policy::revision`]
    pub revision: u64,
    /// Requests that it judged.
    pub judged: u64,
    /// Of these, on which it alone fails.
    pub newly_fails: u64,
    /// Of these, on which the policy in force alone fails.
    pub no_longer_fails: u64,
}

/// What a shadow made of a request.
pub(crate) struct Shadow<'c> {
    policy: &'c Policy,
    /// Position in the set.
    number: u32,
    of: &'c str,
    judged: bool,
    /// The first message, when it fails.
    failure: Option<String>,
}

// === impl Shadows ===

impl Shadows {
    /// Counts nothing yet.
    pub(crate) fn new(policies: &[Arc<Policy>]) -> Self {
        let shadows = policies.iter().enumerate().filter(|(_, policy)| policy.shadow_of.is_some());
        let tally = |policy: &Policy| Tally {
            flavour: policy.flavour,
            policy: Arc::clone(&policy.name),
            revision: policy.revision,
            judged: AtomicU64::new(0),
            newly_fails: AtomicU64::new(0),
            no_longer_fails: AtomicU64::new(0),
        };
        Self { tallies: shadows.map(|(number, policy)| (number as u32, Arc::new(tally(policy)))).collect() }
    }

    /// Takes over what another has counted of the same revisions of the same policies.
    pub(crate) fn inherit(&mut self, before: &Self) {
        let known: HashMap<(&str, u64), &Arc<Tally>> =
            before.tallies.values().map(|t| ((&*t.policy, t.revision), t)).collect();
        for tally in self.tallies.values_mut() {
            if let Some(same) = known.get(&(&*tally.policy, tally.revision)) {
                *tally = Arc::clone(same);
            }
        }
    }

    /// Whether there is a shadow of this name.
    pub fn counts(&self, policy: &str) -> bool {
        self.tallies.values().any(|tally| *tally.policy == *policy)
    }

    /// Counts a decision of this engine. Lock-free, and allocates nothing.
    pub fn record(&self, decision: &Decision) {
        for compared in &decision.compared {
            let Some(tally) = self.tallies.get(&compared.policy) else { continue };
            tally.judged.fetch_add(1, Ordering::Relaxed);
            match compared.differs {
                Some(Differs::NewlyFails) => _ = tally.newly_fails.fetch_add(1, Ordering::Relaxed),
                Some(Differs::NoLongerFails) => _ = tally.no_longer_fails.fetch_add(1, Ordering::Relaxed),
                None => {}
            }
        }
    }

    /// What was counted since the last time, of each shadow that judged something.
    pub fn take(&self) -> Vec<Comparisons> {
        let taken = |tally: &Arc<Tally>| Comparisons {
            flavour: tally.flavour,
            policy: Arc::clone(&tally.policy),
            revision: tally.revision,
            judged: tally.judged.swap(0, Ordering::Relaxed),
            newly_fails: tally.newly_fails.swap(0, Ordering::Relaxed),
            no_longer_fails: tally.no_longer_fails.swap(0, Ordering::Relaxed),
        };
        self.tallies.values().map(taken).filter(|c| c.judged > 0).collect()
    }
}

// === impl Shadow ===

impl<'c> Shadow<'c> {
    /// From what a policy would have done, had it been in force.
    pub(crate) fn new((policy, number): (&'c Policy, u32), of: &'c str, judged: bool, silent: Outcome) -> Self {
        let failure = silent.findings.into_iter().find(fails).map(|f| f.message);
        Self { policy, number, of, judged, failure }
    }
}

/// Notes what was compared, and the differences. Where findings were left out for want of room, nothing can be said.
pub(crate) fn compare(shadows: Vec<Shadow<'_>>, is_counted: bool, out: &mut Outcome) {
    if out.is_full() {
        return;
    }
    for Shadow { policy, number, of, judged, failure } in shadows {
        let in_force = out.findings.iter().find(|f| f.policy == of && fails(f));
        let difference = match (failure, in_force) {
            (Some(message), None) => Some((Differs::NewlyFails, message)),
            (None, Some(finding)) => Some((Differs::NoLongerFails, finding.message.clone())),
            _ => None,
        };
        let differs = difference.as_ref().map(|(differs, _)| *differs);
        if is_counted && (judged || differs.is_some()) {
            out.compared.push(Compared { policy: number, differs });
        }
        if let Some((differs, message)) = difference {
            out.shadow.push(ShadowDifference { policy: policy.name.to_string(), of: of.to_owned(), differs, message });
        }
    }
}

/// Waived or not, denied or only told.
fn fails(finding: &Finding) -> bool {
    matches!(finding.result, FindingResult::Fail | FindingResult::Error) && finding.action != FindingAction::Ignore
}
