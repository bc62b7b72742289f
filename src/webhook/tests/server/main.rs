//! The server as its callers see it: endpoints without a port, then real sockets on the loopback.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests end where something unforeseen happens")]

mod certificates;
mod corpus;
mod drain;
mod endpoints;
mod logs;
mod malformed;
mod sockets;
mod support;
