//! Tables, and how a packet is judged by one.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::leaf::Leaf;
use super::numbers::{NOBODY, OWN_NODE};
use super::port_sets::{PortSets, look_up};
use crate::policy::Direction;

/// What policies say about one kind of Pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The first eight bytes of `digest`, the first byte the lowest. Never 0.
    pub id: u64,
    /// SHA-256 of its rules: what they say, whatever Pods and nodes there are to be meant.
    pub digest: [u8; 32],
    /// All rules of both directions in the order in which they are asked; a word's ordinal is a place in it.
    pub rules: Arc<[RuleName]>,
    /// By [`Direction`] as a number.
    pub directions: [TableDirection; 2],
}

/// One direction of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableDirection {
    /// Whether any policy is about this direction. Where none is, everything passes.
    pub judged: bool,
    /// Whether a NetworkPolicy is: what no rule accepts is denied.
    pub isolated: bool,
    /// Port set of the rules about everyone.
    pub everyone: Option<u64>,
    /// Port set of the rules about every Pod, whoever comes: the peer of any identity that is known.
    pub every_pod: Option<u64>,
    /// Port sets of the other rules about an identity, by its number. Shared with whoever writes them down.
    pub peers: Arc<BTreeMap<u64, u64>>,
    /// Port sets of the rules about an address: that of the longest prefix which the address is in holds all of them.
    /// 0 stands for no rule, where a larger block is cut out.
    pub blocks: Arc<BTreeMap<Prefix, u64>>,
    /// Whether any rule is about addresses. As all that is not by identity or address, it is the same for the same id.
    pub has_blocks: bool,
}

/// A block of addresses. IPv4 is written as in `::ffff:0:0/96`, its length counted from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    /// First address, in the order of the network.
    pub address: [u8; 16],
    /// Bits that count; 0 to 128.
    pub length: u8,
}

/// Which rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleName {
    /// Of a NetworkPolicy; none for a ClusterNetworkPolicy.
    pub namespace: Option<Arc<str>>,
    /// Of the policy.
    pub policy: Arc<str>,
    /// In which list.
    pub direction: Direction,
    /// Place in it.
    pub index: u32,
    /// Its own name, where it has one.
    pub name: Option<Arc<str>>,
}

/// What a table says about one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ruling<'t> {
    /// Whether it may pass.
    pub allowed: bool,
    /// The rule that decides. None: the Pod is isolated and no rule accepts it, or nothing is said about it.
    pub rule: Option<&'t RuleName>,
}

// === impl Table ===

impl Table {
    /// Judges what begins a connection, as the kernel does: the peer by its identity (0: nobody known) and address, a
    /// protocol by its number in the header, the destination's port (of protocols without ports, any).
    pub fn verdict(
        &self,
        port_sets: &PortSets,
        direction: Direction,
        identity: u64,
        address: IpAddr,
        protocol: u8,
        port: u16,
    ) -> Ruling<'_> {
        let table = &self.directions[direction as usize];
        if !table.judged {
            return Ruling { allowed: true, rule: None };
        }
        let every_pod = table.every_pod.filter(|_| ![NOBODY, OWN_NODE].contains(&identity));
        let sources = [table.everyone, every_pod, table.peers.get(&identity).copied(), table.block(address)];
        let sets = sources.into_iter().flatten().filter_map(|id| port_sets.get(&id));
        let leaf = sets.map(|set| look_up(set, protocol, port)).fold(Leaf::NONE, Leaf::min);
        let (allowed, ordinal) = leaf.verdict(table.isolated);
        Ruling { allowed, rule: ordinal.and_then(|at| self.rules.get(at as usize)) }
    }
}

// === impl TableDirection ===

impl TableDirection {
    /// Port set of the longest prefix that an address is in.
    fn block(&self, address: IpAddr) -> Option<u64> {
        (0..=128).rev().find_map(|length| self.blocks.get(&Prefix::of(address, length)).copied())
    }
}

// === impl Prefix ===

impl Prefix {
    /// The block of a length that an address is in.
    pub fn of(address: IpAddr, length: u8) -> Self {
        let number = u128::from(match address {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        });
        Self::of_number(number, length)
    }

    /// The same of an address as a number.
    pub(super) fn of_number(number: u128, length: u8) -> Self {
        let mask = u128::MAX.checked_shl(128 - u32::from(length.min(128))).unwrap_or(0);
        Self { address: (number & mask).to_be_bytes(), length }
    }
}

// === impl RuleName ===

/// `NetworkPolicy shop/web ingress[0]`
impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "NetworkPolicy {namespace}/{}", self.policy)?,
            None => write!(f, "ClusterNetworkPolicy {}", self.policy)?,
        }
        write!(f, " {}[{}]", self.direction.rules(), self.index)?;
        match &self.name {
            Some(name) => write!(f, " ({name})"),
            None => Ok(()),
        }
    }
}
