//! Which interface of the host is the other end of a Pod's, whatever plugin made it.
//!
//! Asked of the kernel by rtnetlink, without entering the Pod's network namespace: the namespace has a number in ours
//! (`RTM_GETNSID`, kernel 4.0; by process 4.0), by which its interfaces can be read (`IFLA_TARGET_NETNSID`, kernel 5.0,
//! `CAP_NET_ADMIN`). Each end of a pair (veth, netkit) names the other one, so both are asked, and must agree: an
//! interface that merely stands on one of another namespace (ipvlan, macvlan, tunnels) is none.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use rustix::net::sockopt::{Timeout, set_socket_timeout};

/// The kernel answers at once; a wait can only mean that an answer was lost.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Datagrams of one answer. A host with 10,000 interfaces has some 2,000 of them.
const MAX_DATAGRAMS: usize = 65_536;

/// How a network namespace is named.
#[derive(Debug, Clone, Copy)]
pub enum NetworkNamespace<'a> {
    /// By an open file of it (`/var/run/netns/…`, `/proc/<pid>/ns/net`).
    File(BorrowedFd<'a>),
    /// By a process in it, as numbered in our own PID namespace.
    Process(u32),
}

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its index in its namespace.
    pub index: u32,
    /// Its name, at most 15 bytes.
    pub name: String,
    /// Index of the other end, or of what it stands on; in the other's namespace.
    pub peer: Option<u32>,
    /// That namespace's number as the namespace we are in has it; none when it is the interface's own.
    pub peer_namespace: Option<i32>,
}

/// What was wrong.
#[derive(Debug, thiserror::Error)]
pub enum LinksError {
    /// Netlink itself.
    #[error("netlink: {0}")]
    Netlink(#[from] io::Error),
    /// What the kernel sent is not what this program knows.
    #[error("netlink answered what cannot be read: {0}")]
    Unreadable(String),
    /// The namespace has no such interface.
    #[error("there is no interface {name:?} in the Pod's network namespace")]
    NoInterface {
        /// As it was asked for.
        name: String,
    },
    /// The interface is no end of a pair whose other end is here.
    #[error(
        "interface {name:?} of the Pod has no other end on the host (ipvlan, macvlan, SR-IOV?): its traffic cannot be \
         judged there"
    )]
    NoHostSide {
        /// As it was asked for.
        name: String,
    },
}

/// A conversation with the kernel about the interfaces of the network namespace we are in.
pub struct Links {
    socket: Socket,
    sequence: u32,
}

// === impl Links ===

impl Links {
    /// Begins it.
    ///
    /// # Errors
    /// When there is no netlink socket to be had.
    pub fn open() -> Result<Self, LinksError> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        set_socket_timeout(&socket, Timeout::Recv, Some(MAX_WAIT)).map_err(io::Error::from)?;
        Ok(Self { socket, sequence: 0 })
    }

    /// The host's end of the interface `name` of a network namespace.
    ///
    /// # Errors
    /// When there is no such interface, or no end of it here.
    pub fn host_side(&mut self, of: NetworkNamespace<'_>, name: &str) -> Result<Link, LinksError> {
        let no_host_side = || LinksError::NoHostSide { name: name.to_owned() };
        let namespace = match self.namespace_number(of)? {
            Some(number) => number,
            None => {
                // The kernel numbers a namespace when it first has to tell of it: as that of another end, of a listing.
                self.all()?;
                self.namespace_number(of)?.ok_or_else(no_host_side)?
            }
        };
        let inside = self.inside(namespace, name)?;
        let index = inside.peer.ok_or_else(no_host_side)?;
        let outside = self.at(index)?.ok_or_else(no_host_side)?;
        if outside.peer == Some(inside.index) && outside.peer_namespace == Some(namespace) {
            Ok(outside)
        } else {
            Err(no_host_side())
        }
    }

    /// What number another namespace has in ours; none until an interface here was told of that leads there.
    ///
    /// # Errors
    /// When there is no such namespace (any more).
    pub fn namespace_number(&mut self, of: NetworkNamespace<'_>) -> Result<Option<i32>, LinksError> {
        let mut message = NsidMessage::default();
        message.attributes.push(match of {
            NetworkNamespace::File(file) => NsidAttribute::Fd(file.as_raw_fd().cast_unsigned()),
            NetworkNamespace::Process(pid) => NsidAttribute::Pid(pid),
        });
        let mut number = None;
        self.ask(RouteNetlinkMessage::GetNsId(message), 0, |answer| {
            if let RouteNetlinkMessage::NewNsId(answer) = answer {
                number = answer.attributes.iter().find_map(|attribute| match attribute {
                    NsidAttribute::Id(number) => Some(*number),
                    _ => None,
                });
            }
        })?;
        Ok(number.filter(|number| *number >= 0))
    }

    /// All interfaces here. One that comes or goes meanwhile may be missing.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn all(&mut self) -> Result<Vec<Link>, LinksError> {
        self.links(query(), NLM_F_DUMP)
    }

    /// The interface of this index here; none when there is none.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn at(&mut self, index: u32) -> Result<Option<Link>, LinksError> {
        let mut message = query();
        message.header.index = index;
        match self.links(message, 0) {
            Ok(links) => Ok(links.into_iter().find(|link| link.index == index)),
            Err(LinksError::Netlink(error)) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The interface `name` of the namespace of this number.
    fn inside(&mut self, namespace: i32, name: &str) -> Result<Link, LinksError> {
        let no_interface = || LinksError::NoInterface { name: name.to_owned() };
        let mut message = query();
        message.attributes.push(LinkAttribute::IfNetnsId(namespace));
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        match self.links(message, 0) {
            Ok(links) => links.into_iter().find(|link| link.name == name).ok_or_else(no_interface),
            Err(LinksError::Netlink(error)) if is_absent(&error) => Err(no_interface()),
            Err(error) => Err(error),
        }
    }

    fn links(&mut self, message: LinkMessage, flags: u16) -> Result<Vec<Link>, LinksError> {
        let mut links = Vec::new();
        self.ask(RouteNetlinkMessage::GetLink(message), flags, |answer| {
            if let RouteNetlinkMessage::NewLink(answer) = answer {
                links.push(Link::from(answer));
            }
        })?;
        Ok(links)
    }

    /// Asks, and gives what comes to `take`: one message, or for a listing messages until the kernel says that they end.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn ask(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
        mut take: impl FnMut(RouteNetlinkMessage),
    ) -> Result<(), LinksError> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | flags;
        request.header.sequence_number = self.sequence;
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        for _ in 0..MAX_DATAGRAMS {
            let (datagram, _) = self.socket.recv_from_full()?;
            let mut rest = datagram.as_slice();
            while !rest.is_empty() {
                let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).map_err(unreadable)?;
                let length = (answer.header.length as usize).next_multiple_of(4);
                rest = rest.get(length..).unwrap_or_default();
                if answer.header.sequence_number != self.sequence {
                    continue;
                }
                match answer.payload {
                    NetlinkPayload::InnerMessage(answer) => take(answer),
                    NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io().into()),
                    _ => return Ok(()),
                }
                if flags & NLM_F_DUMP == 0 {
                    return Ok(());
                }
            }
        }
        Err(unreadable("there is no end to it"))
    }
}

fn query() -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    message
}

fn is_absent(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error())
}

fn unreadable(why: impl fmt::Display) -> LinksError {
    LinksError::Unreadable(why.to_string())
}

// === impl Link ===

impl From<LinkMessage> for Link {
    fn from(message: LinkMessage) -> Self {
        let mut link = Self { index: message.header.index, name: String::new(), peer: None, peer_namespace: None };
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name = name,
                LinkAttribute::Link(index) => link.peer = Some(index),
                LinkAttribute::LinkNetNsId(number) => link.peer_namespace = Some(number),
                _ => {}
            }
        }
        link
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: u32 = 1;

    #[test]
    fn every_machine_has_a_loopback_interface_without_another_end() {
        let loopback = Link { index: LOOPBACK, name: "lo".to_owned(), peer: None, peer_namespace: None };
        let mut links = Links::open().unwrap();
        assert_eq!(links.at(LOOPBACK).unwrap(), Some(loopback.clone()));
        assert!(links.all().unwrap().contains(&loopback));
    }

    #[test]
    fn what_is_not_there_is_absent_and_no_fault() {
        let mut links = Links::open().unwrap();
        assert_eq!(links.at(i32::MAX.cast_unsigned()).unwrap(), None);
    }

    #[test]
    fn a_process_that_is_not_there_is_a_fault() {
        let mut links = Links::open().unwrap();
        let said = links.namespace_number(NetworkNamespace::Process(u32::MAX >> 1)).unwrap_err().to_string();
        assert_eq!(said, "netlink: No such process (os error 3)");
    }
}
