//! Clusters, planned for all their Pods, beside the oracle.

use std::net::IpAddr;

use stockade_netpol::addresses::Family;
use stockade_netpol::compile::{Compiled, RuleId};
use stockade_netpol::plan::{Limits, NOBODY, Numbers, Plan, RuleName, plan};
use stockade_netpol::policy::{Direction, Policy};
use stockade_netpol::ports::Protocol;
use stockade_netpol::state::{Pod, PodId, State};
use stockade_netpol::verdict::{Decision, Endpoint};

use crate::truth_tables::{FAR, address};

/// A cluster, planned for all its Pods.
#[derive(Debug)]
pub struct Planned {
    /// The oracle, of all policies.
    pub compiled: Compiled,
    /// The oracle, of those that are enforced.
    pub enforced: Compiled,
    /// Of identities.
    pub numbers: Numbers,
    /// What kernels are to hold.
    pub plan: Plan,
}

/// A peer as a packet shows it.
#[derive(Debug, Clone, Copy)]
pub struct Peer<'a> {
    /// For the oracle.
    pub end: Endpoint<'a>,
    /// For kernels.
    pub identity: u64,
    /// For both.
    pub address: IpAddr,
}

/// Whether a packet passes, and the rule that decides; none where isolation does, or nothing.
pub type Ruling = (bool, Option<RuleName>);

/// What the oracle says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// By the policies that are enforced.
    pub in_force: Ruling,
    /// By all, audited ones too.
    pub all: Ruling,
}

// === impl Planned ===

impl Planned {
    /// With the usual limits.
    pub fn new(policies: Vec<Policy>, state: State) -> Self {
        Self::of(Compiled::new(policies, state).unwrap(), &Limits::default())
    }

    /// With limits of its own.
    pub fn of(compiled: Compiled, limits: &Limits) -> Self {
        let enforced = compiled.policies().filter(|(_, policy)| !policy.audit).map(|(_, policy)| policy.clone());
        let enforced = Compiled::new(enforced.collect(), compiled.state().clone()).unwrap();
        let numbers = Numbers::new(compiled.census()).unwrap();
        let pods: Vec<PodId> = compiled.state().pods().map(|(id, _)| id).collect();
        let plan = plan(&compiled, &numbers, &pods, limits).unwrap();
        Self { compiled, enforced, numbers, plan }
    }

    /// The table of the policies that are enforced on a Pod.
    pub fn table(&self, pod: PodId) -> Option<u64> {
        self.plan.pods[&pod].as_ref().unwrap().table
    }

    /// What a table says; without one everything passes.
    pub fn ruling(
        &self,
        table: Option<u64>,
        direction: Direction,
        peer: &Peer<'_>,
        (protocol, port): (u8, u16),
    ) -> Ruling {
        let Some(table) = table.map(|id| &self.plan.tables[&id]) else { return (true, None) };
        let ruling = table.verdict(&self.plan.port_sets, direction, peer.identity, peer.address, protocol, port);
        (ruling.allowed, ruling.rule.cloned())
    }

    /// A Pod as its packets show it; of two addresses the first counts.
    pub fn peer(&self, pod: PodId) -> Peer<'static> {
        self.peer_by(pod, Family::of(self.compiled.state().pod(pod).addresses[0]))
    }

    /// A Pod as its packets of one family show it.
    fn peer_by(&self, pod: PodId, family: Family) -> Peer<'static> {
        let addresses = &self.compiled.state().pod(pod).addresses;
        let address = *addresses.iter().find(|address| Family::of(**address) == family).unwrap();
        Peer { end: Endpoint::Pod(pod, Some(family)), identity: self.numbers.of_pod(pod), address }
    }

    /// Whoever is at a place of [`crate::truth_tables::Cluster`]: a Pod or not, and as its packets show it.
    pub fn at(&self, place: usize, family: Family) -> (Option<PodId>, Peer<'static>) {
        if place == FAR {
            return (None, Self::outside(address(family, place)));
        }
        let pod = PodId(place as u32);
        (Some(pod), self.peer_by(pod, family))
    }

    /// Somebody with an address that is no Pod's.
    pub fn outside(address: IpAddr) -> Peer<'static> {
        Peer { end: Endpoint::Outside { address: Some(address), names: &[] }, identity: NOBODY, address }
    }

    /// Everybody who can send packets. Whoever shares an address is left out: a packet shows one of them.
    pub fn peers(&self) -> Vec<Peer<'static>> {
        let state = self.compiled.state();
        let alone = |pod: &Pod| match pod.addresses[..] {
            [address] => state.holders(address).count() == 1 && !pod.host_network && !pod.finished,
            _ => false,
        };
        let pods = state.pods().filter(|(_, pod)| alone(pod)).map(|(id, _)| self.peer(id));
        let texts = (0..9).flat_map(|host| [format!("10.0.0.{host}"), format!("fd00::{host}")]);
        let outside = texts.map(|text| text.parse::<IpAddr>().unwrap()).filter(|a| state.holders(*a).next().is_none());
        pods.chain(outside.map(Self::outside)).collect()
    }

    /// What the oracle says about one end; none where it is no matter of policies.
    pub fn expected(
        &self,
        pod: PodId,
        direction: Direction,
        peer: &Peer<'_>,
        asked: (Protocol, u16),
    ) -> Option<Expected> {
        let in_force = ruling(&self.enforced, pod, direction, peer, asked)?;
        let all = ruling(&self.compiled, pod, direction, peer, asked)?;
        Some(Expected { in_force, all })
    }
}

fn ruling(
    compiled: &Compiled,
    pod: PodId,
    direction: Direction,
    peer: &Peer<'_>,
    (protocol, port): (Protocol, u16),
) -> Option<Ruling> {
    let pod = Endpoint::Pod(pod, None);
    let verdict = match direction {
        Direction::Ingress => compiled.verdict(peer.end, pod, protocol, port),
        Direction::Egress => compiled.verdict(pod, peer.end, protocol, port),
    };
    match verdict.of(direction) {
        Decision::Accepted(rule) => Some((true, Some(name(compiled, *rule)))),
        Decision::Denied(rule) => Some((false, Some(name(compiled, *rule)))),
        Decision::Isolated(_) => Some((false, None)),
        Decision::NotSelected => Some((true, None)),
        Decision::NoPod | Decision::Itself | Decision::OwnNode => None,
    }
}

fn name(compiled: &Compiled, rule: RuleId) -> RuleName {
    let policy = compiled.policy(rule.policy);
    RuleName {
        namespace: policy.namespace.clone(),
        policy: policy.name.clone(),
        direction: rule.direction,
        index: rule.index,
        name: compiled.rule(rule).name.clone(),
    }
}
