//! Interfaces of the node as the kernel tells of them: which is whose, which are gone, which addresses are the node's.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;

use netlink_packet_core::NLM_F_DUMP;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use stockade_cni::links::{Links, LinksError, NetworkNamespace};

use crate::hold::HostInterface;

pub mod changes;
pub mod processes;

/// A Pod's own interface, as every container runtime names it (the CRI has no other).
const POD_INTERFACE: &str = "eth0";

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum InterfacesError {
    /// The kernel does not tell.
    #[error("{0}")]
    Links(#[from] LinksError),
    /// `/proc` cannot be read.
    #[error("reading /proc: {0}")]
    Processes(#[from] io::Error),
}

/// All interfaces: names by number.
///
/// # Errors
/// The kernel does not tell.
pub fn names(links: &mut Links) -> Result<BTreeMap<u32, String>, InterfacesError> {
    Ok(links.all()?.into_iter().map(|link| (link.index, link.name)).collect())
}

/// Addresses of the node on all its interfaces, but those that no Pod can be spoken to from: of the loopback, of a link.
///
/// # Errors
/// The kernel does not tell.
pub fn node_addresses(links: &mut Links) -> Result<BTreeSet<IpAddr>, InterfacesError> {
    let mut addresses = BTreeSet::new();
    links.ask(RouteNetlinkMessage::GetAddress(AddressMessage::default()), NLM_F_DUMP, |answer| {
        let RouteNetlinkMessage::NewAddress(message) = answer else { return };
        // The local address is the one that counts where there is another end.
        let local = message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Local(address) => Some(*address),
            _ => None,
        });
        let any = message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        });
        addresses.extend(local.or(any).filter(|address| is_of_node(*address)));
    })?;
    Ok(addresses)
}

fn is_of_node(address: IpAddr) -> bool {
    let of_link = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !address.is_loopback() && !of_link
}

/// A Pod that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The host's side of its interface.
    pub interface: HostInterface,
    /// A process of it.
    pub process: u32,
}

/// The host's side of Pods' interfaces, by UID, through a process of each. A Pod that has no process yet, or whose
/// interface has no other end here, is left out.
///
/// # Errors
/// The kernel does not tell; `/proc` cannot be read.
pub fn of_pods(links: &mut Links, uids: &BTreeSet<String>) -> Result<BTreeMap<String, Found>, InterfacesError> {
    let mut found = BTreeMap::new();
    for (uid, process) in processes::of_pods(uids)? {
        match links.host_side(NetworkNamespace::Process(process), POD_INTERFACE) {
            Ok(link) => {
                let interface = HostInterface { index: link.index, name: link.name };
                found.insert(uid, Found { interface, process });
            }
            Err(error) => tracing::debug!(uid, error = &error as &dyn std::error::Error, "no interface of a Pod"),
        }
    }
    Ok(found)
}
