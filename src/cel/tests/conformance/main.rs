//! The conformance suites that nobody here wrote, run against this crate. See `../shared/conformance/README.md`.

mod cel_spec;
mod cost;
mod estimate;
mod exceptions;
mod library;
mod rows;
mod types;
mod values;
