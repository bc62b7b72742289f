//! Who reaches whom, all at once.
//!
//! Pods that no policy tells apart are judged once; those of one workload are shown as one. Addresses outside are cut
//! where some rule tells them apart. That a Pod and its node always reach each other is left out: it says nothing of the
//! policies, and differs between the Pods of one workload.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use crate::addresses::{AddressSet, Family, Range};
use crate::compile::Compiled;
use crate::policy::Direction;
use crate::ports::Connections;
use crate::state::{ContainerPort, Pod, PodId};
use crate::verdict::Endpoint;

mod diff;

pub use diff::Change;

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

/// Too many to judge at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} peers are too many to judge with each other at once: name fewer namespaces")]
pub struct TooMany(pub usize);

/// What is all the same of Pods to every policy.
#[derive(PartialEq, Eq, Hash)]
struct Class {
    selected_by: Vec<bool>,
    addressed_by: Vec<[bool; 2]>,
    ports: Vec<ContainerPort>,
    host_network: bool,
    families: Vec<Family>,
}

/// A party, and a member who stands for all.
struct Member {
    party: Party,
    pod: Option<PodId>,
    /// The same number, the same answers.
    class: usize,
}

/// What is allowed between two, by each family where that makes a difference.
type Allowed = Vec<(Option<Family>, Arc<Connections>)>;

impl Compiled {
    /// Judges everybody with everybody.
    ///
    /// # Errors
    /// More pairs than [`MAX_PAIRS`].
    pub fn connectivity(&self) -> Result<Connectivity, TooMany> {
        let mut members = self.workloads();
        for addresses in self.outside() {
            // Beyond the classes of Pods, of which there are no more than Pods.
            let class = self.state().pods.len() + members.len();
            members.push(Member { party: Party::Outside(addresses), pod: None, class });
        }
        if members.len().saturating_mul(members.len()) > MAX_PAIRS {
            return Err(TooMany(members.len()));
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
    pub fn representatives(&self) -> Vec<PodId> {
        self.workloads().into_iter().filter_map(|member| member.pod).collect()
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

    /// Pods by what controls them; where those of one workload are not all the same, each for itself.
    fn workloads(&self) -> Vec<Member> {
        let mut classes: HashMap<Class, usize> = HashMap::new();
        let mut groups: BTreeMap<Party, Vec<(PodId, usize)>> = BTreeMap::new();
        let sets: Vec<_> = self.selector_sets().collect();
        let blocks: Vec<_> = Direction::ALL.into_iter().flat_map(|d| self.address_sets(d)).collect();
        for (id, pod) in self.state().pods().filter(|(_, pod)| !pod.finished) {
            let identity = self.identity(id);
            let address = |set: &AddressSet, family| pod.address(Some(family)).is_some_and(|a| set.contains(a));
            let class = Class {
                selected_by: sets.iter().map(|set| identity.is_some_and(|id| set.contains(id))).collect(),
                addressed_by: blocks.iter().map(|set| [Family::V4, Family::V6].map(|f| address(set, f))).collect(),
                ports: pod.ports.clone(),
                host_network: pod.host_network,
                families: pod.addresses.iter().map(|a| Family::of(*a)).collect(),
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

    /// All addresses, cut where rules tell them apart.
    fn outside(&self) -> Vec<AddressSet> {
        let sets: Vec<&AddressSet> = Direction::ALL.into_iter().flat_map(|d| self.address_sets(d)).collect();
        cut(&sets)
    }
}

/// Addresses that are cut apart where nothing comes of it, by family or by rules, are one party.
fn put_together(parties: &[Party], mut edges: Vec<Edge>) -> Connectivity {
    let mut of: Vec<Vec<(bool, usize, Arc<Connections>)>> = vec![Vec::new(); parties.len()];
    for edge in &edges {
        for (here, there, out) in [(edge.from, edge.to, true), (edge.to, edge.from, false)] {
            if parties[here].is_outside() {
                of[here].push((out, there, Arc::clone(&edge.connections)));
            }
        }
    }
    let mut merged: BTreeMap<(bool, usize, Vec<_>), Vec<usize>> = BTreeMap::new();
    for (at, (party, of)) in parties.iter().zip(of).enumerate() {
        let key = if party.is_outside() { (true, 0, of) } else { (false, at, Vec::new()) };
        merged.entry(key).or_default().push(at);
    }
    let mut new: Vec<(Party, Vec<usize>)> =
        merged.into_values().map(|members| (union(parties, &members), members)).collect();
    new.sort();
    let mut place = vec![0; parties.len()];
    for (at, (_, members)) in new.iter().enumerate() {
        members.iter().for_each(|member| place[*member] = at);
    }
    for edge in &mut edges {
        (edge.from, edge.to) = (place[edge.from], place[edge.to]);
    }
    edges.sort_by_key(|edge| (edge.from, edge.to, edge.family));
    edges.dedup_by_key(|edge| (edge.from, edge.to, edge.family));
    Connectivity { parties: new.into_iter().map(|(party, _)| party).collect(), edges }
}

/// One party, or all addresses of several.
fn union(parties: &[Party], members: &[usize]) -> Party {
    if let [one] = members {
        return parties[*one].clone();
    }
    Party::Outside(AddressSet::union(members.iter().filter_map(|at| parties[*at].addresses())))
}

/// All addresses, by which of some sets they are in.
pub(crate) fn cut(sets: &[&AddressSet]) -> Vec<AddressSet> {
    [Family::V4, Family::V6]
        .into_iter()
        .flat_map(|family| {
            cut_family(family, sets).into_iter().map(move |ranges| AddressSet::of_ranges(family, ranges))
        })
        .collect()
}

fn cut_family(family: Family, sets: &[&AddressSet]) -> Vec<Vec<Range>> {
    // At each border a set begins or ends; between two borders nothing changes.
    let (first, last) = family.everything();
    let mut borders: Vec<(u128, u32)> = vec![(first, u32::MAX)];
    for (number, set) in (0..).zip(sets) {
        for &(from, to) in set.ranges(family) {
            borders.push((from, number));
            borders.extend(to.checked_add(1).filter(|next| *next <= last).map(|next| (next, number)));
        }
    }
    borders.sort_unstable();
    let mut inside: BTreeSet<u32> = BTreeSet::new();
    let mut by_sets: HashMap<Vec<u32>, Vec<Range>> = HashMap::new();
    let mut at = 0;
    while at < borders.len() {
        let start = borders[at].0;
        while let Some(&(_, number)) = borders.get(at).filter(|border| border.0 == start) {
            if number != u32::MAX && !inside.remove(&number) {
                inside.insert(number);
            }
            at += 1;
        }
        let end = borders.get(at).map_or(last, |next| next.0 - 1);
        let key: Vec<u32> = inside.iter().copied().collect();
        let ranges = by_sets.entry(key).or_default();
        match ranges.last_mut() {
            Some(before) if before.1.checked_add(1) == Some(start) => before.1 = end,
            _ => ranges.push((start, end)),
        }
    }
    let mut all: Vec<_> = by_sets.into_values().collect();
    all.sort_unstable();
    all
}

// === impl Member ===

impl Member {
    fn endpoint(&self, family: Option<Family>) -> Endpoint<'static> {
        match (&self.party, self.pod) {
            (_, Some(pod)) => Endpoint::Pod(pod, family),
            (Party::Outside(addresses), None) => Endpoint::Outside { address: addresses.first(), names: &[] },
            (Party::Workload { .. }, None) => Endpoint::Outside { address: None, names: &[] },
        }
    }

    fn families(&self, compiled: &Compiled) -> Vec<Family> {
        match (&self.party, self.pod) {
            (_, Some(pod)) => compiled.state().pod(pod).addresses.iter().map(|a| Family::of(*a)).collect(),
            (Party::Outside(addresses), None) => addresses.first().map(Family::of).into_iter().collect(),
            (Party::Workload { .. }, None) => Vec::new(),
        }
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
