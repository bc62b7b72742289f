//! Tables for kernels beside the oracle.

use std::net::IpAddr;
use std::sync::Arc;

use proptest::prelude::*;
use stockade_netpol::compile::{Census, Compiled, RuleId};
use stockade_netpol::plan::{Limits, NOBODY, Numbers, Plan, RuleName, plan, protocol_number};
use stockade_netpol::policy::{Direction, Policy};
use stockade_netpol::ports::Protocol;
use stockade_netpol::state::{Pod, PodId, State};
use stockade_netpol::verdict::{Decision, Endpoint};

use crate::generate::{policies, state};

/// Ports that are asked about; rules speak of 1 to 6, and of all.
const PORTS: [u16; 10] = [0, 1, 2, 3, 4, 5, 6, 7, 8, u16::MAX];

/// A cluster, planned for all its Pods.
struct Planned {
    compiled: Compiled,
    numbers: Numbers,
    plan: Plan,
}

/// A peer as a packet shows it.
struct Peer<'a> {
    end: Endpoint<'a>,
    identity: u64,
    address: IpAddr,
}

// === impl Planned ===

impl Planned {
    fn new(policies: Vec<Policy>, state: State) -> Self {
        let census = Arc::new(Census::new(state));
        let numbers = Numbers::new(&census).unwrap();
        let compiled = Compiled::over(policies.into_iter().map(Arc::new).collect(), census).unwrap();
        let pods: Vec<PodId> = compiled.state().pods().map(|(id, _)| id).collect();
        let plan = plan(&compiled, &numbers, &pods, &Limits::default()).unwrap();
        Self { compiled, numbers, plan }
    }

    /// What the table that counts for a Pod says, `None` being that everything passes.
    fn ruling(
        &self,
        table: Option<u64>,
        direction: Direction,
        peer: &Peer<'_>,
        what: (u8, u16),
    ) -> (bool, Option<RuleName>) {
        let Some(table) = table.map(|id| &self.plan.tables[&id]) else { return (true, None) };
        let ruling = table.verdict(&self.plan.port_sets, direction, peer.identity, peer.address, what.0, what.1);
        (ruling.allowed, ruling.rule.cloned())
    }

    /// Everybody who can send packets. Whoever shares an address is left out: a packet shows one of them.
    fn peers(&self) -> Vec<Peer<'static>> {
        let state = self.compiled.state();
        let alone = |pod: &Pod| match pod.addresses[..] {
            [address] => Some(address).filter(|a| state.holders(*a).count() == 1 && !pod.host_network && !pod.finished),
            _ => None,
        };
        let pods = state.pods().filter_map(|(id, pod)| {
            let end = Endpoint::Pod(id, None);
            Some(Peer { end, identity: self.numbers.of_pod(id), address: alone(pod)? })
        });
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

/// What the oracle says about one end; none where it is no matter of policies.
fn expected(
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tables_say_what_the_oracle_says_and_which_rule_decides(policies in policies(), state in state()) {
        let enforced: Vec<Policy> = policies.iter().filter(|policy| !policy.audit).cloned().collect();
        let enforced = Compiled::new(enforced, state.clone()).unwrap();
        let planned = Planned::new(policies, state);
        for (pod, tables) in &planned.plan.pods {
            let tables = tables.as_ref().unwrap();
            for peer in &planned.peers() {
                for direction in Direction::ALL {
                    for (protocol, port) in Protocol::ALL.into_iter().flat_map(|p| PORTS.map(|port| (p, port))) {
                        let asked = (protocol, port);
                        let Some(in_force) = expected(&enforced, *pod, direction, peer, asked) else { continue };
                        let all = expected(&planned.compiled, *pod, direction, peer, asked).unwrap();
                        let packet = (protocol_number(protocol), port);
                        let context = format!("{pod:?} {direction:?} {:?} {protocol} {port}", peer.end);
                        prop_assert_eq!(planned.ruling(tables.table, direction, peer, packet), in_force, "{}", context);
                        let audited = tables.audit_table.or(tables.table);
                        prop_assert_eq!(planned.ruling(audited, direction, peer, packet), all, "audit: {}", context);
                    }
                }
            }
        }
    }
}
