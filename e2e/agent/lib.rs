//! What the tests of the node agent share.

pub mod guest;
