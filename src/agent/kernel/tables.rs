//! The tables that packets are judged by, as the rest of the agent sees them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use stockade_netpol::plan::{Leaf, PortKey, Prefix};
use stockade_netpol::policy::Direction;

use super::error::KernelError;

/// All that is written into the kernel. Its one writer is the agent; in tests, maps in memory stand for it.
///
/// Order matters: what is pointed to is written before what points to it, and removed after. A port set before the
/// tables, peers and blocks that name it; a whole table before the endpoint that is switched to it; an identity's peers
/// before its address.
pub trait Tables: Send + Sync {
    /// Pods of this node, by the index of the host's side of their interface. An interface that has the programs and is
    /// not in here passes nothing.
    fn endpoints(&self) -> &dyn Entries<u32, Endpoint>;
    /// Whose address of this node: the interface as in [`Tables::endpoints`].
    fn local_addresses(&self) -> &dyn Entries<IpAddr, u32>;
    /// Numbers of identities by address, those of this node's Pods too; 1 is the node itself.
    fn identities(&self) -> &dyn Entries<IpAddr, u64>;
    /// Beginnings of tables, by id.
    fn tables(&self) -> &dyn Entries<u64, Head>;
    /// Port sets of what tables say about identities. Never 0.
    fn peers(&self) -> &dyn Entries<PeerKey, u64>;
    /// Port sets of what tables say about blocks of addresses; 0 cuts a block out of a larger one.
    fn blocks(&self) -> &dyn Entries<BlockKey, u64>;
    /// What port sets say.
    fn ports(&self) -> &dyn Entries<PortsKey, Leaf>;
    /// Blocks of addresses of Services, which [`super::Kernel::translated`] is about.
    fn services(&self) -> &dyn Entries<Prefix, ()>;
}

/// One table. Values are told apart by keys; a key that is there is overwritten, one that is not there is no error to
/// remove.
pub trait Entries<K, V>: Send + Sync {
    /// Gives everything, read back from the kernel, in no order. What is written meanwhile is given or not.
    ///
    /// # Errors
    /// The kernel's refusal; an entry that cannot be read.
    fn for_each(&self, take: &mut dyn FnMut(K, V)) -> Result<(), KernelError>;
    /// Everything, as [`Entries::for_each`] gives it.
    ///
    /// # Errors
    /// The same.
    fn all(&self) -> Result<BTreeMap<K, V>, KernelError>;
    /// One value.
    ///
    /// # Errors
    /// The kernel's refusal; an entry that cannot be read.
    fn get(&self, key: &K) -> Result<Option<V>, KernelError>;
    /// Writes entries, each whole at once, in no order.
    ///
    /// # Errors
    /// [`KernelError::Full`] where one does not fit: of the others some are written.
    fn set(&self, entries: &[(K, V)]) -> Result<(), KernelError>;
    /// Removes entries, in no order.
    ///
    /// # Errors
    /// The kernel's refusal.
    fn remove(&self, keys: &[K]) -> Result<(), KernelError>;
}

/// A Pod of this node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Number of its identity.
    pub identity: u64,
    /// Id of the table that it is judged by; 0: everything passes.
    pub table: u64,
    /// Id of the table of all policies, audited ones too; 0: none is audited.
    pub audit_table: u64,
    /// Another one has open connections judged again.
    pub generation: u32,
    /// Its address. What comes from it with another one is dropped.
    pub v4: Option<Ipv4Addr>,
    /// Its address.
    pub v6: Option<Ipv6Addr>,
}

/// The beginning of a table: what it says of each direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Head {
    /// By [`Direction`] as a number.
    pub directions: [HeadDirection; 2],
    /// SHA-256 of the table's rules, for the status.
    pub digest: [u8; 32],
}

/// What a table says of one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeadDirection {
    /// Whether any policy is about it.
    pub judged: bool,
    /// Whether a NetworkPolicy is.
    pub isolated: bool,
    /// Whether there are entries in [`Tables::blocks`].
    pub blocks: bool,
    /// Port set of the rules about everyone; 0: none.
    pub everyone: u64,
    /// Port set of the rules about every Pod, whoever it is; 0: none.
    pub every_pod: u64,
}

/// What a table says about an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey {
    /// Id of the table.
    pub table: u64,
    /// Of the packet, seen from the Pod.
    pub direction: Direction,
    /// Number of the identity.
    pub identity: u64,
}

/// What a table says about a block of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockKey {
    /// Id of the table.
    pub table: u64,
    /// Of the packet, seen from the Pod.
    pub direction: Direction,
    /// The block.
    pub block: Prefix,
}

/// What a port set says about ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortsKey {
    /// Id of the set.
    pub set: u64,
    /// Which ports.
    pub ports: PortKey,
}
