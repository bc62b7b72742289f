//! Plans made again only where what they are made of has changed.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use stockade_netpol::compile::Census;
use stockade_netpol::plan::{Limits, Numbers, Planned, Planner};
use stockade_netpol::state::{Labels, Node, Pod, PodId, State};
use stockade_policy::compiled::Origin;
use stockade_watch::shared::Shared;

use super::people::People;
use super::{Undecided, policies};
use crate::inputs::identity::{Identity, pairs};
use crate::inputs::{Inputs, NamespaceFacts, NodeFacts, PolicyObject};

/// Plans for the Pods of the node, and remembers what the next may have in common with the last.
#[derive(Debug)]
pub(super) struct Plans {
    limits: Limits,
    planner: Option<(Basis, Planner)>,
    last: Option<Last>,
}

/// A plan, and what it was made of beside the planner's census: who gets a network has one already.
#[derive(Debug)]
struct Last {
    policies: Shared<PolicyObject>,
    pods: Vec<PodId>,
    planned: Arc<Planned>,
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

// === impl Plans ===

impl Plans {
    /// None yet.
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, planner: None, last: None }
    }

    /// Plans over a census that knows addresses only where the plan depends on them: they come and go more often than
    /// identities do.
    ///
    /// # Errors
    /// More than can be judged at once, or two contents with one number.
    pub(super) fn plan(&mut self, inputs: &Inputs, people: &People) -> Result<Arc<Planned>, Undecided> {
        let knows_addresses = self.planner.as_ref().is_some_and(|(basis, _)| basis.addresses.is_some());
        let planned = self.plan_over(inputs, people, knows_addresses)?;
        if planned.plan.depends_on_addresses == knows_addresses {
            return Ok(planned);
        }
        self.plan_over(inputs, people, !knows_addresses)
    }

    /// Plans for all Pods of the node: tables of one whose network is set up are in the kernel by then.
    fn plan_over(&mut self, inputs: &Inputs, people: &People, with_addresses: bool) -> Result<Arc<Planned>, Undecided> {
        let basis = Basis::new(inputs, people, with_addresses);
        let pods = people.expected();
        let before = self.planner.take().filter(|(before, _)| before.is_same(&basis));
        let last = self.last.take().filter(|last| before.is_some() && last.is_of(inputs, &pods));
        let mut planner = match before {
            Some((_, planner)) => planner,
            None => {
                let census = Arc::new(Census::new(basis.state(people)));
                let number = |id: PodId, _: &Pod| basis.identities[id.0 as usize].number;
                let numbers = Numbers::known(&census, number)?;
                Planner::new(census, numbers, self.limits)
            }
        };
        let planned = last.map_or_else(|| planner.plan(policies::read(inputs), &pods).map(Arc::new), |l| Ok(l.planned));
        self.planner = Some((basis, planner));
        let planned = planned?;
        self.last = Some(Last { policies: inputs.policies.clone(), pods, planned: Arc::clone(&planned) });
        Ok(planned)
    }
}

// === impl Last ===

impl Last {
    fn is_of(&self, inputs: &Inputs, pods: &[PodId]) -> bool {
        let (before, now) = (&self.policies, &inputs.policies);
        let are_same =
            || before.len() == now.len() && before.values().zip(now.values()).all(|(a, b)| Arc::ptr_eq(a, b));
        self.pods == pods && (before.is_same(now) || are_same())
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
            name: Arc::default(),
            owner: None,
            labels: identity.labels.clone(),
            addresses,
            ports: identity.ports.to_vec(),
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
