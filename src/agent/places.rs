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

    /// Keeps those whose interface is still there under its name; whether any is gone.
    pub fn keep(&mut self, interfaces: &BTreeMap<u32, String>) -> bool {
        let before = self.places.len();
        self.places.retain(|_, place| interfaces.get(&place.interface.index) == Some(&place.interface.name));
        self.places.len() != before
    }
}

fn key(pod: &PodName) -> String {
    if pod.uid.is_empty() { unnamed(&pod.namespace, &pod.name) } else { pod.uid.clone() }
}

/// No UID has a slash.
fn unnamed(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}
