//! What the programs of this folder share: inputs, clocks, a client, and the table they print.

pub mod client;
pub mod expressions;
pub mod inputs;
pub mod measure;
pub mod registry;
pub mod reviewer;
pub mod signed;
