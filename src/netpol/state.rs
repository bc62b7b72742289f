//! What policies are about: namespaces, Pods, nodes.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use stockade_policy::compiled::Origin;
use stockade_policy::selector::LabelSelector;

use crate::addresses::Family;
use crate::ports::Protocol;

/// Label that the API server gives every namespace: its name.
pub const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Labels, sorted by key. A clone shares them.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Arc<[(Arc<str>, Arc<str>)]>);

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
    /// What controls it; for a workload itself, its own kind and name.
    pub owner: Option<Owner>,
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

// === impl Labels ===

impl Labels {
    /// Of one key the last value counts.
    pub fn new<'l>(labels: impl IntoIterator<Item = (&'l str, &'l str)>) -> Self {
        let sorted: BTreeMap<&str, &str> = labels.into_iter().collect();
        Self(sorted.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }

    /// Of a namespace: with its name.
    pub fn of_namespace<'l>(name: &'l str, labels: impl IntoIterator<Item = (&'l str, &'l str)>) -> Self {
        Self::new(labels.into_iter().chain([(NAMESPACE_NAME_LABEL, name)]))
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.shared(key).map(|value| &**value)
    }

    /// Whether a selector means them.
    pub fn match_selector(&self, selector: &LabelSelector) -> bool {
        selector.matches_by(|key| self.get(key))
    }

    /// Shared labels, of parts that are shared too.
    pub fn of_shared(labels: impl IntoIterator<Item = (Arc<str>, Arc<str>)>) -> Self {
        let sorted: BTreeMap<Arc<str>, Arc<str>> = labels.into_iter().collect();
        Self(sorted.into_iter().collect())
    }

    /// The value of a key, as it is shared.
    pub(crate) fn shared(&self, key: &str) -> Option<&Arc<str>> {
        let at = self.0.binary_search_by(|(k, _)| (**k).cmp(key)).ok()?;
        Some(&self.0[at].1)
    }

    /// In order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }
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
