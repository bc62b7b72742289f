//! Services: what waits until its destination is known.

use stockade_agent::kernel::{Outcome, Tables, Translated};
use stockade_e2e_agent::frames::{ACK, Packet, SYN, TCP};
use stockade_e2e_agent::netns::in_new;
use stockade_netpol::plan::Prefix;

use crate::host::{Egress, FAMILIES, Host, Ingress, PEER, Whom, accept, port};

/// A Pod that may reach its peer's port 8080 alone, and a Service range behind which that peer may be.
fn host() -> Host {
    let host = Host::isolated(&[accept(Egress, Whom::Identity(PEER), vec![port(TCP, 8_080)])]);
    for a in FAMILIES {
        let bits = if a.service.is_ipv4() { 96 + 26 } else { 121 };
        host.kernel.services().set(&[(Prefix::of(a.service, bits), ())]).unwrap();
    }
    host
}

#[test]
fn a_service_is_judged_by_whom_it_leads_to() {
    in_new(|| {
        let host = host();
        assert_eq!(host.kernel.translate().unwrap(), Translated::Judged);
        assert!(host.kernel.translated());
        for a in FAMILIES {
            let from = (a.pod, 40_000);
            let asked = Packet::tcp(from, (a.service, 80), SYN);
            assert!(host.passes(Egress, &asked), "provisionally");
            // As the node translates it, then.
            assert!(host.forwards(&Packet::tcp(from, (a.peer, 8_080), SYN)));
            assert!(
                host.passes(Ingress, &Packet::tcp((a.service, 80), from, SYN | ACK)),
                "the answer, translated back"
            );
            assert!(host.passes(Egress, &Packet::tcp(from, (a.service, 80), ACK)));
            assert!(host.forwards(&Packet::tcp(from, (a.peer, 8_080), ACK)));
            for denied in [(a.peer, 8_081), (a.other, 8_080), (a.service, 80)] {
                assert!(!host.forwards(&Packet::tcp(from, denied, SYN)), "{denied:?}");
            }
        }
        let (opened, established, denied) = (Outcome::Opened, Outcome::Established, Outcome::Denied);
        assert_eq!(
            host.counted(),
            [(Ingress, established, 2), (Egress, established, 2), (Egress, opened, 2), (Egress, denied, 6)]
        );
        let told: Vec<_> = host.told().into_iter().map(|e| (e.outcome, e.remote)).collect();
        let expected = FAMILIES.map(|a| {
            [
                (opened, (a.peer, 8_080)),
                (denied, (a.peer, 8_081)),
                (denied, (a.other, 8_080)),
                (denied, (a.service, 80)),
            ]
        });
        assert_eq!(told, expected.concat(), "a Service is not told of, but whom it leads to");
    });
}

#[test]
fn a_service_is_judged_as_it_is_where_nothing_looks_behind_translation() {
    let host = host();
    assert!(!host.kernel.translated());
    for a in FAMILIES {
        assert!(!host.passes(Egress, &Packet::tcp((a.pod, 40_000), (a.service, 80), SYN)));
    }
}

#[test]
fn what_others_send_through_the_node_is_not_judged() {
    let host = Host::isolated(&[]);
    for a in FAMILIES {
        assert!(host.forwards(&Packet::tcp((a.peer, 1), (a.other, 80), SYN)));
        assert!(host.forwards(&Packet::tcp((a.node, 1), (a.other, 80), SYN)));
    }
    assert_eq!(host.counted(), []);
}

#[test]
fn what_a_pod_sends_without_services_is_judged_once() {
    let host = host();
    for a in FAMILIES {
        let packet = Packet::tcp((a.pod, 40_000), (a.peer, 8_080), SYN);
        assert!(host.passes(Egress, &packet));
        assert!(host.forwards(&packet));
    }
    assert_eq!(host.counted(), [(Egress, Outcome::Opened, 2)]);
    assert_eq!(host.told().len(), 2);
}
