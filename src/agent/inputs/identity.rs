//! Who a Pod is, as far as policies can tell.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use stockade_netpol::plan::identity_number;
use stockade_netpol::ports::Protocol;
use stockade_netpol::state::{ContainerPort, Labels};
use stockade_node::identity_slice::{self, IdentitySliceSpec, NamedPort};

use super::claims::Claim;

/// Who a Pod is: made once when it is told, for its number is a digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// [`identity_number`]: first, so that it is by what they are ordered.
    pub number: u64,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its labels.
    pub labels: Labels,
    /// Its ports that have a name.
    pub ports: Box<[ContainerPort]>,
}

/// Who has which address, in one namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Told", into = "Told")]
pub struct SliceFacts {
    /// `metadata.resourceVersion`: of two that tell of one address, the later is right.
    pub version: i64,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Who, with their addresses.
    pub identities: Vec<(Arc<Identity>, Box<[IpAddr]>)>,
}

/// A slice as it is told and written down.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    version: i64,
    spec: IdentitySliceSpec,
}

// === impl Identity ===

impl Identity {
    /// Of a namespace, labels and named ports. A port of a protocol that nobody knows is none.
    pub fn new(namespace: Arc<str>, labels: &BTreeMap<String, String>, ports: &[NamedPort]) -> Self {
        let labels = Labels::new(pairs(labels));
        let ports: Box<[ContainerPort]> = ports.iter().filter_map(port).collect();
        Self { number: identity_number(&namespace, &labels, &ports), namespace, labels, ports }
    }
}

pub(crate) fn pairs(labels: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    labels.iter().map(|(key, value)| (key.as_str(), value.as_str()))
}

fn port(port: &NamedPort) -> Option<ContainerPort> {
    let protocol = Protocol::ALL.into_iter().find(|protocol| protocol.name() == port.protocol)?;
    Some(ContainerPort { name: port.name.as_str().into(), protocol, port: port.port })
}

// === impl SliceFacts ===

impl SliceFacts {
    /// Of a version of a slice. What is no address is nobody's.
    pub fn new(version: i64, spec: &IdentitySliceSpec) -> Self {
        let namespace: Arc<str> = spec.namespace.as_str().into();
        let read = |told: &identity_slice::Identity| {
            let addresses = told.addresses.iter().filter_map(|address| address.parse().ok()).collect();
            (Arc::new(Identity::new(Arc::clone(&namespace), &told.labels, &told.ports)), addresses)
        };
        let identities = spec.identities.iter().map(read).collect();
        Self { version, identities, namespace }
    }

    /// Who claims which addresses by it.
    pub fn claims(&self) -> impl Iterator<Item = (&Arc<Identity>, Claim, IpAddr)> {
        let claim = Claim::of_slice(self.version);
        self.identities
            .iter()
            .flat_map(move |(who, addresses)| addresses.iter().map(move |address| (who, claim, *address)))
    }
}

impl From<Told> for SliceFacts {
    fn from(told: Told) -> Self {
        Self::new(told.version, &told.spec)
    }
}

impl From<SliceFacts> for Told {
    fn from(facts: SliceFacts) -> Self {
        let tell = |(identity, addresses): (Arc<Identity>, Box<[IpAddr]>)| identity_slice::Identity {
            labels: identity.labels.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            ports: identity.ports.iter().map(named).collect(),
            addresses: addresses.iter().map(IpAddr::to_string).collect(),
        };
        let identities = facts.identities.into_iter().map(tell).collect();
        Self { version: facts.version, spec: IdentitySliceSpec { namespace: facts.namespace.to_string(), identities } }
    }
}

fn named(port: &ContainerPort) -> NamedPort {
    NamedPort { name: port.name.to_string(), protocol: port.protocol.name().to_owned(), port: port.port }
}
