//! Who is judged: workloads, by Pods that stand for all alike.

use std::collections::{BTreeMap, HashMap};

use super::Party;
use super::outside::Pieces;
use crate::addresses::Family;
use crate::compile::Compiled;
use crate::state::{ContainerPort, PodId};
use crate::verdict::Endpoint;

/// A party, and a member who stands for all.
pub(super) struct Member {
    pub(super) party: Party,
    pub(super) pod: Option<PodId>,
    /// The same number, the same answers.
    pub(super) class: usize,
}

/// What is all the same of Pods to every policy.
#[derive(PartialEq, Eq, Hash)]
struct Class {
    /// By whom it is selected; none for those whom no selector means.
    selected_by: Option<usize>,
    /// Pieces of the addresses that it has.
    addresses: Vec<(Family, Option<usize>)>,
    ports: Vec<ContainerPort>,
    host_network: bool,
}

impl Compiled {
    /// Pods by what controls them; where those of one workload are not all the same, each for itself.
    pub(super) fn workloads(&self, pieces: &Pieces) -> Vec<Member> {
        let alike = self.alike();
        let mut classes: HashMap<Class, usize> = HashMap::new();
        let mut groups: BTreeMap<Party, Vec<(PodId, usize)>> = BTreeMap::new();
        for (id, pod) in self.state().pods().filter(|(_, pod)| !pod.finished) {
            let class = Class {
                selected_by: self.identity(id).map(|identity| alike[identity.0 as usize]),
                addresses: pod.addresses.iter().map(|a| (Family::of(*a), pieces.of(*a))).collect(),
                ports: pod.ports.clone(),
                host_network: pod.host_network,
            };
            let next = classes.len();
            let class = *classes.entry(class).or_insert(next);
            groups.entry(Party::of(pod)).or_default().push((id, class));
        }
        let mut members = Vec::new();
        for (party, pods) in groups {
            if pods.windows(2).all(|pair| pair[0].1 == pair[1].1) {
                members.extend(pods.first().map(|&(id, class)| Member { party, pod: Some(id), class }));
                continue;
            }
            members.extend(pods.into_iter().map(|(id, class)| {
                let party = Party::alone(self.state().pod(id));
                Member { party, pod: Some(id), class }
            }));
        }
        members
    }

    /// By identity: the same number where the same selectors mean them.
    fn alike(&self) -> Vec<usize> {
        let sets: Vec<_> = self.selector_sets().collect();
        let mut selected = vec![vec![0_u64; sets.len().div_ceil(64)]; self.identities()];
        for (number, set) in sets.iter().enumerate() {
            for identity in set.iter() {
                selected[identity.0 as usize][number / 64] |= 1 << (number % 64);
            }
        }
        let mut numbers = HashMap::new();
        let mut number = |bits| {
            let next = numbers.len();
            *numbers.entry(bits).or_insert(next)
        };
        selected.into_iter().map(&mut number).collect()
    }
}

// === impl Member ===

impl Member {
    pub(super) fn endpoint(&self, family: Option<Family>) -> Endpoint<'static> {
        match (&self.party, self.pod) {
            (_, Some(pod)) => Endpoint::Pod(pod, family),
            (Party::Outside(addresses), None) => Endpoint::Outside { address: addresses.first(), names: &[] },
            (Party::Workload { .. }, None) => Endpoint::Outside { address: None, names: &[] },
        }
    }

    pub(super) fn families(&self, compiled: &Compiled) -> Vec<Family> {
        match (&self.party, self.pod) {
            (_, Some(pod)) => compiled.state().pod(pod).addresses.iter().map(|a| Family::of(*a)).collect(),
            (Party::Outside(addresses), None) => addresses.first().map(Family::of).into_iter().collect(),
            (Party::Workload { .. }, None) => Vec::new(),
        }
    }
}
