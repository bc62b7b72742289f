//! Request, compiled policies and cluster facts to a decision. Synchronous and without I/O.
//!
//! A webhook decodes an AdmissionReview into an arena, makes a [`request::Request`] of it and asks
//! [`engine::Engine::decide`]; the command line makes the review itself with [`request::RequestBuilder`]. What exists
//! in the cluster comes through [`facts::ClusterFacts`], of which [`folder_facts::FolderFacts`] is the one for files.

pub mod audit;
mod authorizer;
mod conditions;
mod conflicts;
mod consequence;
mod context;
pub mod conversion;
pub mod decision;
mod defaults;
pub mod engine;
pub mod equivalents;
pub mod essentials;
mod evaluate;
pub mod exceptions;
pub mod facts;
pub mod folder_facts;
mod groups;
pub mod host;
pub mod images;
pub mod index;
pub mod matcher;
mod mutate;
pub mod network;
pub mod outcome;
mod params;
mod pod_template;
pub mod request;
pub mod rollout;
pub mod shadow;
pub mod source_object;
mod validate;

pub use decision::Decision;
pub use engine::{DecideOptions, Engine, Verb};
pub use essentials::Essentials;
pub use facts::ClusterFacts;
pub use folder_facts::FolderFacts;
pub use request::{BadRequest, Request, RequestBuilder};
