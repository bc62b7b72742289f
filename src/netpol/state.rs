//! What policies are about: namespaces, Pods, nodes.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use stockade_policy::compiled::Origin;

use crate::addresses::Family;
use crate::ports::Protocol;

mod labels;

pub use labels::Labels;

/// Label that the API server gives every namespace: its name.
pub const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// What there is.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Labels by name, [`NAMESPACE_NAME_LABEL`] among them. A namespace that only its Pods tell of has no other.
    pub namespaces: BTreeMap<Arc<str>, Labels>,
    /// Pods, and workloads whose Pods are not there.
    pub pods: Vec<Pod>,
    /// Nodes.
    pub nodes: Vec<Node>,
}

/// Which Pod of a [`State`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodId(pub u32);

/// One Pod, or the Pods that a workload would make.
#[derive(Debug, Clone, PartialEq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name, or the workload's.
    pub name: Arc<str>,
    /// What controls it; for a workload itself, its own kind and name. Behind a pointer: in a node agent's census, where
    /// Pods are most, none has one.
    pub owner: Option<Arc<Owner>>,
    /// Its labels.
    pub labels: Labels,
    /// Addresses, at most one of a family; none before it has started, and of a workload.
    pub addresses: Vec<IpAddr>,
    /// Ports that its containers say they have; others may be open all the same.
    pub ports: Vec<ContainerPort>,
    /// Whether its traffic is its node's: no policy selects it, and no selector of Pods means it.
    pub host_network: bool,
    /// Where it runs.
    pub node: Option<Arc<str>>,
    /// It has succeeded or failed: its addresses may be another's by now, so it is nobody. A Pod that is terminating is
    /// still judged.
    pub finished: bool,
    /// Where it was read.
    pub origin: Origin,
}

/// Controller of a Pod.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// `Deployment`
    pub kind: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

/// A port of a container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerPort {
    /// Unique in its Pod and protocol; empty for none.
    pub name: Arc<str>,
    /// Of the port.
    pub protocol: Protocol,
    /// From 1.
    pub port: u16,
}

/// One node.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Its name.
    pub name: Arc<str>,
    /// Its labels.
    pub labels: Labels,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

// === impl State ===

impl State {
    /// The Pod with a number. Numbers are given by this state alone.
    pub fn pod(&self, id: PodId) -> &Pod {
        &self.pods[id.0 as usize]
    }

    /// All Pods with their numbers.
    pub fn pods(&self) -> impl Iterator<Item = (PodId, &Pod)> {
        (0..).map(PodId).zip(&self.pods)
    }

    /// Pods that have an address now. More than one when an address was given away before its last holder was removed.
    pub fn holders(&self, address: IpAddr) -> impl Iterator<Item = PodId> {
        let holds = move |pod: &Pod| !pod.finished && !pod.host_network && pod.addresses.contains(&address);
        self.pods().filter(move |(_, pod)| holds(pod)).map(|(id, _)| id)
    }

    /// Whether an address is of the node that a Pod runs on.
    pub fn is_own_node(&self, pod: &Pod, address: IpAddr) -> bool {
        let Some(node) = &pod.node else { return false };
        self.nodes.iter().any(|n| n.name == *node && n.addresses.contains(&address))
    }
}

// === impl Pod ===

impl Pod {
    /// Its address of a family; of any, the first.
    pub fn address(&self, family: Option<Family>) -> Option<IpAddr> {
        self.addresses.iter().copied().find(|a| family.is_none_or(|f| Family::of(*a) == f))
    }
}

/// `shop/web`
impl fmt::Display for Pod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
