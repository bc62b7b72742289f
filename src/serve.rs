//! The composition of the webhook: policies in force, their watch, and the reviewer that the server calls.

pub(crate) mod live;
pub(crate) mod logging;
pub(crate) mod policy_metrics;
pub(crate) mod reviewer;
pub(crate) mod watch;
