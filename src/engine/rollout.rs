//! Staged rollouts: what Deny comes to for an object, and when a rollout stops by itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use stockade_cel::Value;
use stockade_policy::compiled::{DenyBudget, Flavour, Policy, Rollout, Stage};
use stockade_policy::stable_hash::stable_hash;

use crate::decision::Decision;
use crate::matcher::{NamespaceLabels, has_namespace, selected_namespace};
use crate::request::{Request, labels};
use sources::Sources;

mod sources;

/// What Deny comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    Deny,
    Warn,
    Audit,
}

/// Counts and holds of the policies of one engine that have a budget. One engine hands them on to the next
/// ([`crate::Engine::continuing`]), so that an edit of one policy does not forget those of the others.
#[derive(Debug, Default)]
pub struct Rollouts {
    /// By position in the set.
    rates: HashMap<u32, Arc<DenyRate>>,
}

/// How much one revision of a policy denies, on this replica.
#[derive(Debug)]
struct DenyRate {
    flavour: Flavour,
    policy: Arc<str>,
    revision: u64,
    budget: DenyBudget,
    sources: Sources,
    held: AtomicBool,
}

/// Whose request it is, as budgets count: however often it comes, it is one. Two hashes, so that a decision that owns
/// what it holds allocates nothing for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// Of the namespace, in which whoever may write has all its names; of the requester for a cluster-scoped object.
    place: u64,
    /// Of the requester, and of what made the object.
    object: u64,
}

/// A rollout that has stopped because its policy denied more than its budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The kind of the policy.
    pub flavour: Flavour,
    /// The policy.
    pub policy: Arc<str>,
    /// [`Policy::revision`]
    pub revision: u64,
    /// Sources that it denied within the window.
    pub denied: u64,
    /// Sources that it judged within the window.
    pub judged: u64,
    /// The budget.
    pub budget: DenyBudget,
    /// Seconds since 1970.
    pub at: i64,
}

// === impl Rollouts ===

impl Rollouts {
    /// Counts nothing yet.
    pub(crate) fn new(policies: &[Arc<Policy>]) -> Self {
        let rate = |(number, policy): (usize, &Arc<Policy>)| {
            let rollout = policy.rollout.as_ref()?;
            let budget = rollout.budget?;
            let sources = Sources::new(budget.window_seconds);
            let (flavour, revision, policy) = (policy.flavour, policy.revision, policy.name.clone());
            let held = AtomicBool::new(false);
            Some((number as u32, Arc::new(DenyRate { flavour, policy, revision, budget, sources, held })))
        };
        Self { rates: policies.iter().enumerate().filter_map(rate).collect() }
    }

    /// Takes over what another has counted of the same revisions of the same policies.
    pub(crate) fn inherit(&mut self, before: &Self) {
        let known: HashMap<(&str, u64), &Arc<DenyRate>> =
            before.rates.values().map(|r| ((&*r.policy, r.revision), r)).collect();
        for rate in self.rates.values_mut() {
            if let Some(same) = known.get(&(&*rate.policy, rate.revision)) {
                *rate = Arc::clone(same);
            }
        }
    }

    /// Whether the rollout of a policy has stopped on this replica.
    pub(crate) fn is_held(&self, policy: u32) -> bool {
        self.rates.get(&policy).is_some_and(|r| r.held.load(Ordering::Relaxed))
    }

    /// Whether there is a budget to count for.
    pub(crate) fn counts(&self, policy: u32) -> bool {
        self.rates.contains_key(&policy)
    }

    /// Counts a decision of this engine, at a time in seconds since 1970, and stops rollouts that leave their budget.
    /// Returns those that stopped just now. Lock-free; allocates only when one stops.
    pub fn record(&self, decision: &Decision, now: i64) -> Vec<Hold> {
        let rates = decision.budgeted.iter().filter_map(|b| Some((self.rates.get(&b.policy)?, b)));
        rates.filter_map(|(rate, b)| rate.record(b.source, b.denied, now)).collect()
    }

    /// Rollouts that have stopped on this replica: policy and revision.
    pub fn held(&self) -> impl Iterator<Item = (&Arc<str>, u64)> {
        let held = self.rates.values().filter(|r| r.held.load(Ordering::Relaxed));
        held.map(|r| (&r.policy, r.revision))
    }
}

// === impl DenyRate ===

impl DenyRate {
    fn record(&self, source: Source, denied: bool, now: i64) -> Option<Hold> {
        self.sources.record(source, denied, now);
        // What is not denied only makes the share smaller.
        if !denied || self.held.load(Ordering::Relaxed) {
            return None;
        }
        let counts = self.sources.counts(now);
        // There are never many more to count: half of them say what all would.
        let enough = counts.judged >= u64::from(self.budget.min_requests).min(Sources::MOST / 2);
        let over = counts.denied * 100 > counts.judged * u64::from(self.budget.max_percentage);
        if !enough || !over || self.held.swap(true, Ordering::Relaxed) {
            return None;
        }
        let Self { flavour, policy, revision, budget, .. } = self;
        let (denied, judged) = (counts.denied, counts.judged);
        let (flavour, policy, revision, budget) = (*flavour, policy.clone(), *revision, *budget);
        Some(Hold { flavour, policy, revision, denied, judged, budget, at: now })
    }
}

// === impl Source ===

impl Source {
    /// That of a request.
    pub(crate) fn of(request: &Request<'_>) -> Self {
        let requester = request.user_info.get("username").and_then(Value::as_str).unwrap_or("");
        let (kind, name) = maker(request);
        let place = match request.namespace.is_empty() || request.is_namespace() {
            true => ["requester", requester],
            false => ["namespace", request.namespace],
        };
        Self { place: stable_hash(&place), object: stable_hash(&[requester, kind, name]) }
    }
}

/// How far a rollout has come for the object of a request.
///
/// A namespace whose labels cannot be read is in every stage: there the errors of a policy deny, and so do failures.
pub(crate) fn reached<'a>(
    rollout: &Rollout,
    policy: &str,
    request: &Request<'a>,
    namespaces: &dyn NamespaceLabels<'a>,
    held: bool,
) -> Reached {
    match denies(rollout, policy, request, namespaces) {
        true if held || rollout.held => Reached::Warn,
        true => Reached::Deny,
        false if is_in(rollout.warn.as_ref(), policy, request, namespaces) => Reached::Warn,
        false => Reached::Audit,
    }
}

/// Whether the object of a request is where Deny denies, on hold or not: what a budget counts.
pub(crate) fn denies<'a>(
    rollout: &Rollout,
    policy: &str,
    request: &Request<'a>,
    namespaces: &dyn NamespaceLabels<'a>,
) -> bool {
    is_in(rollout.deny.as_ref(), policy, request, namespaces)
}

fn is_in<'a>(stage: Option<&Stage>, policy: &str, request: &Request<'a>, namespaces: &dyn NamespaceLabels<'a>) -> bool {
    let Some(stage) = stage else { return false };
    let (kind, name) = maker(request);
    stable_hash(&[policy, request.namespace, kind, name]) % 100 < u64::from(stage.percentage)
        && stage.namespace_selector.as_ref().is_none_or(|selector| {
            // As everywhere: cluster-scoped objects are in, whatever the selector says.
            !has_namespace(request)
                || selected_namespace(request, namespaces).map_or(true, |n| selector.matches(labels(n)))
        })
}

/// Kind and name of what made an object: its controller, else the name it is generated from, else itself. Replicas of
/// one workload have the same, and so do retries.
fn maker<'a>(request: &Request<'a>) -> (&'a str, &'a str) {
    let object = match request.object {
        Value::Null => request.old_object,
        object => object,
    };
    let owners = object.path(&["metadata", "ownerReferences"]).and_then(Value::as_list).unwrap_or(&[]);
    let text = |value: Value<'a>, key| value.get(key).and_then(Value::as_str).unwrap_or("");
    let controls = |o: &&Value<'a>| matches!(o.get("controller"), Some(Value::Bool(true)));
    if let Some(owner) = owners.iter().find(controls) {
        return (text(*owner, "kind"), text(*owner, "name"));
    }
    let generated = object.path(&["metadata", "generateName"]).and_then(Value::as_str).filter(|n| !n.is_empty());
    (request.kind.kind, generated.unwrap_or_else(|| request.display_name()))
}
