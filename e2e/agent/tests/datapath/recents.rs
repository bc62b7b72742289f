//! What a CPU remembers of what passed a moment ago: it spares looking a connection up, and says nothing else.

use libbpf_rs::MapCore as _;
use rustix::thread::{CpuSet, sched_setaffinity};
use stockade_agent::kernel::Endpoint;
use stockade_e2e_agent::frames::{ACK, FIN, Packet, RST, SYN};

use crate::host::{Egress, FAMILIES, Host, Ingress, TABLE, Whom, accept, all_ports, endpoint};

/// A moment is 0.1 s where the kernel counts in milliseconds, and a busy machine may take longer.
const ATTEMPTS: usize = 50;

/// Each CPU remembers for itself, so a test that asks what is remembered stays on one.
fn stay() {
    let mut cpus = CpuSet::new();
    cpus.set(rustix::thread::sched_getcpu());
    sched_setaffinity(None, &cpus).unwrap();
}

#[test]
fn what_passed_a_moment_ago_is_not_looked_up_again_until_a_policy_changes() {
    stay();
    for a in FAMILIES {
        let host = Host::isolated(&[accept(Egress, Whom::Everyone, all_ports())]);
        let (pod, peer) = ((a.pod, 40_000), (a.peer, 80));
        let connections = host.map("conntrack");
        let is_remembered = |_| {
            assert!(host.passes(Egress, &Packet::tcp(pod, peer, SYN)));
            assert!(host.passes(Ingress, &Packet::tcp(peer, pod, SYN | ACK)));
            for key in connections.keys().collect::<Vec<_>>() {
                connections.delete(&key).unwrap();
            }
            host.passes(Ingress, &Packet::tcp(peer, pod, ACK))
        };
        assert!((0..ATTEMPTS).any(is_remembered), "it passed just now");
        for (other, why) in [
            (Packet::tcp(peer, pod, FIN | ACK), "what closes is looked up"),
            (Packet::tcp(peer, pod, SYN | ACK), "what answers too: it may be of the next connection"),
            (Packet::tcp(peer, pod, RST), "likewise"),
            (Packet::tcp(peer, pod, SYN), "what opens is judged"),
            (Packet::udp(peer, pod), "another protocol"),
            (Packet::tcp((a.peer, 81), pod, ACK), "another port"),
            (Packet::tcp(peer, (a.pod, 40_001), ACK), "another port here"),
            (Packet::tcp((a.other, 80), pod, ACK), "another peer"),
        ] {
            assert!(!host.passes(Ingress, &other), "{why}");
        }
        host.endpoint(Endpoint { table: TABLE, generation: 2, ..endpoint() });
        assert!(!host.passes(Ingress, &Packet::tcp(peer, pod, ACK)), "another epoch");
    }
}
