//! The node agent: keeps the kernel of one node equal to what network policies say, and tells what it did.
//!
//! Data flow: watches ([`inputs`]) and interfaces ([`interfaces`], [`hold`]) → [`desired`], a function → [`apply`], in an
//! order in which no packet is judged by half of it → [`kernel`]; what nothing asks for any more goes later ([`stale`]).

pub mod agent;
pub mod apply;
pub mod cli;
pub mod contents;
pub mod desired;
pub mod enforcement;
pub mod flows;
pub mod gate;
pub mod hold;
pub mod inputs;
pub mod interfaces;
pub mod keeper;
pub mod kernel;
pub mod memory;
pub mod metrics;
pub mod packets;
pub mod places;
pub mod quiescence;
pub mod readback;
pub mod run;
pub mod stale;
pub mod waiting;

/// Bytes in hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
