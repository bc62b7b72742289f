//! A packet judged without being sent (`BPF_PROG_TEST_RUN`).

use std::time::Duration;

use libbpf_rs::ProgramInput;

use super::error::KernelError;
use super::objects::{FROM_POD, Objects, TO_POD};

/// A frame, as if it came by.
#[derive(Debug, Clone, Copy)]
pub struct Trial<'a> {
    /// Where.
    pub hook: Hook,
    /// Ethernet header and what follows; at least 14 bytes.
    pub frame: &'a [u8],
    /// How often in a row, 1 at least; all count.
    pub times: u32,
}

/// Where a frame comes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// From the Pod with this interface, of the caller's network namespace. 1 is the loopback interface.
    FromPod(u32),
    /// To the Pod with this interface.
    ToPod(u32),
    /// Forwarded, behind address translation.
    Forwarded,
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tried {
    /// Whether it passes.
    pub passes: bool,
    /// What judging it took, on average.
    pub took: Duration,
}

/// `TCX_NEXT`, which is `TC_ACT_UNSPEC` of clsact: whoever comes next decides.
const NEXT: u32 = u32::MAX;
/// `NF_ACCEPT`.
const ACCEPT: u32 = 1;
/// Up to the field `ifindex` of `struct __sk_buff`, which begins at byte 40; the kernel takes the rest as zero.
const SK_BUFF_BYTES: usize = 44;
/// `struct nf_hook_state`, of which the kernel takes hook and protocol family.
const NF_HOOK_STATE_BYTES: usize = 48;

pub(super) fn run(objects: &Objects, trial: &Trial<'_>) -> Result<Tried, KernelError> {
    let refused = || KernelError::refused("judging a frame that is tried");
    let mut packet = [0; SK_BUFF_BYTES];
    let mut state = [0; NF_HOOK_STATE_BYTES];
    let mut tc = |name, interface: u32| {
        packet[SK_BUFF_BYTES - 4..].copy_from_slice(&interface.to_ne_bytes());
        objects.program(name)
    };
    let (program, accepted) = match trial.hook {
        Hook::FromPod(interface) => (tc(FROM_POD, interface)?, NEXT),
        Hook::ToPod(interface) => (tc(TO_POD, interface)?, NEXT),
        Hook::Forwarded => {
            let v6 = trial.frame.get(12..14) == Some(&[0x86, 0xdd]);
            let family = if v6 { libc::NFPROTO_IPV6 } else { libc::NFPROTO_IPV4 };
            state[..2].copy_from_slice(&[libc::NF_INET_FORWARD as u8, family as u8]);
            let program = objects.translation().map_err(|refused| KernelError::Refused {
                doing: refused,
                source: libbpf_rs::Error::from_raw_os_error(libc::EOPNOTSUPP),
            })?;
            (program, ACCEPT)
        }
    };
    let context: &mut [u8] = if trial.hook == Hook::Forwarded { &mut state } else { &mut packet };
    let input = ProgramInput {
        context_in: Some(context),
        data_in: Some(trial.frame),
        repeat: trial.times,
        ..ProgramInput::default()
    };
    let output = program.test_run(input).map_err(refused())?;
    Ok(Tried { passes: output.return_value == accepted, took: output.duration })
}
