//! Who has which address, where more than one says that it has it.
//!
//! Addresses are given away again within a second. The node's own are the node's. What an own Pod says of itself is newer
//! than what slices say of it. Of two own Pods the one that is not being deleted has it, else the younger. Of two slices the
//! later. Else nobody knows, and the address counts as unknown, which nothing that names Pods lets in.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
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

/// Who claims which address, and who has it therefore.
#[derive(Debug, Default)]
pub struct Claims {
    /// The greatest claim to each address, with the number of its identity: mostly the only one.
    greatest: BTreeMap<IpAddr, (Claim, u64)>,
    /// All others, where there are any, and how many make each of them.
    others: BTreeMap<IpAddr, BTreeMap<(Claim, u64), u32>>,
    /// Addresses to which claims were added or taken back since it was last found who has them.
    touched: Vec<IpAddr>,
    known: Arc<BTreeMap<IpAddr, u64>>,
}

// === impl Claim ===

impl Claim {
    /// Of the node itself.
    pub const NODE: Self = Self { by: Claimant::OwnNode, stays: true, since: 0 };

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
    /// Adds one, by number of identity. It counts once all are settled.
    pub fn add(&mut self, address: IpAddr, claim: Claim, identity: u64) {
        let address = address.to_canonical();
        self.touched.push(address);
        match self.greatest.entry(address) {
            Entry::Vacant(none) => drop(none.insert((claim, identity))),
            Entry::Occupied(mut greatest) => {
                let before = *greatest.get();
                let lesser = (claim, identity).min(before);
                *greatest.get_mut() = (claim, identity).max(before);
                *self.others.entry(address).or_default().entry(lesser).or_default() += 1;
            }
        }
    }

    /// Takes one back that was added. It counts until all are settled.
    pub fn remove(&mut self, address: IpAddr, claim: Claim, identity: u64) {
        let address = address.to_canonical();
        self.touched.push(address);
        let Entry::Occupied(mut greatest) = self.greatest.entry(address) else { return };
        let is_greatest = *greatest.get() == (claim, identity);
        let Entry::Occupied(mut others) = self.others.entry(address) else {
            if is_greatest {
                greatest.remove();
            }
            return;
        };
        let next = others.get().last_key_value().map(|(next, _)| *next).filter(|_| is_greatest);
        let gone = next.unwrap_or((claim, identity));
        if let Some(next) = next {
            greatest.insert(next);
        }
        if let Entry::Occupied(mut count) = others.get_mut().entry(gone) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        if others.get().is_empty() {
            others.remove();
        }
    }

    /// Finds who has addresses now. It costs what was added and taken back, and a copy where others look at the last version.
    pub fn settle(&mut self) {
        let touched = std::mem::take(&mut self.touched);
        // Nodes of a tree are half empty where its entries came in their order, and full where it is made as a whole.
        if touched.len() > self.greatest.len() / 2 {
            self.greatest = std::mem::take(&mut self.greatest).into_iter().collect();
        }
        let owners = touched.into_iter().map(|address| (address, self.owner(&address)));
        let changed: Vec<_> = owners.filter(|(address, owner)| self.known.get(address) != owner.as_ref()).collect();
        if changed.is_empty() {
            return;
        }
        let is_first = self.known.is_empty();
        let known = Arc::make_mut(&mut self.known);
        if is_first {
            *known = changed.into_iter().filter_map(|(address, owner)| Some((address, owner?))).collect();
            return;
        }
        for (address, owner) in changed {
            match owner {
                Some(identity) => known.insert(address, identity),
                None => known.remove(&address),
            };
        }
    }

    fn owner(&self, address: &IpAddr) -> Option<u64> {
        let greatest = *self.greatest.get(address)?;
        (!self.is_contested(address, greatest)).then_some(greatest.1)
    }

    /// Whether another identity's claim to an address is as great as the greatest.
    fn is_contested(&self, address: &IpAddr, (claim, identity): (Claim, u64)) -> bool {
        let others = self.others.get(address).into_iter().flat_map(|others| others.keys().rev());
        others.take_while(|(other, _)| *other == claim).any(|(_, who)| *who != identity)
    }

    /// Numbers of identities by address. The same as before while nobody else has any.
    pub fn known(&self) -> &Arc<BTreeMap<IpAddr, u64>> {
        &self.known
    }

    /// Addresses of which nobody knows whose they are.
    pub fn contested(&self) -> impl Iterator<Item = IpAddr> {
        self.others.keys().filter(|address| self.owner(address).is_none()).copied()
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
                all.settle();
                assert_eq!(all.known().get(&address), Some(&OWN_NODE));
                all.remove(address, Claim::NODE, OWN_NODE);
                all.settle();
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

    #[test]
    fn who_is_known_to_have_addresses_is_the_same_map_while_nobody_else_has_any() {
        let [one, other]: [IpAddr; 2] = ["10.0.0.7", "fd00::7"].map(|address| address.parse().unwrap());
        let mut all = Claims::default();
        all.add(one, Claim::of_slice(1), 5);
        all.settle();
        let before = Arc::clone(all.known());
        all.add(one, Claim::of_slice(2), 5);
        all.add(other, Claim::of_slice(2), 6);
        all.remove(one, Claim::of_slice(1), 5);
        all.remove(other, Claim::of_slice(2), 6);
        all.settle();
        assert!(Arc::ptr_eq(all.known(), &before));
        all.remove(one, Claim::of_slice(2), 5);
        all.settle();
        assert_eq!((all.known().len(), before.len()), (0, 1));
    }
}
