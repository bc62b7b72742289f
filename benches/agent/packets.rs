//! What one packet costs in the programs themselves, without a network around them (`BPF_PROG_TEST_RUN`).

use std::net::{IpAddr, Ipv4Addr};

use stockade_agent::kernel::{Endpoint, Hook, Kernel, Tables, Trial};
use stockade_e2e_agent::frames::Packet;

use crate::median;
use crate::rows::{IDENTITIES, Row, TABLE};
use crate::traffic::ECHO;

/// The loopback interface, which every network namespace has.
const INTERFACE: u32 = 1;
/// Packets in a row, of which the kernel tells the average.
const IN_A_ROW: u32 = 50_000;
/// Rows of packets; the median is of so many.
const ROWS: usize = 21;
/// Flags of TCP.
const SYN: u8 = 2;
const ACK: u8 = 16;
const FIN: u8 = 1;

const POD: (IpAddr, u16) = (IpAddr::V4(Ipv4Addr::new(10, 77, 2, 2)), ECHO);
const PEER: (IpAddr, u16) = (IpAddr::V4(Ipv4Addr::new(10, 77, 1, 2)), 40_000);

/// Prints the table.
pub(crate) fn measure() {
    println!("\nOne packet in the programs, ns, medians of {ROWS} times {IN_A_ROW} in a row");
    println!("{:32} {:>12} {:>12} {:>12}", "", "goes on", "opens", "denied");
    for row in [Row::stockade(10), Row::stockade(10_000)] {
        let Row::Stockade { kernel, .. } = &row else { continue };
        for (address, identity) in [(POD.0, IDENTITIES), (PEER.0, IDENTITIES)] {
            kernel.identities().set(&[(address, identity)]).unwrap();
        }
        let IpAddr::V4(v4) = POD.0 else { continue };
        let endpoint = Endpoint { identity: IDENTITIES, table: TABLE, v4: Some(v4), ..Endpoint::default() };
        kernel.endpoints().set(&[(INTERFACE, endpoint)]).unwrap();
        // What opens and closes at once opens again each time.
        let opens = took(kernel, &Packet::tcp((PEER.0, 40_001), POD, SYN | FIN), true);
        took(kernel, &Packet::tcp(PEER, POD, SYN), true);
        let goes_on = took(kernel, &Packet::tcp(PEER, POD, ACK), true);
        let denied = took(kernel, &Packet::tcp(PEER, (POD.0, ECHO + 9), SYN), false);
        println!("{:32} {goes_on:>12} {opens:>12} {denied:>12}", row.title());
    }
}

/// In ns.
fn took(kernel: &Kernel, packet: &Packet, passes: bool) -> f64 {
    let frame = packet.frame();
    let trial = Trial { hook: Hook::ToPod(INTERFACE), frame: &frame, times: IN_A_ROW };
    let run = |_| {
        let tried = kernel.run(&trial).unwrap();
        assert_eq!(tried.passes, passes);
        tried.took.as_nanos() as f64
    };
    median((0..ROWS).map(run))
}
