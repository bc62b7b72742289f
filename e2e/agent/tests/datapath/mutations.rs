//! Packets whose headers are changed where it matters: none opens what is denied. What passes is read a second time by a
//! plain reader, and must be what a rule accepts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use stockade_e2e_agent::frames::{Packet, SYN, TCP, UDP};
use stockade_netpol::policy::Direction;

use crate::host::{Addresses, Chance, Egress, FAMILIES, Host, Ingress, Whom, accept, port};

/// Frames by each family.
const FRAMES: usize = 20_000;

/// Protocols and extension headers that a header may say comes next.
const NEXT: [u8; 13] = [0, 1, 4, 6, 17, 41, 43, 44, 50, 58, 59, 60, 132];

/// What a plain reading of a frame says.
#[derive(Debug, PartialEq)]
struct Seen {
    source: IpAddr,
    destination: IpAddr,
    hops: u8,
    protocol: u8,
    /// What follows IP, none of a later fragment.
    payload: Option<Vec<u8>>,
}

/// Reads a frame without hurry; none where a header is not whole.
fn read(frame: &[u8]) -> Option<Seen> {
    let ip = frame.get(14..)?;
    match (frame.get(12..14)?, ip.first()? >> 4) {
        ([0x08, 0x00], 4) => {
            let header = usize::from(ip[0] & 15) * 4;
            let length = usize::from(u16::from_be_bytes([*ip.get(2)?, *ip.get(3)?]));
            let whole = ip.get(..length).filter(|_| header >= 20 && length >= header)?;
            let address = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(whole.get(at..at + 4)?).ok()?).into());
            let offset = u16::from_be_bytes([whole[6], whole[7]]) & 0x1fff;
            let payload = (offset == 0).then(|| whole[header..].to_vec());
            Some(Seen { source: address(12)?, destination: address(16)?, hops: whole[8], protocol: whole[9], payload })
        }
        ([0x86, 0xdd], 6) => {
            let length = 40 + usize::from(u16::from_be_bytes([*ip.get(4)?, *ip.get(5)?]));
            let whole = ip.get(..length)?;
            let address = |at: usize| Some(Ipv6Addr::from(<[u8; 16]>::try_from(whole.get(at..at + 16)?).ok()?).into());
            let (mut protocol, mut rest, mut is_later) = (whole[6], &whole[40..], false);
            while [0, 43, 44, 60].contains(&protocol) && !is_later {
                let header = if protocol == 44 { 8 } else { (usize::from(*rest.get(1)?) + 1) * 8 };
                is_later = protocol == 44 && u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?]) & 0xfff8 != 0;
                protocol = *rest.first()?;
                rest = rest.get(header..)?;
            }
            let payload = (!is_later).then(|| rest.to_vec());
            Some(Seen { source: address(8)?, destination: address(24)?, hops: whole[7], protocol, payload })
        }
        _ => None,
    }
}

/// Whether a frame may pass where nothing is known of any connection: TCP comes in to port 80, UDP goes out to port 53.
fn may_pass(seen: &Seen, a: Addresses, direction: Direction) -> bool {
    let Seen { source, destination, hops, protocol, payload } = seen;
    let remote = if direction == Egress { destination } else { source };
    if source == destination || FAMILIES.iter().any(|family| *remote == family.node) {
        return direction == Ingress || *source == a.pod;
    }
    let Some(payload) = payload else { return false };
    let to = payload.get(2..4).map(|port| u16::from_be_bytes([port[0], port[1]]));
    match (*protocol, direction) {
        // Neighbours and multicast listeners.
        (58, _) => matches!((payload.first(), hops), (Some(133..=137), 255) | (Some(130..=132 | 143), 1)),
        (TCP, Ingress) => to == Some(80) && payload.len() >= 20,
        (UDP, Egress) => to == Some(53) && payload.len() >= 8 && *source == a.pod,
        _ => false,
    }
}

/// A packet of any kind in a direction, its ports among those that rules are about and others.
fn any_packet(a: Addresses, direction: Direction, chance: &mut Chance) -> Packet {
    let (near, far) = if direction == Egress { (a.pod, a.peer) } else { (a.peer, a.pod) };
    let ports = [53, 80, 81, 0, 65_535];
    let (from, to) = ((near, chance.one_of(&ports)), (far, chance.one_of(&ports)));
    let mut packet = match chance.below(6) {
        0 => Packet::tcp(from, to, chance.one_of(&[SYN, 0x10, 0x12, 0x04, 0, 0xff])),
        1 => Packet::udp(from, to),
        2 => Packet::sctp(from, to, chance.byte() % 16),
        3 => Packet::ping(near, far, 7),
        // An error about a packet that never was, the headers of which may be cut.
        4 => Packet::unreachable(near, far, &Packet::udp(to, from)),
        _ => Packet::icmp(near, far, chance.byte(), &[0; 20]).hops(chance.one_of(&[1, 64, 255])),
    };
    if a.pod.is_ipv6() {
        for _ in 0..chance.below(4) {
            packet = packet.extended(chance.one_of(&[0, 43, 60]), &vec![0; 6 + 8 * chance.below(3)]);
        }
    }
    if chance.below(4) == 0 {
        packet = packet.fragment(chance.one_of(&[0, 1, 2, 185]), chance.below(2) == 0, 9);
    }
    packet
}

/// Changes a header where it matters.
fn change(frame: &mut Vec<u8>, is_v4: bool, chance: &mut Chance) {
    let end = frame.len();
    let header = if is_v4 { 34 } else { 54 };
    let (next, length, hops) = if is_v4 { (23, 17, 22) } else { (20, 19, 21) };
    match chance.below(9) {
        0 => frame[next] = chance.one_of(&NEXT),
        1 => frame[length] = chance.byte(),
        2 => frame[hops] = chance.one_of(&[0, 1, 64, 255]),
        // Length of IPv4's header, with options or without room for them; of IPv6, flags that mean nothing.
        3 => frame[14] = if is_v4 { 0x40 | (chance.byte() & 15) } else { 0x60 | (chance.byte() & 15) },
        4 if is_v4 => frame[20..22].copy_from_slice(&[chance.one_of(&[0, 0x20, 0x40, 1]), chance.one_of(&[0, 1, 185])]),
        // What the first extension header, or the transport, says.
        4 | 5 if end > header + 4 => frame[header + chance.below(4)] = chance.one_of(&NEXT),
        // Flags and length of TCP's header, or of what an error is about.
        6 if end > header + 14 => frame[header + 8 + chance.below(6)] = chance.byte(),
        7 => frame.truncate(header + chance.below(end - header + 1)),
        // Ends of addresses: others become the node's, or the Pod's own.
        8 => frame[header - 1 - chance.one_of(&if is_v4 { [0, 4] } else { [0, 16] })] = chance.one_of(&[1, 2, 3, 4, 5]),
        _ => frame.extend([0xff; 8]),
    }
}

#[test]
fn no_change_of_a_header_opens_what_is_denied() {
    let host = Host::isolated(&[
        accept(Ingress, Whom::Everyone, vec![port(TCP, 80)]),
        accept(Egress, Whom::Everyone, vec![port(UDP, 53)]),
    ]);
    let (mut chance, mut passed) = (Chance(0xf1e1d), [0; 2]);
    for a in FAMILIES {
        for _ in 0..FRAMES {
            let direction = chance.one_of(&Direction::ALL);
            let mut frame = any_packet(a, direction, &mut chance).frame();
            for _ in 0..chance.below(4) {
                change(&mut frame, a.pod.is_ipv4(), &mut chance);
            }
            // The kernel tries nothing that is shorter than IP's header.
            if host.tried(direction, &frame).is_ok_and(|tried| tried.passes) {
                let seen = read(&frame);
                let may = seen.as_ref().is_some_and(|seen| may_pass(seen, a, direction));
                assert!(may, "{direction:?} {frame:x?}: {seen:?}");
                passed[direction as usize] += 1;
                host.forget();
            }
        }
    }
    assert!(passed.iter().all(|count| *count > FRAMES / 100), "what may pass does: {passed:?}");
}
