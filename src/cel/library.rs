//! The function libraries, each a file with its declarations, code and costs.

pub mod declarations;
pub(crate) mod re2;
