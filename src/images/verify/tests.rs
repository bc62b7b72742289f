//! Forgeries, by what they forge.

mod conformance;
