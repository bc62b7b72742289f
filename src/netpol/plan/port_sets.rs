//! Sets of ports as prefixes.

use std::collections::BTreeMap;

use super::leaf::Leaf;
use crate::ports::Protocol;

/// Stands for every protocol but TCP, UDP and SCTP.
pub const OTHER_PROTOCOLS: u8 = 0;

/// Ports of one protocol that begin with the same bits: the longest that matches counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortKey {
    /// Its number in the header, or [`OTHER_PROTOCOLS`].
    pub protocol: u8,
    /// First port.
    pub port: u16,
    /// Bits of the port that count, 0 to 16; 0 for other protocols.
    pub bits: u8,
}

/// A set of ports: what rules say about each. A port that is not in it is one that no rule is about.
pub type PortSetEntries = BTreeMap<PortKey, Leaf>;

/// The number of a protocol in the header.
pub fn protocol_number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    }
}

/// What a set says about a port.
pub(super) fn look_up(set: &PortSetEntries, protocol: u8, port: u16) -> Leaf {
    let has_ports = Protocol::ALL.into_iter().any(|p| protocol_number(p) == protocol);
    let protocol = if has_ports { protocol } else { OTHER_PROTOCOLS };
    let longest = if has_ports { 16 } else { 0 };
    let key = |bits: u8| {
        let mask = u16::MAX.checked_shl(16 - u32::from(bits)).unwrap_or(0);
        PortKey { protocol, port: port & mask, bits }
    };
    (0..=longest).rev().find_map(|bits| set.get(&key(bits)).copied()).unwrap_or(Leaf::NONE)
}
