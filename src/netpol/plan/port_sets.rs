//! Sets of ports as prefixes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::digest::Content;
use super::family::{Block, Family, prefixes};
use super::leaf::Leaf;
use crate::ports::{Connections, PortSet, Protocol};

/// Stands for every protocol but TCP, UDP and SCTP.
pub const OTHER_PROTOCOLS: u8 = 0;

/// Bits of a port.
const PORT_BITS: u32 = u16::BITS;

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

/// A set of ports: what rules say about each. A port that is not in it is one that no rule is about. A range of ports
/// takes at most 30 entries, and every port one.
pub type PortSetEntries = BTreeMap<PortKey, Leaf>;

/// Port sets by id.
pub type PortSets = BTreeMap<u64, Arc<PortSetEntries>>;

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
    let longest = if has_ports { PORT_BITS as u8 } else { 0 };
    let key = |bits: u8| {
        let mask = u16::MAX.checked_shl(PORT_BITS - u32::from(bits)).unwrap_or(0);
        PortKey { protocol, port: port & mask, bits }
    };
    (0..=longest).rev().find_map(|bits| set.get(&key(bits)).copied()).unwrap_or(Leaf::NONE)
}

/// What some rules say together, each about its connections.
pub(super) fn entries<'c>(rules: impl Iterator<Item = (Leaf, &'c Connections)> + Clone) -> PortSetEntries {
    let mut set = PortSetEntries::new();
    for protocol in Protocol::ALL {
        add_protocol(&mut set, protocol, rules.clone().map(|(leaf, connections)| (leaf, connections.ports(protocol))));
    }
    let about_all = rules.filter(|(_, connections)| connections.is_all());
    let other = about_all.map(|(leaf, _)| leaf).fold(Leaf::NONE, Leaf::min);
    if other != Leaf::NONE {
        set.insert(PortKey { protocol: OTHER_PROTOCOLS, port: 0, bits: 0 }, other);
    }
    set
}

fn add_protocol<'c>(
    set: &mut PortSetEntries,
    protocol: Protocol,
    rules: impl Iterator<Item = (Leaf, &'c PortSet)> + Clone,
) {
    let mut ranges: Vec<Block> = rules.clone().flat_map(|(_, ports)| blocks(ports)).collect();
    ranges.sort_unstable();
    ranges.dedup();
    let family = Family::new(ranges.into_iter().flat_map(|range| prefixes(range, PORT_BITS)).collect());
    let mut leaves = vec![Leaf::NONE; family.len()];
    for (leaf, ports) in rules {
        for range in blocks(ports) {
            for (at, _) in family.in_range(range) {
                leaves[at] = leaves[at].min(leaf);
            }
        }
    }
    for ((first, last), leaf) in family.changes(&leaves, Leaf::NONE) {
        // A prefix of ports has at most all of them.
        let bits = PORT_BITS - (first ^ last).count_ones();
        set.insert(PortKey { protocol: protocol_number(protocol), port: first as u16, bits: bits as u8 }, leaf);
    }
}

/// Ranges of a set. All ports are one block, and port 0 is in it, which packets can have.
fn blocks(ports: &PortSet) -> impl Iterator<Item = Block> {
    let all = ports.is_all();
    ports.ranges().iter().map(move |(from, to)| (if all { 0 } else { u128::from(*from) }, u128::from(*to)))
}

/// The id of a set.
pub(super) fn id(set: &PortSetEntries) -> u64 {
    let mut content = Content::new("ports");
    for (key, leaf) in set {
        content.number(u64::from(key.protocol) << 24 | u64::from(key.bits) << 16 | u64::from(key.port));
        content.number(u64::from(leaf.admin) << 32 | u64::from(leaf.network)).number(u64::from(leaf.baseline));
    }
    content.finish().1
}
