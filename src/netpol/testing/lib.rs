//! Clusters with network policies, for tests: those of [`truth_tables`], and such by [`chance`]; and what the oracle says
//! of a packet in a cluster that is [`planned`]. The oracle, the tables for kernels, and the kernels themselves are tested
//! by the same.

#![expect(clippy::unwrap_used, reason = "a failed test ends in a panic")]

pub mod chance;
pub mod planned;
pub mod truth_tables;
