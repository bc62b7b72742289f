//! Stockade against the real thing: a real etcd and kube-apiserver as the world, `kubectl` as the user, and the API
//! server's own policies as the oracle for ours.
//!
//! `e2e/tools/build` makes the binaries. Everything listens on loopback, lives in one temporary folder, and is ended
//! by the process ids that were written down, even when the test process is killed.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "this crate is test support: a broken fixture must stop the test"
)]
#![expect(clippy::print_stderr, reason = "tests say on stderr what they leave out")]

pub mod certificates;
pub mod client;
pub mod cluster;
pub mod conformance;
pub mod console;
pub mod cosign;
pub mod discovery;
pub mod documents;
pub mod helm;
pub mod images;
pub mod installed_kinds;
pub mod load;
pub mod nodes;
pub mod oracle;
pub mod reaper;
pub mod recorder;
pub mod registry;
pub mod service;
pub mod tools;
pub mod webhook;
