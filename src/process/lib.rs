//! What every long-lived process of Stockade has: log lines, a plain HTTP port, health, metrics.

pub mod logging;
pub mod operations;
pub mod plain;
