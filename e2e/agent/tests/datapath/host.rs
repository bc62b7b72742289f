//! A host with one Pod, whose interface is the loopback one: every network namespace has it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use libbpf_rs::{MapCore as _, MapFlags, MapHandle};
use stockade_agent::kernel::{
    BlockKey, Endpoint, Event, Head, HeadDirection, Hook, Kernel, KernelError, Options, Outcome, PeerKey, PortsKey,
    Sizes, Tables, Trial, Tried,
};
use stockade_e2e_agent::bpffs::Bpffs;
use stockade_e2e_agent::frames::Packet;
use stockade_netpol::plan::{Leaf, PortKey, Prefix};
use stockade_netpol::policy::{Action, Direction, Tier};

/// The loopback interface.
pub(crate) const INTERFACE: u32 = 1;
/// The Pod's table in these tests.
pub(crate) const TABLE: u64 = 0x7ab1e;
/// A table of all policies, audited ones too.
pub(crate) const AUDIT: u64 = 0xa0d17;
/// Addresses of both families: of the Pod, a peer, another peer, the node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) pod: IpAddr,
    pub(crate) peer: IpAddr,
    pub(crate) other: IpAddr,
    pub(crate) node: IpAddr,
    pub(crate) service: IpAddr,
}

/// Number of the identity of `Addresses::peer`.
pub(crate) const PEER: u64 = 4711;

/// A kernel with one Pod.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) kernel: Arc<Kernel>,
    pins: Bpffs,
}

/// One packet to or from the Pod: seen from it.
pub(crate) use Direction::{Egress, Ingress};

pub(crate) const FAMILIES: [Addresses; 2] = [
    Addresses { pod: v4(2), peer: v4(3), other: v4(4), node: v4(1), service: v4(200) },
    Addresses { pod: v6(2), peer: v6(3), other: v6(4), node: v6(1), service: v6(200) },
];

const fn v4(last: u8) -> IpAddr {
    IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, last))
}

const fn v6(last: u16) -> IpAddr {
    IpAddr::V6(std::net::Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last))
}

/// Few, so that many tests run beside each other.
pub(crate) fn sizes() -> Sizes {
    Sizes {
        endpoints: 16,
        identities: 1_024,
        tables: 64,
        peers: 4_096,
        blocks: 1_024,
        ports: 4_096,
        conntrack: 4_096,
        talkers: 1_024,
        events: 1 << 16,
    }
}

// === impl Host ===

impl Host {
    /// A Pod that no policy is about.
    pub(crate) fn new() -> Self {
        Self::with(&Options { sizes: sizes(), ..Options::default() })
    }

    pub(crate) fn with(options: &Options) -> Self {
        let pins = Bpffs::new();
        let kernel = Arc::new(Kernel::open(&pins.path(), options).unwrap());
        let host = Self { kernel, pins };
        for addresses in FAMILIES {
            host.kernel.identities().set(&[(addresses.peer, PEER), (addresses.node, 1)]).unwrap();
            host.kernel.local_addresses().set(&[(addresses.pod, INTERFACE)]).unwrap();
        }
        host.endpoint(endpoint());
        host
    }

    /// A Pod that a NetworkPolicy isolates in both directions, and that accepts what `rules` do.
    pub(crate) fn isolated(rules: &[Rule]) -> Self {
        let host = Self::new();
        host.table(TABLE, true, rules);
        host.endpoint(Endpoint { table: TABLE, ..endpoint() });
        host
    }

    pub(crate) fn endpoint(&self, endpoint: Endpoint) {
        self.kernel.endpoints().set(&[(INTERFACE, endpoint)]).unwrap();
    }

    /// Writes a table that judges both directions.
    pub(crate) fn table(&self, table: u64, isolated: bool, rules: &[Rule]) {
        let mut head = Head { digest: [7; 32], ..Head::default() };
        for (number, rule) in rules.iter().enumerate() {
            // As many sets as rules: the tables combine them.
            let set = (table << 16) + number as u64 + 1;
            let ordinal = u32::try_from(number).unwrap();
            let leaf = Leaf::of_rule(rule.tier, rule.action, ordinal);
            let entries: Vec<_> = rule.ports.iter().map(|ports| (PortsKey { set, ports: *ports }, leaf)).collect();
            self.kernel.ports().set(&entries).unwrap();
            let direction = rule.direction;
            match rule.whom {
                Whom::Everyone => head.directions[direction as usize].everyone = set,
                Whom::EveryPod => head.directions[direction as usize].every_pod = set,
                Whom::Identity(identity) => {
                    self.kernel.peers().set(&[(PeerKey { table, identity, direction }, set)]).unwrap();
                }
                Whom::Block(address, length) => {
                    head.directions[direction as usize].blocks = true;
                    let block = Prefix::of(address, length);
                    self.kernel.blocks().set(&[(BlockKey { table, direction, block }, set)]).unwrap();
                }
            }
        }
        head.directions = head.directions.map(|d| HeadDirection { judged: true, isolated, ..d });
        self.kernel.tables().set(&[(table, head)]).unwrap();
    }

    /// Whether a packet passes.
    pub(crate) fn passes(&self, direction: Direction, packet: &Packet) -> bool {
        self.frame_passes(direction, &packet.frame())
    }

    pub(crate) fn frame_passes(&self, direction: Direction, frame: &[u8]) -> bool {
        self.tried(direction, frame).unwrap().passes
    }

    /// The kernel tries nothing that is shorter than an Ethernet header, newer ones than that of IP.
    pub(crate) fn tried(&self, direction: Direction, frame: &[u8]) -> Result<Tried, KernelError> {
        let hook = if direction == Egress { Hook::FromPod(INTERFACE) } else { Hook::ToPod(INTERFACE) };
        self.kernel.run(&Trial { hook, frame, times: 1 })
    }

    /// Whether it passes behind address translation.
    pub(crate) fn forwards(&self, packet: &Packet) -> bool {
        let frame = packet.frame();
        self.kernel.run(&Trial { hook: Hook::Forwarded, frame: &frame, times: 1 }).unwrap().passes
    }

    /// What was counted of the Pod, without what was not.
    pub(crate) fn counted(&self) -> Vec<(Direction, Outcome, u64)> {
        let counters = self.kernel.counters().unwrap();
        let mut all = Vec::new();
        for direction in [Ingress, Egress] {
            all.extend(Outcome::ALL.map(|outcome| (direction, outcome, counters.of(direction, outcome))));
        }
        all.retain(|(.., packets)| *packets != 0);
        all
    }

    /// A map of the kernel, by its pin.
    pub(crate) fn map(&self, name: &str) -> MapHandle {
        let folders = std::fs::read_dir(self.pins.path()).unwrap().map(|entry| entry.unwrap().path());
        let path = folders.map(|folder| folder.join(name)).find(|path| path.exists()).unwrap();
        MapHandle::from_pinned_path(path).unwrap()
    }

    /// Has the programs forget connections and fragments.
    pub(crate) fn forget(&self) {
        for map in ["conntrack", "fragments"].map(|name| self.map(name)) {
            for key in map.keys().collect::<Vec<_>>() {
                map.delete(&key).unwrap();
            }
        }
        self.forget_recent();
    }

    /// Has them look up each connection again, as if the moment were over for which they do not.
    pub(crate) fn forget_recent(&self) {
        let (map, key) = (self.map("recents"), 0_u32.to_ne_bytes());
        let mut all = map.lookup_percpu(&key, MapFlags::ANY).unwrap().unwrap();
        all.iter_mut().for_each(|of_cpu| of_cpu.fill(0));
        map.update_percpu(&key, &all, MapFlags::ANY).unwrap();
    }

    /// What was told since the last time.
    pub(crate) fn told(&self) -> Vec<Event> {
        told(&self.kernel)
    }
}

/// Numbers by a simple generator (SplitMix64), so that a failure comes again.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 27)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 1).unwrap() % bound
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[7]
    }

    pub(crate) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// What was told since the last time.
pub(crate) fn told(kernel: &Kernel) -> Vec<Event> {
    let told = RefCell::new(Vec::new());
    let events = kernel.events(|event| told.borrow_mut().push(event)).unwrap();
    events.poll(Duration::ZERO).unwrap();
    drop(events);
    told.into_inner()
}

/// The Pod of these tests, without policies.
pub(crate) fn endpoint() -> Endpoint {
    let [IpAddr::V4(v4), IpAddr::V6(v6)] = FAMILIES.map(|a| a.pod) else { unreachable!() };
    Endpoint { identity: 1234, generation: 1, v4: Some(v4), v6: Some(v6), ..Endpoint::default() }
}

/// A rule of a table.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) tier: Tier,
    pub(crate) action: Action,
    pub(crate) direction: Direction,
    pub(crate) whom: Whom,
    pub(crate) ports: Vec<PortKey>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Whom {
    Everyone,
    EveryPod,
    Identity(u64),
    Block(IpAddr, u8),
}

/// One port of a protocol.
pub(crate) fn port(protocol: u8, port: u16) -> PortKey {
    PortKey { protocol, port, bits: 16 }
}

/// All ports of all protocols.
pub(crate) fn all_ports() -> Vec<PortKey> {
    [0, 6, 17, 132].map(|protocol| PortKey { protocol, port: 0, bits: 0 }).to_vec()
}

/// A NetworkPolicy's rule.
pub(crate) fn accept(direction: Direction, whom: Whom, ports: Vec<PortKey>) -> Rule {
    Rule { tier: Tier::Network, action: Action::Accept, direction, whom, ports }
}

/// By outcome, for assertions.
pub(crate) fn tally(counted: &[(Direction, Outcome, u64)]) -> BTreeMap<(Direction, Outcome), u64> {
    counted.iter().map(|(direction, outcome, packets)| ((*direction, *outcome), *packets)).collect()
}
