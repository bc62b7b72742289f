//! Plans made again and again while policies change and who is there does not.
//!
//! What is kept from one plan to the next follows from the census alone: whom a selector means, and the tables by their
//! ids, which are all else that they depend on. So a plan is the same whatever was planned before it, and costs what has
//! changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::chosen::Chosen;
use super::{BuiltTables, Collision, DoesNotFit, Limits, Numbers, Plan, plan_again};
use crate::compile::{Census, Compiled, MAX_MATCHES, Matched, TooMuch};
use crate::policy::Policy;
use crate::state::PodId;

/// Plans over one census.
#[derive(Debug)]
pub struct Planner {
    census: Arc<Census>,
    numbers: Numbers,
    limits: Limits,
    matched: Matched,
    built: BuiltTables,
}

/// A plan, and the policies that it is made of.
#[derive(Debug)]
pub struct Planned {
    /// Policies that select one of the Pods, but for those that are refused.
    pub compiled: Compiled,
    /// The plan. A Pod that a refused policy selects does not fit.
    pub plan: Plan,
    /// Policies of which there is no more room to know whom they mean.
    pub refused: Vec<(Arc<Policy>, DoesNotFit)>,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotPlanned {
    /// More than can be judged at once.
    #[error("{0}")]
    TooMuch(#[from] TooMuch),
    /// Two contents that have one id.
    #[error("{0}")]
    Collision(#[from] Collision),
}

// === impl Planner ===

impl Planner {
    /// Of a census and its numbers.
    pub fn new(census: Arc<Census>, numbers: Numbers, limits: Limits) -> Self {
        Self { census, numbers, limits, matched: Matched::indexed(), built: BuiltTables::new() }
    }

    /// Numbers of the Pods of the census.
    pub fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    /// What these Pods are judged by ([`super::plan`]), of all policies that there are. Where these are too many to know
    /// whom they all mean ([`Limits::matches`]), those of the namespaces that need most are refused.
    ///
    /// # Errors
    /// More than can be judged at once; two contents that have one id.
    pub fn plan(
        &mut self,
        policies: impl IntoIterator<Item = Arc<Policy>>,
        pods: &[PodId],
    ) -> Result<Planned, NotPlanned> {
        let census = &self.census;
        let here = census.concerning(policies, pods);
        let matches = self.limits.matches.min(MAX_MATCHES);
        let Chosen { policies, refused } = Chosen::new(here, census.identities(), matches);
        let fault_of = |pod: PodId| refused.iter().find(|(policy, _)| census.selects(&policy.subject, pod));
        let faults = pods.iter().filter_map(|pod| Some((*pod, fault_of(*pod)?.1.clone())));
        let faults: BTreeMap<PodId, DoesNotFit> = faults.collect();
        let others: Vec<PodId> = pods.iter().filter(|pod| !faults.contains_key(pod)).copied().collect();
        let compiled = Compiled::matched_by(policies, Arc::clone(census), &mut self.matched)?;
        let mut plan = plan_again(&compiled, &self.numbers, &others, &self.limits, &mut self.built)?;
        plan.pods.extend(faults.into_iter().map(|(pod, fault)| (pod, Err(fault))));
        Ok(Planned { compiled, plan, refused })
    }
}

// === impl Planned ===

impl Planned {
    /// Whether a policy, planned or refused, selects each of some Pods.
    pub fn selected_by(&self, policy: &Policy) -> impl Fn(PodId) -> bool {
        let is_same = |other: &Policy| (&other.namespace, &other.name) == (&policy.namespace, &policy.name);
        let is_refused = self.refused.iter().any(|(other, _)| is_same(other));
        let is_selected = self.compiled.selected_by(&policy.subject);
        move |pod| {
            if is_refused { self.compiled.census().selects(&policy.subject, pod) } else { is_selected(pod) }
        }
    }
}
