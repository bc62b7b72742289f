//! Whole clusters: what begins a connection, of every protocol, is judged by the programs as by the oracle, and told with
//! the rule that decides. The kernel is written by the agent's own writer.

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use stockade_agent::apply::{Extent, Held, Writer};
use stockade_agent::contents::{CLOSED, Contents};
use stockade_agent::kernel::{Endpoint, Event, Events, Hook, Kernel, Options, Outcome, Trial};
use stockade_agent::stale::Item;
use stockade_e2e_agent::bpffs::Bpffs;
use stockade_e2e_agent::frames::{Packet, SYN, icmp_of};
use stockade_e2e_agent::hosts::within;
use stockade_e2e_agent::netns::Netns;
use stockade_netpol::addresses::Family;
use stockade_netpol::plan::{Limits, RuleName};
use stockade_netpol::policy::Direction;
use stockade_netpol::ports::Protocol;
use stockade_netpol::state::PodId;
use stockade_netpol_testing::chance::{policies, state};
use stockade_netpol_testing::planned::{Expected, Peer, Planned};
use stockade_netpol_testing::truth_tables::{Cluster, Pair, Table, pods, tests};

use crate::host::{Egress, Ingress, sizes};

/// Ports of clusters by chance; rules speak of 1 to 6, and of all.
const PORTS: [u16; 5] = [0, 2, 4, 7, u16::MAX];

/// Most Pods of a cluster by chance.
const PODS: usize = 5;

/// A node whose Pods are all that a cluster has.
struct Node<'k> {
    kernel: &'k Kernel,
    held: Held,
    events: Events<'k>,
    told: &'k RefCell<Vec<Event>>,
    /// By the Pod's number.
    interfaces: &'k [u32],
    /// Clusters so far: the port at the side that asks, or an echo's identifier, so that nothing is asked twice.
    round: u16,
}

/// What begins a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Port(Protocol, u16),
    Echo,
}

/// What becomes of a packet, and the rule that decides.
type Judged = (Outcome, Option<RuleName>);

/// Does something on a node with room for so many Pods.
fn on_node(pods: usize, act: impl FnOnce(&mut Node<'_>) + Send) {
    let netns = Netns::new();
    let interfaces: Vec<u32> = netns.add_interfaces(pods).into_iter().map(|interface| interface.index).collect();
    within(&netns, || {
        let pins = Bpffs::new();
        let silence = Options { events_per_second: u32::MAX, retell: Duration::ZERO, ..Options::default() };
        let kernel = Kernel::open(&pins.path(), &Options { sizes: sizes(), ..silence }).unwrap();
        let told = RefCell::new(Vec::new());
        let events = kernel.events(|event| told.borrow_mut().push(event)).unwrap();
        let held = Held::read(&kernel).unwrap();
        act(&mut Node { kernel: &kernel, held, events, told: &told, interfaces: &interfaces, round: 30_000 });
    });
}

/// An address of a Pod: its own, where nobody else has it; else one that nobody is known to have.
fn address(planned: &Planned, pod: PodId, family: Family) -> IpAddr {
    let state = planned.compiled.state();
    let is_own = |address: &&IpAddr| Family::of(**address) == family && state.holders(**address).count() == 1;
    let spare = || match family {
        Family::V4 => format!("10.1.0.{}", pod.0 + 1).parse().unwrap(),
        Family::V6 => format!("fd01::{}", pod.0 + 1).parse().unwrap(),
    };
    state.pod(pod).addresses.iter().find(is_own).copied().unwrap_or_else(spare)
}

/// What is to become of what a Pod's end is asked; none where it is no matter of policies.
fn expected(planned: &Planned, pod: PodId, direction: Direction, peer: &Peer<'_>, asked: Asked) -> Option<Judged> {
    let said = match asked {
        Asked::Port(protocol, port) => planned.expected(pod, direction, peer, (protocol, port))?,
        Asked::Echo => {
            planned.expected(pod, direction, peer, (Protocol::Tcp, 1))?;
            let tables = planned.plan.pods[&pod].as_ref().unwrap();
            let ruling = |table| planned.ruling(table, direction, peer, (icmp_of(peer.address), 0));
            Expected { in_force: ruling(tables.table), all: ruling(tables.audit_table.or(tables.table)) }
        }
    };
    Some(match said {
        Expected { in_force: (false, rule), .. } => (Outcome::Denied, rule),
        Expected { all: (false, rule), .. } => (Outcome::WouldDeny, rule),
        Expected { in_force: (true, rule), .. } => (Outcome::Opened, rule),
    })
}

fn packet((source, from): (IpAddr, u16), destination: IpAddr, asked: Asked) -> Packet {
    match asked {
        Asked::Port(Protocol::Tcp, port) => Packet::tcp((source, from), (destination, port), SYN),
        Asked::Port(Protocol::Udp, port) => Packet::udp((source, from), (destination, port)),
        Asked::Port(Protocol::Sctp, port) => Packet::sctp((source, from), (destination, port), 1),
        Asked::Echo => Packet::ping(source, destination, from),
    }
}

// === impl Node ===

impl Node<'_> {
    /// Has the kernel hold a cluster. Interfaces of Pods that it does not have are closed.
    fn hold(&mut self, planned: &Planned) {
        let mut wanted = Contents::default();
        wanted.add_closed();
        wanted.add_plan(&planned.plan);
        for (interface, pod) in self.interfaces.iter().zip((0..).map(PodId)) {
            let Some(tables) = planned.plan.pods.get(&pod).map(|tables| tables.as_ref().unwrap()) else {
                wanted.endpoints.insert(*interface, Endpoint { table: CLOSED, ..Endpoint::default() });
                continue;
            };
            let [v4, v6] = [Family::V4, Family::V6].map(|family| address(planned, pod, family));
            let (IpAddr::V4(as_v4), IpAddr::V6(as_v6)) = (v4, v6) else { unreachable!() };
            let endpoint = Endpoint {
                identity: planned.numbers.of_pod(pod),
                table: tables.table.unwrap_or_default(),
                audit_table: tables.audit_table.unwrap_or_default(),
                generation: 0,
                v4: Some(as_v4),
                v6: Some(as_v6),
            };
            wanted.endpoints.insert(*interface, endpoint);
            wanted.local_addresses.extend([(v4, *interface), (v6, *interface)]);
            let known = planned.compiled.state().pod(pod).addresses.iter().filter(|address| [v4, v6].contains(address));
            Arc::make_mut(&mut wanted.identities).extend(known.map(|address| (*address, endpoint.identity)));
        }
        Writer::new(self.kernel, &mut self.held).write(&wanted, Extent::All).unwrap();
        let gone: Vec<Item> = self.held.unwanted(&wanted).into_iter().collect();
        Writer::new(self.kernel, &mut self.held).remove(&gone).unwrap();
        self.round += 1;
    }

    /// Whether a packet of a Pod passes, and what is told of it: how it was judged, and by which rule.
    fn judge(&self, planned: &Planned, pod: PodId, direction: Direction, peer: IpAddr, asked: Asked) -> (bool, Judged) {
        let (interface, own) = (self.interfaces[pod.0 as usize], address(planned, pod, Family::of(peer)));
        let (hook, packet) = match direction {
            Egress => (Hook::FromPod(interface), packet((own, self.round), peer, asked)),
            Ingress => (Hook::ToPod(interface), packet((peer, self.round), own, asked)),
        };
        let tried = self.kernel.run(&Trial { hook, frame: &packet.frame(), times: 1 }).unwrap();
        self.events.poll(Duration::ZERO).unwrap();
        let told = self.told.take();
        assert_eq!(told.len(), 1, "{packet:?} was told as {told:?}");
        let event = &told[0];
        assert_eq!(
            (event.interface, event.direction, event.remote.0, event.protocol, event.count),
            (interface, direction, peer, packet.protocol, 1)
        );
        let rule = event.decision.and_then(|decision| {
            let (_, at) = decision.rule?;
            Some(planned.plan.tables[&decision.table].rules[at as usize].clone())
        });
        (tried.passes, (event.outcome, rule))
    }

    /// Whether a packet passes, and where what is told differs from what the oracle says.
    fn compared(
        &self,
        planned: &Planned,
        pod: PodId,
        direction: Direction,
        peer: &Peer<'_>,
        asked: Asked,
    ) -> Option<Result<bool, String>> {
        let expected = expected(planned, pod, direction, peer, asked)?;
        let (passes, judged) = self.judge(planned, pod, direction, peer.address, asked);
        let fault = || format!("{pod:?} {direction:?} {peer:?} {asked:?}: {judged:?} ({passes}) for {expected:?}");
        Some(if judged == expected && passes == (judged.0 != Outcome::Denied) { Ok(passes) } else { Err(fault()) })
    }

    /// Where what becomes of a pair's packets differs from what the oracle says, or a table.
    fn faults_of(&self, planned: &Planned, family: Family, pair: Pair, tables: &[Table]) -> Vec<String> {
        let [(a, from), (b, to)] = [pair.0, pair.1].map(|at| planned.at(at, family));
        // Somebody who is no Pod is asked nothing.
        let compared = |near: Option<PodId>, direction, far, asked| {
            near.map_or(Ok(true), |near| self.compared(planned, near, direction, far, asked).unwrap())
        };
        let mut faults = Vec::new();
        let ports = Protocol::ALL.into_iter().flat_map(|protocol| [79, 80, 81].map(|port| Asked::Port(protocol, port)));
        for asked in ports.chain([Asked::Echo]) {
            let ends = [compared(a, Egress, &to, asked), compared(b, Ingress, &from, asked)];
            let passes = ends.iter().all(|end| *end == Ok(true));
            let is_about = |table: &&Table| asked == Asked::Port(table.protocol, table.port);
            if tables.iter().filter(is_about).any(|table| table.allows(pair) != passes) {
                faults.push(format!("{family:?} {pair:?} {asked:?} is another in the table"));
            }
            faults.extend(ends.into_iter().filter_map(Result::err));
        }
        faults
    }
}

#[test]
fn every_truth_table_holds_in_the_kernel_by_every_protocol() {
    on_node(pods().count(), |node| {
        let mut faults = Vec::new();
        for test in tests() {
            for family in [Family::V4, Family::V6] {
                let mut cluster = Cluster::new(family);
                for step in &test.steps {
                    cluster.take(&step.change);
                    let planned = Planned::of(cluster.compiled(), &Limits::default());
                    node.hold(&planned);
                    let faulty = test.pairs().flat_map(|pair| node.faults_of(&planned, family, pair, &step.tables));
                    faults.extend(faulty.map(|fault| format!("{}: {fault}", test.name)));
                }
            }
        }
        assert!(faults.is_empty(), "{}:\n{}", faults.len(), faults.join("\n"));
    });
}

#[test]
fn clusters_by_chance_are_judged_by_the_kernel_as_by_the_oracle() {
    on_node(PODS, |node| {
        let node = RefCell::new(node);
        let mut runner =
            TestRunner::new(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() });
        let tried = runner.run(&(policies(), state()), |(policies, state)| {
            let planned = Planned::new(policies, state);
            let mut node = node.borrow_mut();
            node.hold(&planned);
            for pod in planned.plan.pods.keys() {
                for peer in &planned.peers() {
                    for direction in Direction::ALL {
                        let ports = Protocol::ALL.into_iter().flat_map(|p| PORTS.map(|port| Asked::Port(p, port)));
                        for asked in ports.chain([Asked::Echo]) {
                            let compared = node.compared(&planned, *pod, direction, peer, asked);
                            prop_assert!(compared.as_ref().is_none_or(Result::is_ok), "{:?}", compared);
                        }
                    }
                }
            }
            Ok(())
        });
        tried.unwrap();
    });
}
