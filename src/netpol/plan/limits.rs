//! How much a plan may hold. What does not fit is refused, never cut short.

use std::fmt;

/// Bounds of a plan. Those of all tables together are the sizes of the kernel's maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Entries of one port set.
    pub ports_per_set: usize,
    /// Peers of one table, in both directions.
    pub peers_per_table: usize,
    /// Blocks of one table, in both directions.
    pub blocks_per_table: usize,
    /// Rules of one table, in both directions.
    pub rules_per_table: usize,
    /// Pairs of a rule with a peer, a block or a range of ports that one table is made of: the time it takes.
    pub steps_per_table: usize,
    /// Pairs of a distinct selector and an identity, a bit each, of all policies; at most
    /// [`crate::compile::MAX_MATCHES`].
    pub matches: usize,
    /// Tables.
    pub tables: usize,
    /// Peers of all tables.
    pub peers: usize,
    /// Blocks of all tables.
    pub blocks: usize,
    /// Entries of all port sets.
    pub ports: usize,
}

/// What there is too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// See [`Limits::ports_per_set`].
    PortsOfSet,
    /// See [`Limits::peers_per_table`].
    PeersOfTable,
    /// See [`Limits::blocks_per_table`].
    BlocksOfTable,
    /// See [`Limits::rules_per_table`].
    RulesOfTable,
    /// See [`Limits::steps_per_table`].
    Steps,
    /// See [`Limits::matches`].
    Matches,
    /// See [`Limits::tables`].
    Tables,
    /// See [`Limits::peers`].
    Peers,
    /// See [`Limits::blocks`].
    Blocks,
    /// See [`Limits::ports`].
    Ports,
}

/// What does not fit, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{policy} does not fit: {count} {what}, and at most {bound} do")]
pub struct DoesNotFit {
    /// The policy that has the largest part in it, as it is shown.
    pub policy: String,
    /// What there is too much of.
    pub what: What,
    /// How much there would be.
    pub count: usize,
    /// How much there may be.
    pub bound: usize,
}

// === impl Limits ===

impl Default for Limits {
    /// Bounds of one table are such that no policy of a tenant can fill a map alone.
    fn default() -> Self {
        Self {
            // A range of ports is at most 30 entries; this many ranges nobody writes by hand.
            ports_per_set: 4_096,
            // 20,000 identities in both directions, with room.
            peers_per_table: 1 << 16,
            // 10,000 blocks with as many holes, in both directions.
            blocks_per_table: 1 << 16,
            // A node keeps their names.
            rules_per_table: 1 << 16,
            // About a quarter of a second; 100 rules about 20,000 identities take a thirtieth of them.
            steps_per_table: 1 << 26,
            // 64 MiB: 26,000 selectors over 20,000 identities.
            matches: 1 << 29,
            // Two for each of the 256 Pods that a node may have by the largest common setting, and as many again while
            // they are replaced.
            tables: 1 << 10,
            // 40 bytes and overhead: at most some 60 MB of kernel memory, taken as it is used.
            peers: 1 << 19,
            blocks: 1 << 18,
            ports: 1 << 18,
        }
    }
}

// === impl What ===

/// As in "70,000 …".
impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PortsOfSet => "entries of ports for one peer",
            Self::PeersOfTable => "peers of one kind of Pod",
            Self::BlocksOfTable => "blocks of addresses of one kind of Pod",
            Self::RulesOfTable => "rules of one kind of Pod",
            Self::Steps => "pairs of a rule and a peer, block or range of ports of one kind of Pod",
            Self::Matches => "pairs of a selector and a set of labels on one node",
            Self::Tables => "kinds of Pods on one node",
            Self::Peers => "peers on one node",
            Self::Blocks => "blocks of addresses on one node",
            Self::Ports => "entries of ports on one node",
        })
    }
}
