//! What policies are about: namespaces, Pods, nodes.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::{fmt, iter};

use stockade_policy::compiled::Origin;
use stockade_policy::selector::LabelSelector;

use crate::addresses::Family;
use crate::ports::Protocol;

/// Label that the API server gives every namespace: its name.
pub const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Labels, sorted by key. A clone shares them.
///
/// They are one text, keys and values as netstrings: `3:app,3:web,`. Of all that is kept of a large cluster, labels are
/// most, and words apart from each other would take three times as much.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Labels(Arc<str>);

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
    /// What controls it; for a workload itself, its own kind and name. Behind a pointer: in a
    /// node agent's census, where Pods are most, none has one.
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

// === impl Labels ===

impl Labels {
    /// Of one key the last value counts.
    pub fn new<'l>(labels: impl IntoIterator<Item = (&'l str, &'l str)>) -> Self {
        let sorted: BTreeMap<&str, &str> = labels.into_iter().collect();
        let mut text = String::new();
        for word in sorted.into_iter().flat_map(|(key, value)| [key, value]) {
            push_netstring(&mut text, word);
        }
        Self(text.into())
    }

    /// Of a namespace: with its name.
    pub fn of_namespace<'l>(name: &'l str, labels: impl IntoIterator<Item = (&'l str, &'l str)>) -> Self {
        Self::new(labels.into_iter().chain([(NAMESPACE_NAME_LABEL, name)]))
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(own, _)| *own == key).map(|(_, value)| value)
    }

    /// Whether a selector means them.
    pub fn match_selector(&self, selector: &LabelSelector) -> bool {
        selector.matches_by(|key| self.get(key))
    }

    /// In order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut rest = &*self.0;
        iter::from_fn(move || Some((take_netstring(&mut rest)?, take_netstring(&mut rest)?)))
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Appends a word after its length in bytes (D. J. Bernstein, "Netstrings", 1997): where it ends does not depend on what is
/// in it.
fn push_netstring(text: &mut String, word: &str) {
    // Text in memory refuses nothing.
    let _ = write!(text, "{}:{word},", word.len());
}

/// Takes the first word off a text.
fn take_netstring<'t>(text: &mut &'t str) -> Option<&'t str> {
    let (length, rest) = text.split_once(':')?;
    let (word, rest) = rest.split_at_checked(length.parse().ok()?)?;
    *text = rest.strip_prefix(',')?;
    Some(word)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_what_they_were_made_of_sorted_and_the_last_of_a_key_counts() {
        let labels = Labels::new([("tier", "db"), ("app", "old"), ("", "5:,"), ("app", "w\u{e9}b"), ("empty", "")]);
        let sorted = [("", "5:,"), ("app", "w\u{e9}b"), ("empty", ""), ("tier", "db")];
        assert_eq!(labels.iter().collect::<Vec<_>>(), sorted);
        assert_eq!(["app", "empty", "ap"].map(|key| labels.get(key)), [Some("w\u{e9}b"), Some(""), None]);
        assert_eq!(Labels::new([]), Labels::default());
    }

    #[test]
    fn labels_are_ordered_by_their_keys_and_values_whatever_the_length_of_these() {
        let sorted =
            [("a", "9"), ("a", "99999999999"), ("aaaaaaaaaaaa", ""), ("b", "")].map(|label| Labels::new([label]));
        assert!(sorted.is_sorted());
    }
}
