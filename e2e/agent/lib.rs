//! What the tests of the node agent share.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

pub mod bpffs;
pub mod frames;
pub mod guest;
pub mod netns;
pub mod runtime;
