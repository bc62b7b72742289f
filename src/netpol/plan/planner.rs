//! Plans made again and again while policies change and who is there does not.
//!
//! What is kept from one plan to the next follows from the census alone: whom a selector means, and the tables by their
//! ids, which are all else that they depend on. So a plan is the same whatever was planned before it, and costs what has
//! changed.

use std::sync::Arc;

use super::{BuiltTables, Collision, Limits, Numbers, Plan, plan_again};
use crate::compile::{Census, Compiled, Matched, TooMuch};
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
    /// Policies that select one of the Pods.
    pub compiled: Compiled,
    /// The plan.
    pub plan: Plan,
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

    /// What these Pods are judged by ([`super::plan`]), of all policies that there are.
    ///
    /// # Errors
    /// More than can be judged at once; two contents that have one id.
    pub fn plan(
        &mut self,
        policies: impl IntoIterator<Item = Arc<Policy>>,
        pods: &[PodId],
    ) -> Result<Planned, NotPlanned> {
        let here = self.census.concerning(policies, pods);
        let compiled = Compiled::matched_by(here, Arc::clone(&self.census), &mut self.matched)?;
        let plan = plan_again(&compiled, &self.numbers, pods, &self.limits, &mut self.built)?;
        Ok(Planned { compiled, plan })
    }
}
