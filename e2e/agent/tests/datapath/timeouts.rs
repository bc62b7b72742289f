//! How long an entry lets replies pass: nobody waits, entries are made older in their map.

use std::time::Duration;

use libbpf_rs::{MapCore as _, MapFlags};
use stockade_e2e_agent::frames::{ACK, FIN, Packet, SCTP, SYN, TCP, UDP};

use crate::host::{Addresses, Egress, FAMILIES, Host, Ingress, Whom, accept, all_ports};

/// What a machine may be late by.
const SLACK: Duration = Duration::from_secs(30);

/// Generic routing encapsulation, of which nothing is known.
const GRE: u8 = 47;

/// Makes all connections older. `struct flow` begins with the time when it was last seen.
fn age(host: &Host, by: Duration) {
    let connections = host.map("conntrack");
    for key in connections.keys() {
        let mut flow = connections.lookup(&key, MapFlags::ANY).unwrap().unwrap();
        let (seen, _) = flow.split_first_chunk_mut::<8>().unwrap();
        let before = u64::from_ne_bytes(*seen).checked_sub(by.as_nanos() as u64).unwrap();
        *seen = before.to_ne_bytes();
        connections.update(&key, &flow, MapFlags::EXIST).unwrap();
    }
    host.forget_recent();
}

/// What opens a connection from the Pod, and a packet of the other side, which nothing but an entry lets in.
fn connection(a: Addresses, kind: &str) -> (Vec<Packet>, Packet) {
    let (pod, peer) = ((a.pod, 40_000), (a.peer, 80));
    let syn = Packet::tcp(pod, peer, SYN);
    match kind {
        "opening" => (vec![syn], Packet::tcp(peer, pod, SYN | ACK)),
        "established" => (vec![syn, Packet::tcp(peer, pod, SYN | ACK)], Packet::tcp(peer, pod, ACK)),
        "closing" => {
            let packets = vec![syn, Packet::tcp(peer, pod, SYN | ACK), Packet::tcp(pod, peer, FIN | ACK)];
            (packets, Packet::tcp(peer, pod, FIN | ACK))
        }
        "udp" => (vec![Packet::udp(pod, peer)], Packet::udp(peer, pod)),
        "sctp" => (vec![Packet::sctp(pod, peer, 1)], Packet::sctp(peer, pod, 2)),
        "echo" => (vec![Packet::ping(a.pod, a.peer, 7)], Packet::pong(a.peer, a.pod, 7)),
        _ => (vec![Packet::new(a.pod, a.peer, GRE, vec![0; 8])], Packet::new(a.peer, a.pod, GRE, vec![0; 8])),
    }
}

#[test]
fn an_entry_is_believed_as_long_as_its_protocol_needs_and_no_longer() {
    let kinds = [
        ("opening", TCP, 240),
        ("established", TCP, 7_440),
        ("closing", TCP, 240),
        ("udp", UDP, 300),
        ("sctp", SCTP, 300),
        ("echo", 0, 60),
        ("other", GRE, 600),
    ];
    let uptime = Duration::from_secs(rustix::time::clock_gettime(rustix::time::ClockId::Monotonic).tv_sec as u64);
    let host = Host::isolated(&[accept(Egress, Whom::Everyone, all_ports())]);
    for (kind, protocol, seconds) in kinds {
        let lifetime = Duration::from_secs(seconds);
        if uptime < lifetime + SLACK {
            eprintln!("left out: {kind}: this machine is younger than {lifetime:?}");
            continue;
        }
        for a in FAMILIES {
            for (older, passes) in [(lifetime - SLACK, true), (lifetime + Duration::from_secs(2), false)] {
                let (packets, answer) = connection(a, kind);
                assert!(protocol == 0 || answer.protocol == protocol);
                for packet in packets {
                    let direction = if packet.source == a.pod { Egress } else { Ingress };
                    assert!(host.passes(direction, &packet), "{packet:?}");
                }
                age(&host, older);
                assert_eq!(host.passes(Ingress, &answer), passes, "{kind} after {older:?}");
                host.forget();
            }
        }
    }
}

#[test]
fn what_passes_makes_an_entry_young_again() {
    let (a, host) = (FAMILIES[0], Host::isolated(&[accept(Egress, Whom::Everyone, all_ports())]));
    let (pod, peer) = ((a.pod, 40_000), (a.peer, 53));
    assert!(host.passes(Egress, &Packet::udp(pod, peer)));
    for _ in 0..3 {
        age(&host, Duration::from_secs(200));
        assert!(host.passes(Ingress, &Packet::udp(peer, pod)));
    }
}
