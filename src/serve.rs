//! The composition of the webhook: what is in force, where it comes from, and the reviewer that the server calls.

pub(crate) mod cluster;
mod denials;
pub(crate) mod folders;
pub(crate) mod holds;
pub(crate) mod in_force;
pub(crate) mod leases;
pub(crate) mod policy_metrics;
pub(crate) mod reviewer;
mod waivers;
