//! The chained CNI plugin: holds a Pod's network until its policy is in the kernel.
//!
//! What it shares with the node agent is here too: which interface of the host is a Pod's ([`links`]), and what is said
//! over the socket between them ([`gate`]).

pub mod gate;
pub mod links;
