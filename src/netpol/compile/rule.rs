//! One rule, with its selectors resolved.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use crate::addresses::AddressSet;
use crate::identities::{IdentityId, IdentitySet};
use crate::policy::{Action, DomainName, PortMatch, Ports};
use crate::ports::{Connections, PortSet, Protocol};
use crate::state::ContainerPort;

/// A rule, with its selectors resolved.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CompiledRule {
    pub(crate) action: Action,
    pub(crate) peers: CompiledPeers,
    /// Ports by number.
    pub(crate) fixed: Connections,
    /// Ports whose numbers the destination says.
    pub(crate) named: Vec<PortName>,
}

/// Of one protocol, or of any.
pub(crate) type PortName = (Option<Protocol>, Arc<str>);

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum CompiledPeers {
    Everyone,
    AnyOf {
        identities: Arc<IdentitySet>,
        /// Whether every Pod is meant, whoever comes: all of them are among the identities.
        every_pod: bool,
        addresses: AddressSet,
        domains: Vec<DomainName>,
    },
}

/// The far end of a connection, as rules see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Far<'a> {
    pub(crate) identity: Option<IdentityId>,
    pub(crate) address: Option<IpAddr>,
    /// Names that were resolved to the address.
    pub(crate) names: &'a [&'a str],
}

// === impl CompiledRule ===

impl CompiledRule {
    pub(super) fn new(action: Action, peers: CompiledPeers, ports: &Ports) -> Self {
        let (fixed, named) = compile_ports(ports);
        Self { action, peers, fixed, named }
    }

    /// Whether it is about a peer.
    pub(crate) fn is_about(&self, far: &Far<'_>) -> bool {
        match &self.peers {
            CompiledPeers::Everyone => true,
            CompiledPeers::AnyOf { identities, addresses, domains, .. } => {
                far.identity.is_some_and(|id| identities.contains(id))
                    || far.address.is_some_and(|address| addresses.contains(address))
                    || domains.iter().any(|domain| far.names.iter().any(|name| domain.matches(name)))
            }
        }
    }

    /// Addresses that it is about, where it tells some apart.
    pub(crate) fn addresses(&self) -> Option<&AddressSet> {
        match &self.peers {
            CompiledPeers::AnyOf { addresses, .. } if !addresses.is_empty() => Some(addresses),
            _ => None,
        }
    }

    /// What it is about on a destination with these named ports.
    pub(crate) fn connections(&self, named: &[ContainerPort]) -> Cow<'_, Connections> {
        let ports = self.named_on(named);
        let mut connections = Cow::Borrowed(&self.fixed);
        for port in ports {
            connections.to_mut().add_ports(port.protocol, &PortSet::range(port.port, port.port));
        }
        connections
    }

    /// Whether it is about a port of a destination with these named ports.
    pub(crate) fn is_about_port(&self, protocol: Protocol, port: u16, named: &[ContainerPort]) -> bool {
        self.fixed.contains(protocol, port)
            || self.named_on(named).any(|found| (found.protocol, found.port) == (protocol, port))
    }

    /// Whether everything that another is about, this one is about too. Names of ports count as themselves.
    pub(crate) fn means_all_of(&self, other: &Self) -> bool {
        let ports = other.fixed.without(&self.fixed).is_empty()
            && (self.fixed.is_all() || other.named.iter().all(|name| self.named.contains(name)));
        ports && self.peers.holds(&other.peers)
    }

    /// Ports of a destination that it is about by their names.
    pub(crate) fn named_on<'a>(&'a self, named: &'a [ContainerPort]) -> impl Iterator<Item = &'a ContainerPort> {
        let means = |(protocol, name): &PortName, port: &ContainerPort| {
            port.name == *name && protocol.is_none_or(|wanted| wanted == port.protocol)
        };
        self.named.iter().flat_map(move |wanted| named.iter().filter(move |port| means(wanted, port)))
    }
}

fn compile_ports(ports: &Ports) -> (Connections, Vec<PortName>) {
    let Ports::AnyOf(matches) = ports else { return (Connections::all(), Vec::new()) };
    let (mut ranges, mut named) = ([const { Vec::new() }; 3], Vec::new());
    for one in matches {
        match one {
            PortMatch::Numbers(protocol, range) => ranges[*protocol as usize].push((*range.start(), *range.end())),
            PortMatch::Named(protocol, name) => named.push((*protocol, name.clone())),
        }
    }
    let mut fixed = Connections::default();
    for (protocol, ranges) in Protocol::ALL.into_iter().zip(ranges) {
        fixed.add_ports(protocol, &PortSet::of_ranges(ranges));
    }
    (fixed, named)
}

// === impl CompiledPeers ===

impl CompiledPeers {
    fn holds(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Everyone, _) => true,
            (_, Self::Everyone) => false,
            (
                Self::AnyOf { identities: i, addresses: a, domains: d, .. },
                Self::AnyOf { identities, addresses, domains, .. },
            ) => {
                let nobody = identities.is_empty() && addresses.is_empty() && domains.is_empty();
                !nobody && i.holds(identities) && a.holds(addresses) && domains.iter().all(|name| d.contains(name))
            }
        }
    }

    pub(super) fn nobody() -> Self {
        Self::AnyOf {
            identities: Arc::default(),
            every_pod: false,
            addresses: AddressSet::default(),
            domains: Vec::new(),
        }
    }
}
