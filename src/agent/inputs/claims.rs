//! Who has which address, where more than one says that it has it.
//!
//! Addresses are given away again within a second. The node's own are the node's. What an own Pod says of itself is newer
//! than what slices say of it. Of two own Pods the one that is not being deleted has it, else the younger. Of two slices the
//! later. Else nobody knows, and the address counts as unknown, which nothing that names Pods lets in.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::PodFacts;

/// Somebody's claim to an address: the greatest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    by: Claimant,
    /// Whether it is not being deleted.
    stays: bool,
    /// When the Pod was made; which version of a slice it is.
    since: i64,
}

/// Who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Claimant {
    Slice,
    OwnPod,
    OwnNode,
}

/// Who claims which address, and who has it therefore. It costs what changes.
#[derive(Debug, Default)]
pub struct Claims {
    /// Claims, and how many make each of them.
    claims: BTreeMap<(IpAddr, Claim, u64), u32>,
    known: Arc<BTreeMap<IpAddr, u64>>,
    contested: BTreeSet<IpAddr>,
}

// === impl Claim ===

impl Claim {
    /// Of the node itself.
    pub const NODE: Self = Self { by: Claimant::OwnNode, stays: true, since: 0 };

    const LEAST: Self = Self { by: Claimant::Slice, stays: false, since: i64::MIN };
    const GREATEST: Self = Self { by: Claimant::OwnNode, stays: true, since: i64::MAX };

    /// Of a Pod of this node.
    pub fn of_pod(pod: &PodFacts) -> Self {
        Self { by: Claimant::OwnPod, stays: !pod.terminating, since: pod.created }
    }

    /// Of a version of a slice.
    pub fn of_slice(version: i64) -> Self {
        Self { by: Claimant::Slice, stays: true, since: version }
    }
}

// === impl Claims ===

impl Claims {
    /// Adds one, by number of identity.
    pub fn add(&mut self, address: IpAddr, claim: Claim, identity: u64) {
        let address = address.to_canonical();
        *self.claims.entry((address, claim, identity)).or_default() += 1;
        self.settle(address);
    }

    /// Takes one back that was added.
    pub fn remove(&mut self, address: IpAddr, claim: Claim, identity: u64) {
        let address = address.to_canonical();
        if let Entry::Occupied(mut count) = self.claims.entry((address, claim, identity)) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        self.settle(address);
    }

    /// Finds who has an address now.
    fn settle(&mut self, address: IpAddr) {
        let all = (address, Claim::LEAST, u64::MIN)..=(address, Claim::GREATEST, u64::MAX);
        let mut best = self.claims.range(all).rev().map(|((_, claim, identity), _)| (*claim, *identity));
        let (first, second) = (best.next(), best.next());
        let is_contested = first.zip(second).is_some_and(|((first, _), (second, _))| first == second);
        let owner = first.filter(|_| !is_contested).map(|(_, identity)| identity);
        if is_contested {
            self.contested.insert(address);
        } else {
            self.contested.remove(&address);
        }
        // A copy is made where others look at the last version.
        if self.known.get(&address).copied() != owner {
            let known = Arc::make_mut(&mut self.known);
            match owner {
                Some(identity) => known.insert(address, identity),
                None => known.remove(&address),
            };
        }
    }

    /// Numbers of identities by address.
    pub fn known(&self) -> &Arc<BTreeMap<IpAddr, u64>> {
        &self.known
    }

    /// Addresses of which nobody knows whose they are.
    pub fn contested(&self) -> impl Iterator<Item = IpAddr> {
        self.contested.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use stockade_netpol::plan::OWN_NODE;

    use super::*;

    fn pod(terminating: bool, created: i64) -> Claim {
        Claim::of_pod(&PodFacts { terminating, created, ..PodFacts::default() })
    }

    #[test]
    fn the_pod_that_stays_has_an_address_else_the_younger_else_nobody() {
        let address: IpAddr = "10.0.0.7".parse().unwrap();
        let who = |claims: &[(u64, Claim)]| {
            let (forwards, backwards) = (claims.iter(), claims.iter().rev());
            let [a, b] = [forwards.collect::<Vec<_>>(), backwards.collect()].map(|order| {
                let mut all = Claims::default();
                for (identity, claim) in order {
                    all.add(address, *claim, *identity);
                }
                // Who came and went leaves nothing.
                all.add(address, Claim::NODE, OWN_NODE);
                assert_eq!(all.known().get(&address), Some(&OWN_NODE));
                all.remove(address, Claim::NODE, OWN_NODE);
                let owner = all.known().get(&address).copied();
                assert_eq!(all.contested().next(), owner.is_none().then_some(address));
                owner
            });
            assert_eq!(a, b, "the order matters: {claims:?}");
            a
        };
        assert_eq!(who(&[(5, pod(true, 20)), (6, pod(false, 10))]), Some(6));
        assert_eq!(who(&[(5, pod(true, 20)), (6, pod(true, 10))]), Some(5));
        assert_eq!(who(&[(5, pod(false, 10)), (6, pod(false, 10))]), None);
        assert_eq!(who(&[(5, pod(true, 1)), (6, Claim::of_slice(3))]), Some(5));
        assert_eq!(who(&[(5, Claim::of_slice(3)), (6, Claim::of_slice(3))]), None);
        assert_eq!(who(&[(5, Claim::of_slice(3)), (6, Claim::of_slice(4))]), Some(6));
        assert_eq!(who(&[(5, Claim::of_slice(3)), (5, Claim::of_slice(3))]), Some(5));
        assert_eq!(who(&[(5, Claim::of_slice(3)), (5, Claim::of_slice(3)), (6, Claim::of_slice(3))]), None);
    }
}
