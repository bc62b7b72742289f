//! Who has which address, where more than one says that it has it.
//!
//! Addresses are given away again within a second. What an own Pod says of itself is newer than what slices say of it.
//! Of two own Pods the one that is not being deleted has it, else the younger. Of two slices the
//! later. Else nobody knows, and the address counts as unknown, which nothing that names Pods lets in.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::PodFacts;

/// Somebody's claim to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// Whether it is a Pod of this node that says so.
    is_own: bool,
    /// Whether it is not being deleted.
    stays: bool,
    /// When the Pod was made; which version of a slice it is.
    since: i64,
}

/// Claims to addresses by number of identity.
#[derive(Debug, Default)]
pub struct Claims {
    best: BTreeMap<IpAddr, (Claim, Claimed)>,
}

/// What is known of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claimed {
    By(u64),
    /// By several, none of them better.
    ByMany,
}

// === impl Claim ===

impl Claim {
    /// Of a Pod of this node.
    pub fn of_pod(pod: &PodFacts) -> Self {
        Self { is_own: true, stays: !pod.terminating, since: pod.created }
    }

    /// Of a version of a slice.
    pub fn of_slice(version: i64) -> Self {
        Self { is_own: false, stays: true, since: version }
    }
}

// === impl Claims ===

impl Claims {
    /// Adds one.
    pub fn add(&mut self, address: IpAddr, identity: u64, claim: Claim) {
        let address = address.to_canonical();
        let claimed = match self.best.get(&address) {
            Some((best, _)) if *best > claim => return,
            Some((best, by)) if *best == claim && *by != Claimed::By(identity) => Claimed::ByMany,
            _ => Claimed::By(identity),
        };
        self.best.insert(address, (claim, claimed));
    }

    /// Numbers of identities by address, and addresses of which nobody knows whose they are.
    pub fn finish(self) -> (BTreeMap<IpAddr, u64>, Vec<IpAddr>) {
        let (mut known, mut unknown) = (BTreeMap::new(), Vec::new());
        for (address, (_, claimed)) in self.best {
            match claimed {
                Claimed::By(identity) => {
                    known.insert(address, identity);
                }
                Claimed::ByMany => unknown.push(address),
            }
        }
        (known, unknown)
    }
}

#[cfg(test)]
mod tests {
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
                    all.add(address, *identity, *claim);
                }
                all.finish().0.get(&address).copied()
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
