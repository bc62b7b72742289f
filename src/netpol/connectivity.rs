//! Who reaches whom, all at once.
//!
//! Pods that no policy tells apart are judged once; those of one workload are shown as one. Addresses outside are cut
//! where some rule tells them apart. That a Pod and its node always reach each other is left out: it says nothing of the
//! policies, and differs between the Pods of one workload.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::addresses::{AddressSet, Family};
use crate::compile::Compiled;
use crate::policy::Direction;
use crate::ports::Connections;
use crate::state::{Pod, PodId};

mod diff;
mod members;
mod outside;

pub use diff::Change;
pub use outside::MAX_CUTS;

use members::Member;
use outside::{Pieces, put_together};

/// Most pairs of peers that are judged at once: 5,000 different workloads and blocks with each other.
pub const MAX_PAIRS: usize = 25_000_000;

/// Somebody that connections begin or end at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    /// Pods of one workload, or a single Pod.
    Workload {
        /// Namespace.
        namespace: Arc<str>,
        /// Name of the workload or Pod.
        name: Arc<str>,
        /// `Deployment`, …, `Pod`
        kind: Arc<str>,
    },
    /// Addresses that are no Pod's.
    Outside(AddressSet),
}

/// One pair of parties between which something is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// Who begins the connection; a place in [`Connectivity::parties`].
    pub from: usize,
    /// With whom; a place there too.
    pub to: usize,
    /// By which family alone, where both ends have both and that makes a difference.
    pub family: Option<Family>,
    /// What is allowed.
    pub connections: Arc<Connections>,
}

/// Who reaches whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connectivity {
    /// All, sorted: workloads, then what is outside.
    pub parties: Vec<Party>,
    /// Sorted by both ends; pairs between which nothing is allowed have none. A workload and itself stand for two Pods of
    /// the workload.
    pub edges: Vec<Edge>,
}

/// Too much to judge at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooMany {
    /// See [`MAX_PAIRS`].
    #[error("{0} peers are too many to judge with each other at once: name fewer namespaces")]
    Peers(usize),
    /// See [`MAX_CUTS`].
    #[error("the rules cut what is outside in too many pieces to judge each")]
    Pieces,
}

/// What is allowed between two, by each family where that makes a difference.
type Allowed = Vec<(Option<Family>, Arc<Connections>)>;

impl Compiled {
    /// Judges everybody with everybody.
    ///
    /// # Errors
    /// More than can be judged at once.
    pub fn connectivity(&self) -> Result<Connectivity, TooMany> {
        let pieces = self.pieces()?;
        let mut members = self.workloads(&pieces);
        for addresses in pieces.into_sets() {
            // Beyond the classes of Pods, of which there are no more than Pods.
            let class = self.state().pods.len() + members.len();
            members.push(Member { party: Party::Outside(addresses), pod: None, class });
        }
        if members.len().saturating_mul(members.len()) > MAX_PAIRS {
            return Err(TooMany::Peers(members.len()));
        }
        let mut judged: HashMap<(usize, usize), Allowed> = HashMap::new();
        let mut edges = Vec::new();
        for (from, a) in members.iter().enumerate() {
            for (to, b) in members.iter().enumerate() {
                if (a.pod.is_none() && b.pod.is_none()) || (from == to && a.party.is_one_pod()) {
                    continue;
                }
                let allowed = judged.entry((a.class, b.class)).or_insert_with(|| self.between(a, b));
                edges.extend(allowed.iter().map(|(family, connections)| Edge {
                    from,
                    to,
                    family: *family,
                    connections: Arc::clone(connections),
                }));
            }
        }
        Ok(put_together(&members.into_iter().map(|m| m.party).collect::<Vec<_>>(), edges))
    }

    /// One Pod of each workload; where those of one are not all the same, each of them.
    ///
    /// # Errors
    /// More than can be judged at once.
    pub(crate) fn representatives(&self) -> Result<Vec<PodId>, TooMany> {
        Ok(self.workloads(&self.pieces()?).into_iter().filter_map(|member| member.pod).collect())
    }

    /// What is outside, cut where rules tell addresses apart.
    fn pieces(&self) -> Result<Pieces, TooMany> {
        let sets: Vec<&AddressSet> = Direction::ALL.into_iter().flat_map(|d| self.address_sets(d)).collect();
        Pieces::cut(&sets)
    }

    fn between(&self, a: &Member, b: &Member) -> Allowed {
        let by = |family: Option<Family>| {
            let (from, to) = (a.endpoint(family), b.endpoint(family));
            let egress = self.allowed_by(Direction::Egress, from, to);
            egress.intersection(&self.allowed_by(Direction::Ingress, from, to))
        };
        let (of_a, of_b) = (a.families(self), b.families(self));
        let common: Vec<Family> = of_a.iter().copied().filter(|f| of_b.contains(f)).collect();
        let mut allowed = match common[..] {
            // Of some nothing is known: whatever family it will be.
            [] if of_a.is_empty() || of_b.is_empty() => vec![(None, by(of_a.first().or(of_b.first()).copied()))],
            [] => Vec::new(),
            [one] => vec![(None, by(Some(one)))],
            _ => {
                let [v4, v6] = [Family::V4, Family::V6].map(|family| by(Some(family)));
                if v4 == v6 { vec![(None, v4)] } else { vec![(Some(Family::V4), v4), (Some(Family::V6), v6)] }
            }
        };
        allowed.retain(|(_, connections)| !connections.is_empty());
        allowed.into_iter().map(|(family, connections)| (family, Arc::new(connections))).collect()
    }
}

// === impl Party ===

impl Party {
    /// The workload that a Pod belongs to.
    pub fn of(pod: &Pod) -> Self {
        match &pod.owner {
            Some(owner) => {
                Self::Workload { namespace: pod.namespace.clone(), name: owner.name.clone(), kind: owner.kind.clone() }
            }
            None => Self::alone(pod),
        }
    }

    fn alone(pod: &Pod) -> Self {
        Self::Workload { namespace: pod.namespace.clone(), name: pod.name.clone(), kind: "Pod".into() }
    }

    /// Whether it can only ever be one Pod.
    pub fn is_one_pod(&self) -> bool {
        matches!(self, Self::Workload { kind, .. } if **kind == *"Pod")
    }

    /// Its namespace, if it has one.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Workload { namespace, .. } => Some(namespace),
            Self::Outside(_) => None,
        }
    }

    /// The addresses that it is, when it is no Pod.
    pub fn addresses(&self) -> Option<&AddressSet> {
        match self {
            Self::Workload { .. } => None,
            Self::Outside(addresses) => Some(addresses),
        }
    }

    /// Whether it is addresses that are no Pod's.
    pub fn is_outside(&self) -> bool {
        matches!(self, Self::Outside(_))
    }
}

/// `shop/web[Deployment]`, `outside`, `outside 10.0.0.0/8`
impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workload { namespace, name, kind } => write!(f, "{namespace}/{name}[{kind}]"),
            Self::Outside(addresses) if addresses.complement().is_empty() => f.write_str("outside"),
            Self::Outside(addresses) => write!(f, "outside {addresses}"),
        }
    }
}
