//! Which replica audits what: rendezvous hashing, so that when one goes only its share moves.

use crate::replicas::Replica;

/// The namespaces that one replica audits. Cluster-scoped objects, under the empty name, go with Stockade's own
/// namespace: so one replica sees all that an exception there waives, as with every other namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Share {
    own: u64,
    others: Vec<u64>,
    own_namespace: String,
}

// === impl Share ===

impl Share {
    /// The share of the replica with this identity among those that are alive. None until it is one of them: what is
    /// nobody's yet is left to the others.
    pub(crate) fn of(identity: &str, alive: &[Replica], own_namespace: &str) -> Option<Self> {
        if !alive.iter().any(|r| r.identity == identity) {
            return None;
        }
        let others = alive.iter().filter(|r| r.identity != identity).map(|r| hash(&r.identity)).collect();
        Some(Self { own: hash(identity), others, own_namespace: own_namespace.to_owned() })
    }

    /// Whether a namespace is in it.
    pub(crate) fn holds(&self, namespace: &str) -> bool {
        let namespace = hash(if namespace == self.own_namespace { "" } else { namespace });
        let own = (mixed(self.own ^ namespace), self.own);
        self.others.iter().all(|&other| (mixed(other ^ namespace), other) < own)
    }
}

/// FNV-1a. Written out because replicas of different versions must agree on it.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// The finisher of SplitMix64: every bit depends on every bit.
fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policies::Observed;

    const OWN: &str = "stockade-system";

    fn replicas(names: &[&str]) -> Vec<Replica> {
        names
            .iter()
            .map(|n| Replica { identity: (*n).to_owned(), ready: true, observed: Observed::default() })
            .collect()
    }

    fn owners(names: &[&str]) -> Vec<Vec<usize>> {
        let alive = replicas(names);
        let shares: Vec<_> = names.iter().map(|n| Share::of(n, &alive, OWN).unwrap()).collect();
        (0..3_000)
            .map(|n| (0..names.len()).filter(|&r| shares[r].holds(&format!("team-{n}"))).collect::<Vec<_>>())
            .collect()
    }

    #[test]
    fn every_namespace_is_in_exactly_one_share_and_shares_are_alike() {
        let owners = owners(&["a", "b", "c"]);
        assert!(owners.iter().all(|o| o.len() == 1));
        for replica in 0..3 {
            let size = owners.iter().filter(|o| o[0] == replica).count();
            assert!((850..1_150).contains(&size), "replica {replica} has {size} of 3,000");
        }
    }

    #[test]
    fn when_a_replica_goes_only_its_share_moves() {
        for (before, after) in owners(&["a", "b", "c"]).iter().zip(owners(&["a", "b"])) {
            assert!(before[0] == 2 || *before == after);
        }
    }

    #[test]
    fn a_replica_that_is_not_alive_has_no_share_and_one_alone_has_all() {
        assert_eq!(Share::of("d", &replicas(&["a"]), OWN), None);
        assert!(Share::of("a", &replicas(&["a"]), OWN).unwrap().holds(""));
    }
    #[test]
    fn cluster_scoped_objects_go_with_the_own_namespace() {
        let alive = replicas(&["a", "b", "c"]);
        let holders = |namespace: &str| -> Vec<bool> {
            ["a", "b", "c"].iter().map(|n| Share::of(n, &alive, OWN).unwrap().holds(namespace)).collect()
        };
        assert_eq!(holders(OWN), holders(""));
    }
}
