//! Connections: replies, policies that change, fragments.

use stockade_agent::kernel::{Endpoint, Established, Options, Outcome, Tables};
use stockade_e2e_agent::frames::{ACK, FIN, Packet, RST, SCTP, SYN, TCP, UDP};

use crate::host::{Egress, FAMILIES, Host, INTERFACE, Ingress, TABLE, Whom, accept, all_ports, endpoint, port, sizes};

#[test]
fn replies_pass_whatever_the_policy_of_their_direction_says() {
    let host = Host::isolated(&[accept(Ingress, Whom::Everyone, vec![port(TCP, 80), port(SCTP, 80), port(UDP, 80)])]);
    for a in FAMILIES {
        let (client, server) = ((a.peer, 40_000), (a.pod, 80));
        let cases = [
            (Packet::tcp(client, server, SYN), Packet::tcp(server, client, SYN | ACK)),
            (Packet::udp(client, server), Packet::udp(server, client)),
            (Packet::sctp(client, server, 1), Packet::sctp(server, client, 2)),
        ];
        for (request, reply) in cases {
            assert!(!host.passes(Egress, &reply), "before: {reply:?}");
            assert!(host.passes(Ingress, &request));
            assert!(host.passes(Egress, &reply), "after: {reply:?}");
        }
    }
    let counted = host.counted();
    assert_eq!(
        counted,
        [(Ingress, Outcome::Opened, 6), (Egress, Outcome::Established, 6), (Egress, Outcome::Denied, 6),]
    );
}

#[test]
fn a_connection_lets_its_peer_open_no_other() {
    let host = Host::isolated(&[accept(Egress, Whom::Everyone, all_ports())]);
    for a in FAMILIES {
        let (pod, peer) = ((a.pod, 40_000), (a.peer, 80));
        assert!(host.passes(Egress, &Packet::tcp(pod, peer, SYN)));
        assert!(host.passes(Ingress, &Packet::tcp(peer, pod, SYN | ACK)));
        // The same ports the other way around: a connection that the peer asks for.
        assert!(!host.passes(Ingress, &Packet::tcp(peer, pod, SYN)));
        assert!(host.passes(Ingress, &Packet::tcp(peer, pod, ACK)), "the first one goes on");
        assert!(host.passes(Egress, &Packet::sctp(pod, peer, 1)));
        assert!(host.passes(Ingress, &Packet::sctp(peer, pod, 2)));
        assert!(!host.passes(Ingress, &Packet::sctp(peer, pod, 1)));
        assert!(!host.passes(Ingress, &Packet::tcp((a.peer, 81), pod, SYN | ACK)), "another port");
        assert!(!host.passes(Ingress, &Packet::tcp((a.other, 80), pod, SYN | ACK)), "another peer");
        assert!(!host.passes(Ingress, &Packet::udp(peer, pod)), "another protocol");
    }
}

#[test]
fn an_echo_is_for_who_asked() {
    let host = Host::isolated(&[accept(Egress, Whom::Everyone, all_ports())]);
    for a in FAMILIES {
        assert!(host.passes(Egress, &Packet::ping(a.pod, a.peer, 77)));
        assert!(host.passes(Ingress, &Packet::pong(a.peer, a.pod, 77)));
        assert!(!host.passes(Ingress, &Packet::pong(a.peer, a.pod, 78)));
        assert!(!host.passes(Ingress, &Packet::ping(a.peer, a.pod, 77)));
    }
}

#[test]
fn a_new_generation_has_connections_judged_again_as_they_were_opened() {
    let host = Host::isolated(&[accept(Ingress, Whom::Everyone, vec![port(TCP, 80), port(TCP, 81)])]);
    host.table(TABLE + 1, true, &[accept(Ingress, Whom::Everyone, vec![port(TCP, 80)])]);
    for (number, a) in FAMILIES.into_iter().enumerate() {
        let generation = 10 * (number as u32 + 1);
        host.endpoint(Endpoint { table: TABLE, generation, ..endpoint() });
        let client = (a.peer, 40_000);
        for port in [80, 81] {
            assert!(host.passes(Ingress, &Packet::tcp(client, (a.pod, port), SYN)));
            assert!(host.passes(Egress, &Packet::tcp((a.pod, port), client, SYN | ACK)));
        }
        host.endpoint(Endpoint { table: TABLE + 1, generation: generation + 1, ..endpoint() });
        // By a reply, whose own direction nothing opens.
        for (port, passes) in [(80, true), (81, false)] {
            assert_eq!(host.passes(Egress, &Packet::tcp((a.pod, port), client, ACK)), passes, "{port}");
            assert_eq!(host.passes(Ingress, &Packet::tcp(client, (a.pod, port), ACK)), passes, "{port}");
        }
    }
    let denied = |e: &stockade_agent::kernel::Event| e.outcome == Outcome::Denied;
    let told: Vec<_> = host.told().into_iter().filter(denied).map(|e| (e.direction, e.local.1)).collect();
    assert_eq!(told, [(Ingress, 81), (Ingress, 81)], "told in the direction in which it was opened");
}

#[test]
fn connections_are_kept_where_that_is_chosen_but_not_with_somebody_else() {
    let host = Host::with(&Options { sizes: sizes(), established: Established::Keep, ..Options::default() });
    host.table(TABLE, true, &[]);
    for (number, a) in FAMILIES.into_iter().enumerate() {
        let generation = 10 * (number as u32 + 1);
        host.endpoint(Endpoint { generation, ..endpoint() });
        let (pod, peer) = ((a.pod, 40_000), (a.peer, 80));
        assert!(host.passes(Egress, &Packet::tcp(pod, peer, SYN)));
        host.endpoint(Endpoint { table: TABLE, generation: generation + 1, ..endpoint() });
        assert!(host.passes(Ingress, &Packet::tcp(peer, pod, SYN | ACK)));
        assert!(!host.passes(Egress, &Packet::tcp((a.pod, 40_001), peer, SYN)), "a new one is judged");
        host.kernel.identities().set(&[(a.peer, 4_712)]).unwrap();
        assert!(!host.passes(Ingress, &Packet::tcp(peer, pod, ACK)), "the address is somebody else's");
    }
}

#[test]
fn an_address_that_changes_hands_takes_no_connection_along() {
    let host = Host::isolated(&[accept(Egress, Whom::Identity(crate::host::PEER), vec![port(UDP, 53)])]);
    for a in FAMILIES {
        let (pod, peer) = ((a.pod, 40_000), (a.peer, 53));
        assert!(host.passes(Egress, &Packet::udp(pod, peer)));
        host.kernel.identities().set(&[(a.other, 5_000)]).unwrap();
        assert!(host.passes(Ingress, &Packet::udp(peer, pod)), "nobody of this connection has changed");
        host.kernel.identities().remove(&[a.peer]).unwrap();
        assert!(!host.passes(Ingress, &Packet::udp(peer, pod)));
        assert!(!host.passes(Egress, &Packet::udp(pod, peer)));
    }
}

#[test]
fn an_endpoint_that_is_gone_ends_its_connections() {
    let host = Host::new();
    let a = FAMILIES[0];
    assert!(host.passes(Egress, &Packet::udp((a.pod, 1), (a.peer, 53))));
    host.kernel.endpoints().remove(&[INTERFACE]).unwrap();
    assert!(!host.passes(Egress, &Packet::udp((a.pod, 1), (a.peer, 53))));
}

#[test]
fn ports_that_are_used_again_are_judged_again() {
    let host = Host::isolated(&[accept(Ingress, Whom::Everyone, vec![port(TCP, 80)])]);
    for a in FAMILIES {
        let (client, server) = ((a.peer, 40_000), (a.pod, 80));
        for end in [FIN | ACK, RST] {
            assert!(host.passes(Ingress, &Packet::tcp(client, server, SYN)));
            assert!(host.passes(Egress, &Packet::tcp(server, client, SYN | ACK)));
            assert!(host.passes(Egress, &Packet::tcp(server, client, end)));
        }
    }
    assert_eq!(host.counted(), [(Ingress, Outcome::Opened, 4), (Egress, Outcome::Established, 8)]);
}

#[test]
fn later_fragments_pass_after_their_first() {
    let host = Host::isolated(&[accept(Ingress, Whom::Everyone, vec![port(UDP, 53)])]);
    for a in FAMILIES {
        let to = |port, id| Packet::udp((a.peer, 9), (a.pod, port)).fragment(0, true, id);
        let later = |id, more| Packet::new(a.peer, a.pod, UDP, vec![0xaa; 16]).fragment(2, more, id);
        assert!(!host.passes(Ingress, &later(1, false)), "its first is not there yet");
        assert!(host.passes(Ingress, &to(53, 1)));
        assert!(host.passes(Ingress, &later(1, true)));
        assert!(host.passes(Ingress, &later(1, false)));
        assert!(!host.passes(Ingress, &later(2, false)), "of another packet");
        assert!(!host.passes(Ingress, &to(54, 3)));
        assert!(!host.passes(Ingress, &later(3, false)), "its first did not pass");
        assert!(!host.passes(Egress, &Packet::new(a.pod, a.peer, UDP, vec![0; 8]).fragment(2, false, 1)));
        // Whole all the same (RFC 6946).
        assert!(host.passes(Ingress, &Packet::udp((a.peer, 10), (a.pod, 53)).fragment(0, false, 4)));
    }
    let (opened, established, denied, fragment) =
        (Outcome::Opened, Outcome::Established, Outcome::Denied, Outcome::Fragment);
    assert_eq!(
        host.counted(),
        [
            (Ingress, established, 4),
            (Ingress, opened, 4),
            (Ingress, denied, 2),
            (Ingress, fragment, 6),
            (Egress, fragment, 2),
        ]
    );
}
