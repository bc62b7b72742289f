//! Where Pods of the node are: the host's side of their interfaces, and the addresses of the node itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::hold::{HostInterface, PodName, PodRequest};

/// Most Pods of a node that are held or found. Kubelets run some hundred.
pub const MAX_PLACES: usize = 4_096;

/// Where one Pod is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Which Pod.
    pub pod: PodName,
    /// The host's side of its interface.
    pub interface: HostInterface,
    /// Addresses that whoever set up its network told of; the API server does so later.
    pub addresses: Vec<IpAddr>,
}

/// Where all are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// By UID, or by namespace and name where the UID was not told.
    places: BTreeMap<String, Place>,
    /// All interfaces of the node, as they were last seen: names by number.
    interfaces: BTreeMap<u32, String>,
    /// Addresses of the node, on any of its interfaces.
    pub node_addresses: BTreeSet<IpAddr>,
}

// === impl Places ===

impl Places {
    /// The place of a Pod.
    pub fn of(&self, uid: &str, namespace: &str, name: &str) -> Option<&Place> {
        self.places.get(uid).or_else(|| self.places.get(&unnamed(namespace, name)))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Place> {
        self.places.values()
    }

    /// A Pod's network is being set up; whether there is room. Whoever was at the interface before is gone.
    pub fn put(&mut self, request: PodRequest) -> bool {
        let PodRequest { pod, interface, addresses } = request;
        self.places.retain(|_, place| place.interface.index != interface.index);
        if self.places.len() >= MAX_PLACES {
            return false;
        }
        self.places.insert(key(&pod), Place { pod, interface, addresses });
        true
    }

    /// A Pod's network is being taken down; whether it was known.
    pub fn forget(&mut self, pod: &PodName) -> bool {
        self.places.remove(&key(pod)).is_some()
    }

    /// Whether the node has an interface.
    pub fn has_interface(&self, index: u32) -> bool {
        self.interfaces.contains_key(&index)
    }

    /// An interface by its number.
    pub fn interface(&self, index: u32) -> Option<HostInterface> {
        self.interfaces.get(&index).map(|name| HostInterface { index, name: name.clone() })
    }

    /// These are the node's interfaces now. Whether any is gone: Pods that were there have none then.
    pub fn see(&mut self, interfaces: BTreeMap<u32, String>) -> bool {
        self.places.retain(|_, place| interfaces.get(&place.interface.index) == Some(&place.interface.name));
        let are_gone = self.interfaces.keys().any(|index| !interfaces.contains_key(index));
        self.interfaces = interfaces;
        are_gone
    }
}

fn key(pod: &PodName) -> String {
    if pod.uid.is_empty() { unnamed(&pod.namespace, &pod.name) } else { pod.uid.clone() }
}

/// No UID has a slash.
fn unnamed(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}
