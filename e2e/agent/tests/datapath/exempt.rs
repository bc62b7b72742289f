//! What no policy is asked about, and what is dropped without asking one.

use std::net::{IpAddr, Ipv6Addr};

use stockade_agent::kernel::{Hook, Outcome, Tables, Trial};
use stockade_e2e_agent::frames::{ACK, Packet, SYN, TCP, UDP, ethernet};

use crate::host::{Egress, FAMILIES, Host, INTERFACE, Ingress, Whom, accept, port};

const LINK: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 5));
const ROUTERS: IpAddr = IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2));
const NONE: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

#[test]
fn address_resolution_passes_and_what_is_not_ip_does_not() {
    let host = Host::isolated(&[]);
    for (kind, passes) in [(0x0806, true), (0x8100, false), (0x88cc, false), (0x0000, false)] {
        for direction in [Ingress, Egress] {
            assert_eq!(host.frame_passes(direction, &ethernet(kind, &[0; 46])), passes, "{kind:#x}");
        }
    }
    let (exempt, malformed) = (Outcome::Exempt, Outcome::Malformed);
    assert_eq!(
        host.counted(),
        [(Ingress, exempt, 1), (Ingress, malformed, 3), (Egress, exempt, 1), (Egress, malformed, 3)]
    );
}

#[test]
fn neighbours_are_found_by_an_isolated_pod_which_is_no_router() {
    let host = Host::isolated(&[]);
    let a = FAMILIES[1];
    let nd = |source, kind| Packet::icmp(source, ROUTERS, kind, &[0; 20]).hops(255);
    for kind in 133..=137 {
        assert!(host.passes(Ingress, &nd(a.peer, kind)), "{kind}");
        let of_pods = [133, 135, 136].contains(&kind);
        for source in [LINK, a.pod, NONE] {
            assert_eq!(host.passes(Egress, &nd(source, kind)), of_pods, "{kind} from {source}");
        }
        assert!(!host.passes(Egress, &nd(a.peer, kind)), "{kind} of another Pod");
        // What a router forwarded has fewer hops left.
        assert!(!host.passes(Ingress, &nd(a.peer, kind).hops(254)), "{kind} from afar");
        assert!(!host.passes(Ingress, &nd(a.peer, kind).fragment(0, true, 9)), "{kind} in fragments (RFC 6980)");
    }
}

#[test]
fn multicast_listeners_are_heard() {
    let host = Host::isolated(&[]);
    let mld = |source, kind| Packet::icmp(source, ROUTERS, kind, &[0; 20]).hops(1).extended(0, &[5, 2, 0, 0, 1, 0]);
    for (kind, of_pods) in [(130, false), (131, true), (132, true), (143, true)] {
        assert!(host.passes(Ingress, &mld(LINK, kind)), "{kind}");
        for source in [LINK, NONE] {
            assert_eq!(host.passes(Egress, &mld(source, kind)), of_pods, "{kind} from {source}");
        }
    }
}

#[test]
fn a_pod_sends_from_its_own_addresses_only() {
    let host = Host::new();
    for a in FAMILIES {
        assert!(host.passes(Egress, &Packet::udp((a.pod, 1), (a.peer, 53))));
        for source in [a.other, a.node, a.peer] {
            assert!(!host.passes(Egress, &Packet::udp((source, 1), (a.peer, 53))), "{source}");
        }
    }
    for source in [LINK, NONE] {
        assert!(!host.passes(Egress, &Packet::udp((source, 1), (FAMILIES[1].peer, 53))), "{source}");
    }
    assert!(!host.passes(Egress, &Packet::udp(("0.0.0.0".parse().unwrap(), 68), (FAMILIES[0].peer, 67))));
    assert_eq!(host.counted(), [(Egress, Outcome::Opened, 2), (Egress, Outcome::Spoofed, 9)]);
    // Together what differs in the source alone.
    let told: Vec<_> = host.told().into_iter().filter(|e| e.outcome == Outcome::Spoofed).map(|e| e.remote).collect();
    assert_eq!(told, [(FAMILIES[0].peer, 53), (FAMILIES[1].peer, 53), (FAMILIES[0].peer, 67)]);
}

#[test]
fn a_pod_has_no_connections_of_addresses_that_are_not_its_own() {
    let host = Host::new();
    for a in FAMILIES {
        // A bridge floods what is for others; the Pod cannot answer in their name.
        assert!(host.passes(Ingress, &Packet::udp((a.peer, 53), (a.other, 9))));
        assert!(!host.passes(Egress, &Packet::udp((a.other, 9), (a.peer, 53))));
    }
}

#[test]
fn the_pods_own_node_passes_both_ways() {
    let host = Host::isolated(&[]);
    for a in FAMILIES {
        assert!(host.passes(Ingress, &Packet::tcp((a.node, 40_000), (a.pod, 8_080), SYN)));
        assert!(host.passes(Egress, &Packet::tcp((a.pod, 8_080), (a.node, 40_000), SYN | ACK)));
        assert!(host.passes(Egress, &Packet::udp((a.pod, 9), (a.node, 53))));
        assert!(host.passes(Ingress, &Packet::ping(a.node, a.pod, 3)));
        assert!(host.passes(Ingress, &Packet::unreachable(a.node, a.pod, &Packet::udp((a.pod, 1), (a.other, 2)))));
    }
}

#[test]
fn a_pod_reaches_itself() {
    let host = Host::isolated(&[]);
    for a in FAMILIES {
        let packet = Packet::tcp((a.pod, 40_000), (a.pod, 80), SYN);
        assert!(host.passes(Egress, &packet));
        assert!(host.passes(Ingress, &packet));
    }
}

#[test]
fn an_interface_without_an_endpoint_passes_nothing() {
    let host = Host::new();
    host.kernel.endpoints().remove(&[INTERFACE]).unwrap();
    for a in FAMILIES {
        let packet = Packet::udp((a.peer, 1), (a.pod, 53));
        assert!(!host.passes(Ingress, &packet));
        assert!(!host.passes(Egress, &Packet::udp((a.pod, 53), (a.peer, 1))));
    }
    assert!(!host.frame_passes(Ingress, &ethernet(0x0806, &[0; 46])));
    let none = Outcome::NoEndpoint;
    assert_eq!(host.counted(), [(Ingress, none, 3), (Egress, none, 2)]);
}

#[test]
fn errors_pass_that_are_about_packets_of_known_connections() {
    let host = Host::isolated(&[
        accept(Egress, Whom::Everyone, vec![port(UDP, 53)]),
        accept(Ingress, Whom::Everyone, vec![port(TCP, 80)]),
    ]);
    for a in FAMILIES {
        let query = Packet::udp((a.pod, 999), (a.peer, 53));
        let request = Packet::tcp((a.peer, 999), (a.pod, 80), SYN);
        let router = a.other;
        // Nothing is known of them yet.
        assert!(!host.passes(Ingress, &Packet::unreachable(router, a.pod, &query)));
        assert!(!host.passes(Egress, &Packet::unreachable(a.pod, a.peer, &request)));
        assert!(host.passes(Egress, &query));
        assert!(host.passes(Ingress, &request));
        assert!(host.passes(Ingress, &Packet::unreachable(router, a.pod, &query)));
        assert!(host.passes(Egress, &Packet::unreachable(a.pod, a.peer, &request)));
        // About a packet that went the other way, or to another port, or from somebody else.
        assert!(!host.passes(Ingress, &Packet::unreachable(router, a.pod, &request)));
        let another = Packet::udp((a.pod, 999), (a.peer, 54));
        assert!(!host.passes(Ingress, &Packet::unreachable(router, a.pod, &another)));
        assert!(!host.passes(Egress, &Packet::unreachable(a.other, a.peer, &request)));
    }
    let counted = host.counted();
    let errors: Vec<_> =
        counted.into_iter().filter(|(_, o, _)| matches!(o, Outcome::Unrelated | Outcome::Spoofed)).collect();
    assert_eq!(
        errors,
        [(Ingress, Outcome::Unrelated, 6), (Egress, Outcome::Spoofed, 2), (Egress, Outcome::Unrelated, 2)]
            .into_iter()
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
    );
}

#[test]
fn what_a_pod_may_not_do_it_may_not_do_by_any_hook() {
    let host = Host::isolated(&[]);
    for a in FAMILIES {
        let frame = Packet::udp((a.pod, 1), (a.peer, 53)).frame();
        for hook in [Hook::FromPod(INTERFACE), Hook::Forwarded] {
            assert!(!host.kernel.run(&Trial { hook, frame: &frame, times: 1 }).unwrap().passes, "{hook:?}");
        }
    }
}
