//! What the tests of the node agent share.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

pub mod agent_binary;
pub mod agent_process;
pub mod bpffs;
pub mod frames;
pub mod guest;
pub mod hosts;
pub mod netns;
pub mod runtime;
pub mod told;
pub mod traffic;
