//! Kinds of Pods: those that the same policies select are judged by one table.

use crate::compile::{Compiled, PolicyId};
use crate::identities::IdentityId;
use crate::policy::{Direction, Policy};
use crate::state::ContainerPort;

/// All that a table depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Selected {
    /// By direction, in the order in which they are asked.
    pub(super) policies: [Vec<PolicyId>; 2],
    /// By direction: whether a NetworkPolicy is among them.
    pub(super) isolated: [bool; 2],
    /// The Pod's ports that ingress rules refer to by name, sorted.
    pub(super) own_ports: Vec<ContainerPort>,
}

// === impl Selected ===

impl Selected {
    /// Of a Pod's policies those that count; none when no policy is about it.
    pub(super) fn new(
        compiled: &Compiled,
        identity: IdentityId,
        ports: &[ContainerPort],
        counts: impl Fn(&Policy) -> bool,
    ) -> Option<Self> {
        let that_count =
            |ids: &[PolicyId]| ids.iter().copied().filter(|id| counts(compiled.policy(*id))).collect::<Vec<_>>();
        let mut isolated = [false; 2];
        let policies = Direction::ALL.map(|direction| {
            let table = compiled.table(identity, direction);
            let network = that_count(&table.network);
            isolated[direction as usize] = !network.is_empty();
            [that_count(&table.admin), network, that_count(&table.baseline)].concat()
        });
        if policies.iter().all(Vec::is_empty) {
            return None;
        }
        let ingress = policies[Direction::Ingress as usize].iter();
        let rules = ingress.flat_map(|id| compiled.rules_of(*id, Direction::Ingress));
        let mut own_ports: Vec<ContainerPort> = rules.flat_map(|(_, rule)| rule.named_on(ports)).cloned().collect();
        own_ports.sort_unstable();
        own_ports.dedup();
        Some(Self { policies, isolated, own_ports })
    }
}
