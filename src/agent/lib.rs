//! The node agent: keeps the kernel of one node equal to what network policies say, and tells what it did.

pub mod flows;
pub mod gate;
pub mod hold;
pub mod kernel;
