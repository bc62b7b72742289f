//! Request, compiled policies and cluster facts to a decision. Synchronous and without I/O.

pub mod decision;
pub mod equivalents;
pub mod facts;
pub mod index;
pub mod matcher;
pub mod request;
