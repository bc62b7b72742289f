//! Request, compiled policies and cluster facts to a decision. Synchronous and without I/O.

pub mod decision;
pub mod equivalents;
pub mod facts;
pub mod folder_facts;
pub mod host;
pub mod index;
pub mod matcher;
pub mod network;
pub mod request;
