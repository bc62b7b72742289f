//! What cannot be read does not pass: every header cut off at every byte, lengths that lie, chains without end.

use stockade_agent::kernel::Outcome;
use stockade_e2e_agent::frames::{Packet, SYN, TCP, UDP, ethernet};

use crate::host::{Addresses, Chance, Egress, FAMILIES, Host, Ingress, tally};

/// Hop-by-hop options, routing, destination options.
const EXTENSIONS: [u8; 3] = [0, 43, 60];

fn of_every_kind(a: Addresses) -> Vec<Packet> {
    let (peer, pod) = ((a.peer, 1_000), (a.pod, 80));
    let mut all = vec![
        Packet::tcp(peer, pod, SYN),
        Packet::udp(peer, pod),
        Packet::sctp(peer, pod, 1),
        Packet::ping(a.peer, a.pod, 1),
        Packet::unreachable(a.peer, a.pod, &Packet::udp(pod, peer)),
        Packet::udp(peer, pod).fragment(0, true, 1),
    ];
    if a.pod.is_ipv6() {
        all.push(EXTENSIONS.into_iter().fold(Packet::tcp(peer, pod, SYN), |p, kind| p.extended(kind, &[0; 6])));
        all.push(
            EXTENSIONS.into_iter().fold(Packet::udp(peer, pod).fragment(0, true, 2), |p, k| p.extended(k, &[0; 14])),
        );
    }
    all
}

#[test]
fn a_packet_that_is_cut_off_anywhere_does_not_pass() {
    let host = Host::new();
    let (mut cut, mut whole) = (0, 0);
    for a in FAMILIES {
        for packet in of_every_kind(a) {
            let frame = packet.frame();
            let header = 14 + if a.pod.is_ipv4() { 20 } else { 40 };
            for end in 1..frame.len() {
                match host.tried(Ingress, &frame[..end]) {
                    Ok(tried) => {
                        assert!(!tried.passes, "{end} bytes of {packet:?}");
                        cut += 1;
                    }
                    Err(error) => assert!(end < header, "{end} bytes of {packet:?}: {error}"),
                }
            }
            assert!(host.frame_passes(Ingress, &frame), "{packet:?}");
            whole += 1;
        }
    }
    let counted = tally(&host.counted());
    assert_eq!(counted.values().sum::<u64>(), cut + whole);
    assert_eq!(counted[&(Ingress, Outcome::Malformed)], cut);
}

#[test]
fn a_header_that_is_cut_off_by_its_own_length_does_not_pass() {
    let host = Host::new();
    for a in FAMILIES {
        for packet in of_every_kind(a).into_iter().filter(|p| p.extensions.is_empty() && p.fragment.is_none()) {
            let least = match packet.protocol {
                TCP => 20,
                132 => 12,
                _ => 8,
            };
            for length in 0..least {
                let mut frame = Packet { payload: packet.payload[..length].to_vec(), ..packet.clone() }.frame();
                // Bytes behind the packet are padding, whatever they say.
                frame.extend(&packet.payload[length..]);
                frame.extend([0; 46]);
                assert!(!host.frame_passes(Ingress, &frame), "{length} bytes of {packet:?}");
            }
        }
    }
}

#[test]
fn padding_behind_a_packet_is_nothing() {
    let host = Host::new();
    for a in FAMILIES {
        for packet in of_every_kind(a) {
            let mut frame = packet.frame();
            frame.extend([0xff; 60]);
            assert!(host.frame_passes(Ingress, &frame), "{packet:?}");
        }
    }
}

#[test]
fn lengths_and_versions_that_lie_do_not_pass() {
    let host = Host::new();
    let [v4, v6] = FAMILIES;
    let frame4 = Packet::tcp((v4.peer, 1), (v4.pod, 80), SYN).frame();
    let frame6 = Packet::tcp((v6.peer, 1), (v6.pod, 80), SYN).frame();
    // Where in the frame, what instead, of which family.
    let cases: [(usize, &[u8], &[u8]); 12] = [
        (14, &[0x55], &frame4),
        (14, &[0x65], &frame4),
        (14, &[0x44], &frame4),
        (14, &[0x4f], &frame4),
        (16, &[0, 0], &frame4),
        (16, &[0, 19], &frame4),
        (16, &[0xff, 0xff], &frame4),
        (34 + 12, &[0x40], &frame4),
        (34 + 12, &[0xf0], &frame4),
        (14, &[0x40], &frame6),
        (18, &[0xff, 0xff], &frame6),
        (18, &[0, 0], &frame6),
    ];
    for (at, bytes, frame) in cases {
        let mut changed = frame.to_vec();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        assert!(!host.frame_passes(Ingress, &changed), "{bytes:x?} at {at}");
    }
    assert!(!host.frame_passes(Ingress, &ethernet(0x0800, &frame6[14..])));
    assert!(!host.frame_passes(Ingress, &ethernet(0x86dd, &frame4[14..])));
    assert_eq!(tally(&host.counted())[&(Ingress, Outcome::Malformed)], 14);
}

#[test]
fn chains_of_extension_headers_end() {
    let host = Host::new();
    let a = FAMILIES[1];
    let packet =
        |headers: usize| (0..headers).fold(Packet::udp((a.peer, 1), (a.pod, 53)), |p, _| p.extended(60, &[0; 6]));
    for (headers, passes) in [(1, true), (7, true), (8, false), (40, false)] {
        assert_eq!(host.passes(Ingress, &packet(headers)), passes, "{headers}");
    }
    let udp = || Packet::udp((a.peer, 1), (a.pod, 53));
    assert!(!host.passes(Ingress, &udp().extended(60, &[0; 6]).extended(0, &[0; 6])), "hop by hop is the first");
    assert!(host.passes(Ingress, &udp().extended(43, &[0, 0, 0, 0, 0, 0])), "a route that was gone");
    assert!(!host.passes(Ingress, &udp().extended(43, &[0, 1, 0, 0, 0, 0])), "it is not for the Pod yet");
    // Its body would begin behind the packet.
    let mut frame = udp().extended(60, &[0; 6]).frame();
    frame[14 + 41] = 255;
    assert!(!host.frame_passes(Ingress, &frame));
}

#[test]
fn fragments_that_hide_headers_do_not_pass() {
    let host = Host::new();
    for a in FAMILIES {
        let mut tiny = Packet::tcp((a.peer, 1), (a.pod, 80), SYN).fragment(0, true, 1);
        tiny.payload.truncate(16);
        assert!(!host.passes(Ingress, &tiny), "flags of TCP in the second (RFC 1858)");
    }
    let a = FAMILIES[0];
    assert!(host.passes(Ingress, &Packet::tcp((a.peer, 1), (a.pod, 80), SYN).fragment(0, true, 2)));
    assert!(!host.passes(Ingress, &Packet::new(a.peer, a.pod, TCP, vec![0; 16]).fragment(1, false, 2)), "RFC 3128");
    let twice = Packet::udp((a.peer, 1), (a.pod, 80)).fragment(0, true, 3);
    assert!(host.passes(Ingress, &twice));
}

#[test]
fn nothing_that_is_made_by_chance_passes_where_nothing_may() {
    let host = Host::isolated(&[]);
    let mut chance = Chance(0x5eed);
    let mut frames = 0;
    for a in FAMILIES {
        for packet in of_every_kind(a) {
            let frame = packet.frame();
            for _ in 0..2_000 {
                let mut changed = frame.clone();
                for _ in 0..=chance.below(4) {
                    let at = 14 + chance.below(changed.len() - 14);
                    changed[at] = chance.byte();
                }
                for direction in [Ingress, Egress] {
                    // But what is exempt by being what it says.
                    let before = exempt(&host);
                    assert!(!host.frame_passes(direction, &changed) || exempt(&host) > before, "{changed:x?}");
                    frames += 1;
                }
            }
        }
    }
    assert_eq!(tally(&host.counted()).values().sum::<u64>(), frames);
}

fn exempt(host: &Host) -> u64 {
    let counted = tally(&host.counted());
    [Ingress, Egress].into_iter().filter_map(|d| counted.get(&(d, Outcome::Exempt))).sum::<u64>() + node(&counted)
}

/// By chance a source becomes the node's.
fn node(counted: &std::collections::BTreeMap<(stockade_netpol::policy::Direction, Outcome), u64>) -> u64 {
    let passed = |(key, packets): (&(_, Outcome), &u64)| {
        matches!(key.1, Outcome::Opened | Outcome::Established).then_some(*packets)
    };
    counted.iter().filter_map(passed).sum()
}

#[test]
fn udp_of_no_data_is_whole() {
    let host = Host::new();
    for a in FAMILIES {
        let mut packet = Packet::udp((a.peer, 1), (a.pod, 53));
        packet.payload.truncate(8);
        assert!(host.passes(Ingress, &packet));
        assert_eq!(packet.protocol, UDP);
    }
}
