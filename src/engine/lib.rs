//! Request, compiled policies and cluster facts to a decision. Synchronous and without I/O.

pub mod decision;
pub mod facts;
