//! A connection that must be refused, tried on the very programs that hang on interfaces.
//!
//! An endpoint that no Pod has, under the loopback interface, is closed, and a packet to it judged by the kernel
//! (`BPF_PROG_TEST_RUN`) without being sent: it must be dropped. Then it has no table, and the same packet must pass.
//! That shows that the programs in this kernel drop by these maps what a table denies, and only that; that they hang on
//! Pods' interfaces is read back beside it.

use std::net::Ipv4Addr;

use crate::contents::{CANARY, CLOSED};
use crate::kernel::{Endpoint, Hook, Kernel, KernelError, Tables, Trial};

/// Addresses for documentation (RFC 5737), which nobody has.
const POD: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// See [`POD`].
const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// Tries it: none when all is as it must be, else what is not.
///
/// # Errors
/// The kernel's.
pub(super) fn attempt(kernel: &Kernel) -> Result<Option<&'static str>, KernelError> {
    let tried = judge(kernel);
    kernel.endpoints().remove(&[CANARY])?;
    let (closed, open) = tried?;
    Ok(match (closed, open) {
        (false, true) => None,
        (true, _) => Some("a packet passed that a table denies"),
        (false, false) => Some("a packet was dropped that no table is about"),
    })
}

/// Whether the packet passes: where the endpoint is closed, and where it has no table.
fn judge(kernel: &Kernel) -> Result<(bool, bool), KernelError> {
    let passes = |table, port| {
        let endpoint = Endpoint { table, v4: Some(POD), ..Endpoint::default() };
        kernel.endpoints().set(&[(CANARY, endpoint)])?;
        let frame = syn(port);
        Ok(kernel.run(&Trial { hook: Hook::ToPod(CANARY), frame: &frame, times: 1 })?.passes)
    };
    // Ports differ, so that neither is of a connection that the other opened.
    Ok((passes(CLOSED, 1)?, passes(0, 2)?))
}

/// The first packet of a TCP connection to a port.
fn syn(port: u16) -> [u8; 54] {
    let mut frame = [0; 54];
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    frame[14] = 0x45;
    frame[16..18].copy_from_slice(&40_u16.to_be_bytes());
    frame[22] = 64;
    frame[23] = 6;
    frame[26..30].copy_from_slice(&PEER.octets());
    frame[30..34].copy_from_slice(&POD.octets());
    frame[34..36].copy_from_slice(&1_u16.to_be_bytes());
    frame[36..38].copy_from_slice(&port.to_be_bytes());
    // Five words of header, SYN.
    frame[46] = 0x50;
    frame[47] = 0x02;
    frame
}
