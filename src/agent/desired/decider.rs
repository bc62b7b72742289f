//! Decides what the kernel is to hold, again and again: the same as from nothing, at the cost of what has changed.

use std::sync::Arc;

use stockade_netpol::plan::Limits;

use super::people::{Own, People, Sources};
use super::plans::Plans;
use super::policies::Made;
use super::{Desired, Undecided, expected, locals, policies, prefix};
use crate::contents::Contents;
use crate::inputs::Inputs;
use crate::inputs::claims::Claim;
use crate::places::Places;

/// Decides, and remembers what the next decision may have in common with this one.
#[derive(Debug)]
pub struct Decider {
    people: People,
    plans: Plans,
    /// What the tables of Pods were made of.
    made: Made,
}

// === impl Decider ===

impl Decider {
    /// One that remembers nothing.
    pub fn new(limits: Limits) -> Self {
        Self { people: People::default(), plans: Plans::new(limits), made: Made::default() }
    }

    /// Decides. `held` is what the kernel holds: where the tables of a Pod do not fit, it keeps those it has.
    ///
    /// # Errors
    /// More than can be judged at once, or two contents with one number. Then nothing is to change.
    pub fn decide(&mut self, inputs: &Inputs, places: &Places, held: &Contents) -> Result<Desired, Undecided> {
        let expected = expected(inputs);
        let locals = locals(inputs, places, &expected);
        let own = locals.iter().map(|local| Own {
            identity: Arc::clone(&local.identity),
            claim: Claim::of_pod(local.pod),
            addresses: local.addresses.clone(),
        });
        self.people.update(Sources {
            own: own.collect(),
            expected: expected.into_values().collect(),
            slices: inputs.slices.clone(),
            node_addresses: places.node_addresses.clone(),
        });
        let planned = self.plans.plan(inputs, &self.people)?;
        let plan = &planned.plan;

        let mut desired = Desired::default();
        desired.contents.add_closed();
        desired.contents.identities = Arc::clone(self.people.addresses());
        desired.contested = self.people.contested();
        desired.contents.add_plan(plan);
        let services = inputs.services.values().flat_map(|blocks| blocks.iter());
        desired.contents.services = services.filter_map(|block| prefix(block)).collect();
        let own = self.people.own();
        desired.add_endpoints(inputs, &locals, &own, plan, held);
        desired.add_unknown(inputs, places);
        desired.add_leftovers(places, held);
        let judged = desired.judged(&locals, &own, plan);
        desired.policies = policies::in_force(inputs, &planned, &judged, &mut self.made);
        desired.rules = plan.tables.iter().map(|(id, table)| (*id, Arc::clone(&table.rules))).collect();
        Ok(desired)
    }
}

#[cfg(test)]
mod tests;
