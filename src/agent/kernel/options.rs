//! What can be chosen of the datapath.

use std::time::Duration;

use super::error::KernelError;

/// What can be chosen of the datapath.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How many entries maps have room for.
    pub sizes: Sizes,
    /// What becomes of open connections when the policy of their Pod changes.
    pub established: Established,
    /// How programs hang on interfaces.
    pub hooks: Hooks,
    /// Events that are told in a second on each CPU; what is not told is counted.
    pub events_per_second: u32,
    /// How long a talker is silent about what is like what it told.
    pub retell: Duration,
}

/// What becomes of open connections when the policy of their Pod changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Established {
    /// They are judged again, in the direction in which they were opened.
    #[default]
    Recheck,
    /// They stay open. One whose peer's address has become somebody else's is judged again all the same.
    Keep,
}

/// How programs hang on interfaces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Hooks {
    /// By tcx (kernel 6.6); by clsact where the kernel refuses that.
    #[default]
    Tried,
    /// By clsact, for kernels whose tcx is not to be used, and to test that path on kernels which have both.
    Clsact,
}

/// How many entries maps have room for. Another size is another set of maps: see [`super::Kernel::open`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Pods of the node, each up to once more while it is replaced.
    pub endpoints: u32,
    /// Addresses of the cluster whose identity is known.
    pub identities: u32,
    /// Tables of policies, old ones included while they are replaced.
    pub tables: u32,
    /// Entries about identities, of all tables.
    pub peers: u32,
    /// Entries about blocks of addresses, of all tables.
    pub blocks: u32,
    /// Entries of all port sets.
    pub ports: u32,
    /// Connections. What is too much lets go of what was not used for longest, which is judged anew.
    pub conntrack: u32,
    /// Those whose packets are told together.
    pub talkers: u32,
    /// Bytes of events that nobody has read yet; a power of two.
    pub events: u32,
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self {
            sizes: Sizes::default(),
            established: Established::Recheck,
            hooks: Hooks::Tried,
            events_per_second: DEFAULT_EVENTS_PER_SECOND,
            retell: DEFAULT_RETELL,
        }
    }
}

/// What people and log pipelines can read: a node that tells a thousand new talkers a second tells 86 million a day.
const DEFAULT_EVENTS_PER_SECOND: u32 = 100;

/// A scan that lasts an hour is 360 events.
const DEFAULT_RETELL: Duration = Duration::from_secs(10);

// === impl Sizes ===

impl Default for Sizes {
    fn default() -> Self {
        Self {
            // A kubelet's default is 110 Pods; nodes of 500 exist.
            endpoints: 1_024,
            // The cluster of 20,000 Pods with two addresses each, thrice.
            identities: 131_072,
            tables: 4_096,
            peers: 524_288,
            blocks: 262_144,
            ports: 131_072,
            conntrack: 262_144,
            talkers: 16_384,
            // As many as are told in ten seconds on a CPU, many times over; the agent maps it twice.
            events: 1 << 18,
        }
    }
}

impl Sizes {
    /// Bounds of each, the map's name first: fewest, and most that a node's memory is to be spent on.
    pub(super) fn checked(&self) -> Result<[(&'static str, u32); 11], KernelError> {
        const LEAST: u32 = 16;
        const MOST: u32 = 1 << 24;
        let page = 4_096;
        let all = [
            ("endpoints", self.endpoints, LEAST, 65_536),
            // Two addresses a Pod.
            ("local_addresses", self.endpoints.saturating_mul(2), LEAST, MOST),
            ("identities", self.identities, LEAST, MOST),
            ("tables", self.tables, LEAST, MOST),
            ("peers", self.peers, LEAST, MOST),
            ("blocks", self.blocks, LEAST, MOST),
            ("ports", self.ports, LEAST, MOST),
            ("conntrack", self.conntrack, LEAST, MOST),
            // Packets that come in fragments are few; one in sixteen connections may have one under way.
            ("fragments", (self.conntrack / 16).max(LEAST), LEAST, MOST),
            ("talkers", self.talkers, LEAST, MOST),
            ("events", self.events, page, 1 << 28),
        ];
        for (map, size, least, most) in all {
            let power = map != "events" || size.is_power_of_two();
            if !(least..=most).contains(&size) || !power {
                return Err(KernelError::Size { map, size, least, most });
            }
        }
        Ok(all.map(|(map, size, ..)| (map, size)))
    }
}
