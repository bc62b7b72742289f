//! The oracle beside what others expect, and beside a naive reading of the specification.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed test ends in a panic")]

mod analyzer;
mod api;
mod hostile;
mod naive;
mod plan;
mod planner;
mod recipes;
mod truth_tables;
