//! The conformance suites that nobody here wrote, run against this crate. See `../shared/conformance/README.md`.
#![expect(clippy::panic, clippy::print_stderr, reason = "a test says what it leaves out and what is wrong with a row")]

mod cel_spec;
mod cost;
mod estimate;
mod exceptions;
mod library;
mod rows;
mod types;
mod values;
