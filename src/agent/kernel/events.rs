//! What the datapath tells: new connections, and packets that it dropped.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use libbpf_rs::{ErrorKind, RingBuffer, RingBufferBuilder};
use stockade_netpol::policy::{Direction, Tier};
use zerocopy::FromBytes;

use super::counters::Outcome;
use super::error::KernelError;
use super::layout::RawEvent;
use super::maps::Map;

/// Packets or connections that are alike: same endpoint, direction, outcome, peer's address, protocol and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When, since the system was started, without the time in which it slept (`CLOCK_MONOTONIC`).
    pub time: Duration,
    /// Interface of the endpoint.
    pub interface: u32,
    /// Seen from the Pod.
    pub direction: Direction,
    /// What became of it.
    pub outcome: Outcome,
    /// How many since the last one that was told, this one included: packets that were dropped, or connections.
    pub count: u64,
    /// Bytes of these packets, or of the first ones of these connections.
    pub bytes: u64,
    /// Address and port on the Pod's side. Ports are 0 where the protocol has none.
    pub local: (IpAddr, u16),
    /// Address and port of the peer.
    pub remote: (IpAddr, u16),
    /// The peer's identity; 0: nobody known, 1: the Pod's node.
    pub identity: u64,
    /// Number of the protocol in the header.
    pub protocol: u8,
    /// What decided, where policies did.
    pub decision: Option<Decision>,
}

/// What decided about a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Id of the table.
    pub table: u64,
    /// The rule: tier and place in the table's list. None: no rule, so isolation denied it or nothing is said about it.
    pub rule: Option<(Tier, u32)>,
}

/// A reader of events. There is one at a time, which gets each once.
#[derive(Debug)]
pub struct Events<'a> {
    ring: RingBuffer<'a>,
}

// === impl Events ===

impl<'a> Events<'a> {
    pub(super) fn open(map: &'a Map, mut told: impl FnMut(Event) + 'a) -> Result<Self, KernelError> {
        let mut builder = RingBufferBuilder::new();
        let refused = || KernelError::refused("reading events");
        builder
            .add(map.handle(), move |bytes| {
                // What is shorter than an event, or says what no program says, was not written by ours.
                if let Some(event) = RawEvent::read_from_bytes(bytes).ok().and_then(|raw| decode(&raw)) {
                    told(event);
                }
                0
            })
            .map_err(refused())?;
        Ok(Self { ring: builder.build().map_err(refused())? })
    }

    /// Waits for events at most this long, and tells all that there are.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn poll(&self, timeout: Duration) -> Result<(), KernelError> {
        match self.ring.poll(timeout) {
            // By a signal, or a debugger.
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            other => other.map_err(KernelError::refused("waiting for events")),
        }
    }
}

fn decode(raw: &RawEvent) -> Option<Event> {
    let address = |bytes: [u8; 16]| Ipv6Addr::from(bytes).to_canonical();
    let tier = match raw.tier {
        1 => Some(Tier::Admin),
        2 => Some(Tier::Network),
        3 => Some(Tier::Baseline),
        _ => None,
    };
    Some(Event {
        time: Duration::from_nanos(raw.time),
        interface: raw.ifindex,
        direction: if raw.direction == 0 { Direction::Ingress } else { Direction::Egress },
        outcome: Outcome::of_number(raw.outcome)?,
        count: raw.count,
        bytes: raw.bytes,
        local: (address(raw.local), u16::from_be_bytes(raw.local_port)),
        remote: (address(raw.remote), u16::from_be_bytes(raw.remote_port)),
        identity: raw.identity,
        protocol: raw.protocol,
        decision: (raw.table != 0).then(|| Decision {
            table: raw.table,
            rule: tier.map(|tier| (tier, raw.word >> super::layout::ACTION_BITS)),
        }),
    })
}
