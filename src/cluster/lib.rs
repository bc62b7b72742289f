//! Everything that talks to the API server: watches, own kinds, webhook registration, leases, audit and reports.
//!
//! Requests are decided from memory that the watches keep; only [`facts`] is on their path. Who writes to the
//! API server does so as leader ([`replicas`]), so that three replicas write once.

pub mod access;
pub mod agents;
pub mod audit;
mod authorizer;
pub mod certificates;
pub mod enforcement;
pub mod events;
pub mod facts;
pub mod failsafe;
pub mod flows;
pub mod identities;
pub mod images;
pub mod kinds;
mod object;
pub mod overview;
mod pages;
pub mod policies;
pub mod registration;
pub mod replicas;
pub mod reports;
pub mod resources;
pub mod static_files;
pub mod status;
mod store;
mod wait;
