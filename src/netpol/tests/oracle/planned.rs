//! Clusters, planned for all their Pods.

use std::net::IpAddr;

use stockade_netpol::compile::{Compiled, RuleId};
use stockade_netpol::plan::{Limits, NOBODY, Numbers, Plan, RuleName, plan, protocol_number};
use stockade_netpol::policy::{Direction, Policy};
use stockade_netpol::ports::Protocol;
use stockade_netpol::state::{Pod, PodId, State};
use stockade_netpol::verdict::{Decision, Endpoint};

/// A cluster, planned for all its Pods.
pub(crate) struct Planned {
    pub(crate) compiled: Compiled,
    pub(crate) numbers: Numbers,
    pub(crate) plan: Plan,
}

/// A peer as a packet shows it.
pub(crate) struct Peer<'a> {
    pub(crate) end: Endpoint<'a>,
    pub(crate) identity: u64,
    pub(crate) address: IpAddr,
}

// === impl Planned ===

impl Planned {
    pub(crate) fn new(policies: Vec<Policy>, state: State) -> Self {
        Self::of(Compiled::new(policies, state).unwrap(), &Limits::default())
    }

    pub(crate) fn of(compiled: Compiled, limits: &Limits) -> Self {
        let numbers = Numbers::new(compiled.census()).unwrap();
        let pods: Vec<PodId> = compiled.state().pods().map(|(id, _)| id).collect();
        let plan = plan(&compiled, &numbers, &pods, limits).unwrap();
        Self { compiled, numbers, plan }
    }

    /// The table of the policies that are enforced on a Pod.
    pub(crate) fn table(&self, pod: PodId) -> Option<u64> {
        self.plan.pods[&pod].as_ref().unwrap().table
    }

    /// What a table says; without one everything passes.
    pub(crate) fn ruling(
        &self,
        table: Option<u64>,
        direction: Direction,
        peer: &Peer<'_>,
        (protocol, port): (u8, u16),
    ) -> (bool, Option<RuleName>) {
        let Some(table) = table.map(|id| &self.plan.tables[&id]) else { return (true, None) };
        let ruling = table.verdict(&self.plan.port_sets, direction, peer.identity, peer.address, protocol, port);
        (ruling.allowed, ruling.rule.cloned())
    }

    /// Whether two Pods' tables let a connection pass.
    pub(crate) fn allows(&self, from: PodId, to: PodId, protocol: Protocol, port: u16) -> bool {
        let packet = (protocol_number(protocol), port);
        let asked = |near, far, direction| self.ruling(self.table(near), direction, &self.peer(far), packet).0;
        asked(from, to, Direction::Egress) && asked(to, from, Direction::Ingress)
    }

    /// A Pod as its packets show it.
    pub(crate) fn peer(&self, pod: PodId) -> Peer<'static> {
        let address = self.compiled.state().pod(pod).addresses[0];
        Peer { end: Endpoint::Pod(pod, None), identity: self.numbers.of_pod(pod), address }
    }

    /// Everybody who can send packets. Whoever shares an address is left out: a packet shows one of them.
    pub(crate) fn peers(&self) -> Vec<Peer<'static>> {
        let state = self.compiled.state();
        let alone = |pod: &Pod| match pod.addresses[..] {
            [address] => state.holders(address).count() == 1 && !pod.host_network && !pod.finished,
            _ => false,
        };
        let pods = state.pods().filter(|(_, pod)| alone(pod)).map(|(id, _)| self.peer(id));
        let texts = (0..9).flat_map(|host| [format!("10.0.0.{host}"), format!("fd00::{host}")]);
        let outside = texts.map(|text| text.parse::<IpAddr>().unwrap()).filter(|a| state.holders(*a).next().is_none());
        let outside = outside.map(|address| Peer {
            end: Endpoint::Outside { address: Some(address), names: &[] },
            identity: NOBODY,
            address,
        });
        pods.chain(outside).collect()
    }
}

/// What the oracle says about one end; none where it is no matter of policies.
pub(crate) fn expected(
    compiled: &Compiled,
    pod: PodId,
    direction: Direction,
    peer: &Peer<'_>,
    (protocol, port): (Protocol, u16),
) -> Option<(bool, Option<RuleName>)> {
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
