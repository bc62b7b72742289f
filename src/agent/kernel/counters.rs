//! What the datapath counted: exact, whatever is told of it.

use stockade_netpol::policy::Direction;

use super::error::KernelError;
use super::layout::{RawBudget, RawCounters};
use super::maps::Map;

/// What became of a packet. The numbers are those of `enum outcome` in `bpf/shared.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Passed: of a connection that is known.
    Established = 0,
    /// Passed: the first of a connection that policies allow.
    Opened = 1,
    /// Passed: the first of a connection that audited policies would deny.
    WouldDeny = 2,
    /// Passed without being judged: address resolution, neighbour discovery, multicast listeners.
    Exempt = 3,
    /// Dropped: policies do not allow it.
    Denied = 4,
    /// Dropped: the Pod sent it with a source address that is not its own.
    Spoofed = 5,
    /// Dropped: not readable as what it says it is, or not IP at all.
    Malformed = 6,
    /// Dropped: an ICMP error about a connection that nobody knows.
    Unrelated = 7,
    /// Dropped: a later fragment of what did not pass, or is not known to have passed.
    Fragment = 8,
    /// Dropped: the interface has the programs and no endpoint.
    NoEndpoint = 9,
}

/// Packets of all interfaces since the maps were made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// By [`Direction`] and [`Outcome`] as numbers.
    pub packets: [[u64; Outcome::ALL.len()]; 2],
}

// === impl Outcome ===

impl Outcome {
    /// All, by their numbers.
    pub const ALL: [Self; 10] = [
        Self::Established,
        Self::Opened,
        Self::WouldDeny,
        Self::Exempt,
        Self::Denied,
        Self::Spoofed,
        Self::Malformed,
        Self::Unrelated,
        Self::Fragment,
        Self::NoEndpoint,
    ];

    /// Whether the packet passed.
    pub fn passes(self) -> bool {
        matches!(self, Self::Established | Self::Opened | Self::WouldDeny | Self::Exempt)
    }

    /// As metrics say it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Established => "established",
            Self::Opened => "opened",
            Self::WouldDeny => "would-deny",
            Self::Exempt => "exempt",
            Self::Denied => "denied",
            Self::Spoofed => "spoofed",
            Self::Malformed => "malformed",
            Self::Unrelated => "unrelated",
            Self::Fragment => "fragment",
            Self::NoEndpoint => "no-endpoint",
        }
    }

    /// By number.
    pub(super) fn of_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

// === impl Counters ===

impl Counters {
    /// Packets of one kind.
    pub fn of(&self, direction: Direction, outcome: Outcome) -> u64 {
        self.packets[direction as usize][outcome as usize]
    }

    fn add(mut self, raw: &RawCounters) -> Self {
        for (sum, more) in self.packets.iter_mut().flatten().zip(raw.packets.iter().flatten()) {
            *sum = sum.wrapping_add(*more);
        }
        self
    }
}

/// Sums of all CPUs.
pub(super) fn read(map: &Map) -> Result<Counters, KernelError> {
    let values = map.per_cpu::<RawCounters>(&0_u32.to_ne_bytes())?.unwrap_or_default();
    Ok(values.iter().fold(Counters::default(), Counters::add))
}

/// What was counted and not told, for want of budget or room: sum of all CPUs.
pub(super) fn untold(map: &Map) -> Result<u64, KernelError> {
    let values = map.per_cpu::<RawBudget>(&0_u32.to_ne_bytes())?.unwrap_or_default();
    Ok(values.iter().fold(0, |sum, value| sum.wrapping_add(value.untold)))
}
