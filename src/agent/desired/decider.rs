//! Decides what the kernel is to hold, again and again: the same as from nothing, at the cost of what has changed.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use stockade_netpol::compile::Census;
use stockade_netpol::plan::{Limits, Numbers, Planned, Planner};
use stockade_netpol::state::{Labels, Node, Pod, PodId, State};
use stockade_policy::compiled::Origin;

use super::people::{Own, People, Sources};
use super::policies::Made;
use super::{Desired, Undecided, expected, locals, policies, prefix};
use crate::contents::Contents;
use crate::inputs::claims::Claim;
use crate::inputs::identity::{Identity, pairs};
use crate::inputs::{Inputs, NamespaceFacts, NodeFacts};
use crate::places::Places;
use stockade_watch::shared::Shared;

/// Decides, and remembers what the next decision may have in common with this one.
#[derive(Debug)]
pub struct Decider {
    limits: Limits,
    people: People,
    planner: Option<(Basis, Planner)>,
    /// What the tables of Pods were made of.
    made: Made,
}

/// What a planner's census is made of. While it is the same, so is the census.
#[derive(Debug, Clone)]
struct Basis {
    identities: Arc<Vec<Arc<Identity>>>,
    namespaces: Shared<NamespaceFacts>,
    nodes: Shared<NodeFacts>,
    /// Who has which address, where plans depend on it.
    addresses: Option<Arc<BTreeMap<IpAddr, u64>>>,
}

// === impl Decider ===

impl Decider {
    /// One that remembers nothing.
    pub fn new(limits: Limits) -> Self {
        Self { limits, people: People::default(), planner: None, made: Made::default() }
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
        let Planned { compiled, plan } = self.plan(inputs)?;

        let mut desired = Desired::default();
        desired.contents.add_closed();
        desired.contents.identities = Arc::clone(self.people.addresses());
        desired.contested = self.people.contested();
        desired.contents.add_plan(&plan);
        let services = inputs.services.values().flat_map(|blocks| blocks.iter());
        desired.contents.services = services.filter_map(|block| prefix(block)).collect();
        let own = self.people.own();
        desired.add_endpoints(inputs, &locals, &own, &plan, held);
        desired.add_unknown(inputs, places);
        desired.add_leftovers(places, held);
        let judged = desired.judged(&locals, &own, &plan);
        desired.policies = policies::in_force(inputs, &compiled, &judged, &plan, &mut self.made);
        desired.rules = plan.tables.into_iter().map(|(id, table)| (id, Arc::clone(&table.rules))).collect();
        Ok(desired)
    }

    /// Plans over a census that knows addresses only where the plan depends on them: they come and go more often than
    /// identities do.
    fn plan(&mut self, inputs: &Inputs) -> Result<Planned, Undecided> {
        let knows_addresses = self.planner.as_ref().is_some_and(|(basis, _)| basis.addresses.is_some());
        let planned = self.plan_over(inputs, knows_addresses)?;
        if planned.plan.depends_on_addresses == knows_addresses {
            return Ok(planned);
        }
        self.plan_over(inputs, !knows_addresses)
    }

    /// Plans for all Pods of the node: tables of one whose network is set up are in the kernel by then.
    fn plan_over(&mut self, inputs: &Inputs, with_addresses: bool) -> Result<Planned, Undecided> {
        let basis = Basis::new(inputs, &self.people, with_addresses);
        let before = self.planner.take().filter(|(before, _)| before.is_same(&basis));
        let mut planner = match before {
            Some((_, planner)) => planner,
            None => {
                let census = Arc::new(Census::new(basis.state(&self.people)));
                let number = |id: PodId, _: &Pod| basis.identities[id.0 as usize].number;
                let numbers = Numbers::known(&census, number)?;
                Planner::new(census, numbers, self.limits)
            }
        };
        let planned = planner.plan(policies::read(inputs), &self.people.expected());
        self.planner = Some((basis, planner));
        planned
    }
}

// === impl Basis ===

impl Basis {
    fn new(inputs: &Inputs, people: &People, with_addresses: bool) -> Self {
        Self {
            identities: Arc::clone(&people.identities),
            namespaces: inputs.namespaces.clone(),
            nodes: inputs.nodes.clone(),
            addresses: with_addresses.then(|| Arc::clone(people.addresses())),
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        let addresses = match (&self.addresses, &other.addresses) {
            (Some(own), Some(other)) => Arc::ptr_eq(own, other),
            (own, other) => own.is_none() && other.is_none(),
        };
        let identities = Arc::ptr_eq(&self.identities, &other.identities);
        addresses && identities && self.namespaces.is_same(&other.namespaces) && self.nodes.is_same(&other.nodes)
    }

    /// One Pod of each identity, at the identity's place.
    fn state(&self, people: &People) -> State {
        let mut claimed = self.addresses.is_some().then(|| people.claimed().into_iter());
        let addresses = || claimed.as_mut().and_then(Iterator::next).unwrap_or_default();
        let addresses = std::iter::repeat_with(addresses);
        let pods = self.identities.iter().zip(addresses).map(|(identity, addresses)| Pod {
            namespace: Arc::clone(&identity.namespace),
            name: "".into(),
            owner: None,
            labels: identity.labels.clone(),
            addresses,
            ports: identity.ports.clone(),
            host_network: false,
            node: None,
            finished: false,
            origin: Origin::default(),
        });
        let namespaces = self.namespaces.iter();
        let namespaces = namespaces.map(|(name, facts)| {
            let labels = Labels::of_namespace(name, pairs(&facts.labels));
            (Arc::from(name.as_str()), labels)
        });
        let nodes = self.nodes.iter().map(|(name, facts)| Node {
            name: name.as_str().into(),
            labels: Labels::new(pairs(&facts.labels)),
            addresses: facts.addresses.clone(),
        });
        State { namespaces: namespaces.collect(), pods: pods.collect(), nodes: nodes.collect() }
    }
}

#[cfg(test)]
mod tests;
