//! The function libraries, each a file with its declarations, code and costs.

mod conversions;
pub mod declarations;
pub(crate) mod re2;
pub mod standard;
