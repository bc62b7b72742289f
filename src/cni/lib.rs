//! The chained CNI plugin: holds a Pod's network until its policy is in the kernel.
//!
//! ```text
//! runtime ── environment, stdin ── call ── plugin ── links: the host's end of the Pod's interface
//!                                            └────── ask ── the agent's socket (gate) ── answer
//!            stdout: the result of the plugin before, unchanged; or a failure of the CNI specification
//! ```
//!
//! What it shares with the node agent is here too: [`links`], and what is said over the socket, [`gate`].

pub mod ask;
pub mod call;
pub mod failure;
pub mod gate;
pub mod links;
pub mod plugin;
