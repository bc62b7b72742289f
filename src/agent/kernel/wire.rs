//! Keys and values as the kernel's bytes.

use std::net::{IpAddr, Ipv6Addr};

use stockade_netpol::plan::{Leaf, PortKey, Prefix};
use stockade_netpol::policy::Direction;
use zerocopy::{FromBytes, IntoBytes};

use super::layout::{
    DIRECTION_BLOCKS, DIRECTION_ISOLATED, DIRECTION_JUDGED, RawBlockKey, RawDirection, RawEndpoint, RawHead, RawLeaf,
    RawPeerKey, RawPortsKey, RawServiceKey,
};
use super::tables::{BlockKey, Endpoint, Head, HeadDirection, PeerKey, PortsKey};

/// A key or value of a map.
pub(super) trait Wire: Sized {
    /// Adds it as it is in the map.
    fn encode(&self, to: &mut Vec<u8>);
    /// From the map; none where no agent can have written it.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

/// Bits of a block's key before its address: the table's id and the direction.
const BLOCK_BITS: u32 = 96;
/// Bits of a port's key before its port: the set's id and the protocol.
const PORTS_BITS: u32 = 72;

fn direction(number: u32) -> Option<Direction> {
    match number {
        0 => Some(Direction::Ingress),
        1 => Some(Direction::Egress),
        _ => None,
    }
}

fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

// === impl Wire ===

impl Wire for u32 {
    fn encode(&self, to: &mut Vec<u8>) {
        to.extend(self.to_ne_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_ne_bytes)
    }
}

impl Wire for u64 {
    fn encode(&self, to: &mut Vec<u8>) {
        to.extend(self.to_ne_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_ne_bytes)
    }
}

/// The value of a map that is a set.
impl Wire for () {
    fn encode(&self, to: &mut Vec<u8>) {
        to.push(1);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        (bytes == [1]).then_some(())
    }
}

impl Wire for IpAddr {
    fn encode(&self, to: &mut Vec<u8>) {
        to.extend(mapped(*self));
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        <[u8; 16]>::try_from(bytes).ok().map(|octets| Ipv6Addr::from(octets).to_canonical())
    }
}

impl Wire for Endpoint {
    fn encode(&self, to: &mut Vec<u8>) {
        let raw = RawEndpoint {
            identity: self.identity,
            table: self.table,
            audit_table: self.audit_table,
            generation: self.generation,
            unused: 0,
            v4: self.v4.map_or([0; 16], |v4| mapped(v4.into())),
            v6: self.v6.map_or([0; 16], |v6| v6.octets()),
        };
        to.extend(raw.as_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let raw = RawEndpoint::read_from_bytes(bytes).ok()?;
        let given = |octets: [u8; 16]| (octets != [0; 16]).then(|| Ipv6Addr::from(octets));
        Some(Self {
            identity: raw.identity,
            table: raw.table,
            audit_table: raw.audit_table,
            generation: raw.generation,
            v4: given(raw.v4).and_then(|v4| v4.to_ipv4_mapped()),
            v6: given(raw.v6),
        })
    }
}

impl Wire for Head {
    fn encode(&self, to: &mut Vec<u8>) {
        let direction = |d: HeadDirection| {
            let flag = |given: bool, flag: u32| if given { flag } else { 0 };
            let flags = flag(d.judged, DIRECTION_JUDGED)
                | flag(d.isolated, DIRECTION_ISOLATED)
                | flag(d.blocks, DIRECTION_BLOCKS);
            RawDirection { everyone: d.everyone, every_pod: d.every_pod, flags, unused: 0 }
        };
        to.extend(RawHead { directions: self.directions.map(direction), digest: self.digest }.as_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let raw = RawHead::read_from_bytes(bytes).ok()?;
        let direction = |d: RawDirection| HeadDirection {
            judged: d.flags & DIRECTION_JUDGED != 0,
            isolated: d.flags & DIRECTION_ISOLATED != 0,
            blocks: d.flags & DIRECTION_BLOCKS != 0,
            everyone: d.everyone,
            every_pod: d.every_pod,
        };
        Some(Self { directions: raw.directions.map(direction), digest: raw.digest })
    }
}

impl Wire for PeerKey {
    fn encode(&self, to: &mut Vec<u8>) {
        let raw =
            RawPeerKey { table: self.table, identity: self.identity, direction: self.direction as u32, unused: 0 };
        to.extend(raw.as_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let raw = RawPeerKey::read_from_bytes(bytes).ok()?;
        Some(Self { table: raw.table, identity: raw.identity, direction: direction(raw.direction)? })
    }
}

impl Wire for BlockKey {
    fn encode(&self, to: &mut Vec<u8>) {
        let raw = RawBlockKey {
            prefix: BLOCK_BITS + u32::from(self.block.length),
            table: self.table.to_ne_bytes(),
            direction: self.direction as u32,
            address: self.block.address,
        };
        to.extend(raw.as_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let raw = RawBlockKey::read_from_bytes(bytes).ok()?;
        let length = u8::try_from(raw.prefix.checked_sub(BLOCK_BITS)?).ok()?;
        Some(Self {
            table: u64::from_ne_bytes(raw.table),
            direction: direction(raw.direction)?,
            block: Prefix { address: raw.address, length },
        })
    }
}

impl Wire for PortsKey {
    fn encode(&self, to: &mut Vec<u8>) {
        let raw = RawPortsKey {
            prefix: PORTS_BITS + u32::from(self.ports.bits),
            set: self.set.to_ne_bytes(),
            protocol: self.ports.protocol,
            port: self.ports.port.to_be_bytes(),
            unused: 0,
        };
        to.extend(raw.as_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let raw = RawPortsKey::read_from_bytes(bytes).ok()?;
        let bits = u8::try_from(raw.prefix.checked_sub(PORTS_BITS)?).ok()?;
        let ports = PortKey { protocol: raw.protocol, port: u16::from_be_bytes(raw.port), bits };
        Some(Self { set: u64::from_ne_bytes(raw.set), ports })
    }
}

impl Wire for Prefix {
    fn encode(&self, to: &mut Vec<u8>) {
        to.extend(RawServiceKey { prefix: u32::from(self.length), address: self.address }.as_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let raw = RawServiceKey::read_from_bytes(bytes).ok()?;
        Some(Self { address: raw.address, length: u8::try_from(raw.prefix).ok()? })
    }
}

impl Wire for Leaf {
    fn encode(&self, to: &mut Vec<u8>) {
        to.extend(RawLeaf { admin: self.admin, network: self.network, baseline: self.baseline }.as_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let raw = RawLeaf::read_from_bytes(bytes).ok()?;
        Some(Self { admin: raw.admin, network: raw.network, baseline: raw.baseline })
    }
}
