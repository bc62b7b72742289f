//! What a Kubernetes 1.36 API server knows of its built-in kinds, and the pure operations that need it.
//!
//! The facts come from a real server (`make generate`) and are compiled in.

pub mod image_name;
mod json;
pub mod json_patch;
pub mod kinds;
pub mod merge;
pub mod normalise;
mod nulls;
pub mod shape;

pub use kinds::{Kind, Kinds, Resource, Scope, Subresource};
pub use shape::{Field, ListKind, Presence, Shape, StringFormat, TypeId};
