//! Stockade: arguments to one of the verbs.
fn main() {}
