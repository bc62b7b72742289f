//! What is compared: who judges the packets of both Pods.

use std::net::{IpAddr, Ipv4Addr};

use stockade_agent::kernel::{Endpoint, Head, HeadDirection, Kernel, Options, PeerKey, PortsKey, Tables};
use stockade_e2e_agent::bpffs::Bpffs;
use stockade_netpol::plan::{Leaf, PortKey};
use stockade_netpol::policy::{Action, Direction, Tier};

use crate::network::{Network, Topology};
use crate::traffic::{ECHO, SINK};

/// Who judges.
pub(crate) enum Row {
    /// Nobody.
    Nothing,
    /// The datapath, with so many rules.
    Stockade { rules: u32, kernel: Box<Kernel>, _pins: Bpffs },
    /// A chain of so many rules, one after the other.
    NftLinear { rules: u32, topology: Topology },
    /// One rule, and a set of so many entries.
    NftSet { rules: u32, topology: Topology },
}

/// Table and identities of both Pods: all is the same in both.
pub(crate) const TABLE: u64 = 1;
/// Identities from here on; the first is that of both Pods.
pub(crate) const IDENTITIES: u64 = 1_000;
/// TCP.
const TCP: u8 = 6;

// === impl Row ===

impl Row {
    pub(crate) fn all(topology: Topology) -> Vec<Self> {
        vec![
            Self::Nothing,
            Self::stockade(10),
            Self::stockade(10_000),
            Self::NftLinear { rules: 10, topology },
            Self::NftLinear { rules: 10_000, topology },
            Self::NftSet { rules: 10_000, topology },
        ]
    }

    pub(crate) fn title(&self) -> String {
        match self {
            Self::Nothing => "nothing".to_owned(),
            Self::Stockade { rules, .. } => format!("Stockade, {rules} rules"),
            Self::NftLinear { rules, .. } => format!("nftables, {rules} rules"),
            Self::NftSet { rules, .. } => format!("nftables, a set of {rules}"),
        }
    }

    pub(crate) fn has_targets(&self) -> bool {
        matches!(self, Self::Stockade { .. })
    }

    /// As many rules, each about another peer and port; the last is about both Pods.
    pub(crate) fn stockade(rules: u32) -> Self {
        let pins = Bpffs::new();
        let kernel = Kernel::open(&pins.path(), &Options::default()).unwrap();
        let (mut ports, mut peers, mut identities) = (Vec::new(), Vec::new(), Vec::new());
        for rule in 0..rules {
            let leaf = Leaf::of_rule(Tier::Network, Action::Accept, rule);
            let set = u64::from(rule) + 1;
            let port = |port| (PortsKey { set, ports: PortKey { protocol: TCP, port, bits: 16 } }, leaf);
            let first = u16::try_from(1 + rule).unwrap();
            ports.extend(if rule == 0 { vec![port(ECHO), port(SINK)] } else { vec![port(first)] });
            let identity = IDENTITIES + u64::from(rule);
            for direction in [Direction::Ingress, Direction::Egress] {
                peers.push((PeerKey { table: TABLE, identity, direction }, set));
            }
            identities.push((IpAddr::V4(Ipv4Addr::from(0x0b00_0000 + rule)), identity));
        }
        kernel.ports().set(&ports).unwrap();
        kernel.peers().set(&peers).unwrap();
        kernel.identities().set(&identities).unwrap();
        let judged = HeadDirection { judged: true, isolated: true, ..HeadDirection::default() };
        kernel.tables().set(&[(TABLE, Head { directions: [judged; 2], digest: [0; 32] })]).unwrap();
        Self::Stockade { rules, kernel: Box::new(kernel), _pins: pins }
    }

    /// Has it judge; on the node.
    pub(crate) fn set(&self, network: &Network) {
        let addresses = [network.client_address(), network.server_address()];
        match self {
            Self::Nothing => {}
            Self::Stockade { kernel, .. } => {
                for (interface, address) in network.interfaces.into_iter().zip(addresses) {
                    let v4: Ipv4Addr = address.parse().unwrap();
                    kernel.identities().set(&[(v4.into(), IDENTITIES)]).unwrap();
                    let v4 = Some(v4);
                    let endpoint = Endpoint { identity: IDENTITIES, table: TABLE, v4, ..Endpoint::default() };
                    kernel.endpoints().set(&[(interface, endpoint)]).unwrap();
                    kernel.attach(interface).unwrap();
                    kernel.settle(interface).unwrap();
                }
            }
            Self::NftLinear { rules, topology } => network.nft(&chain(*topology, &linear(*rules, &addresses))),
            Self::NftSet { rules, topology } => network.nft(&chain(*topology, &set(*rules, &addresses))),
        }
    }

    /// Has nobody judge again.
    pub(crate) fn clear(&self, network: &Network) {
        match self {
            Self::Nothing => {}
            Self::Stockade { kernel, .. } => network.interfaces.into_iter().for_each(|interface| {
                kernel.detach(interface).unwrap();
                network.remove_clsact(interface);
            }),
            Self::NftLinear { .. } | Self::NftSet { .. } => network.nft("flush ruleset"),
        }
    }
}

/// A table whose chain lets open connections pass, and drops TCP that no rule accepts.
fn chain(topology: Topology, rules: &(String, String)) -> String {
    let (sets, rules) = rules;
    // A bridge tracks no connections here; what comes back is accepted by its port.
    let (family, before) = match topology {
        Topology::Bridged => ("bridge", format!("tcp sport {{ {ECHO}, {SINK} }} accept")),
        Topology::Routed => ("inet", "ct state established,related accept".to_owned()),
    };
    format!(
        "table {family} bench {{ {sets}\nchain forward {{ type filter hook forward priority 0; policy accept;\n\
         {before}\n{rules}\nip protocol tcp drop\n}}\n}}\n"
    )
}

fn other(rule: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0b00_0000 + rule)
}

fn linear(rules: u32, [client, server]: &[String; 2]) -> (String, String) {
    let rule = |n: u32| format!("ip saddr {} ip daddr {server} tcp dport {} accept\n", other(n), 1 + n % 60_000);
    let rules: String = (1..rules).map(rule).collect();
    (String::new(), format!("{rules}ip saddr {client} ip daddr {server} tcp dport {{ {ECHO}, {SINK} }} accept"))
}

fn set(rules: u32, [client, server]: &[String; 2]) -> (String, String) {
    let element = |n: u32| format!("{} . {server} . {}, ", other(n), 1 + n % 60_000);
    let elements: String = (2..rules).map(element).collect();
    let own = format!("{client} . {server} . {ECHO}, {client} . {server} . {SINK}");
    let set = format!("set peers {{ type ipv4_addr . ipv4_addr . inet_service; elements = {{ {elements}{own} }}; }}");
    (set, "ip saddr . ip daddr . tcp dport @peers accept".to_owned())
}
