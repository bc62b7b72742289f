//! The own kinds as the API server knows them: AdmissionPolicy, ImagePolicy, PolicyException and NamespaceGroup of
//! `stockade.dev/v1alpha1`, their schemas, and the CustomResourceDefinitions that `make generate` writes.
//!
//! The schema refuses what it can without reading expressions, so that a typing mistake is refused even while no
//! replica runs. The reader of `stockade_policy` judges an object once more and compiles it; a test holds the two
//! together field by field.

#![expect(unreachable_pub, reason = "the derive of a schema copies each type into a function")]
#![expect(clippy::duplicated_attributes, reason = "each printer column has a type")]

pub mod admission_policy;
pub mod definitions;
pub mod expressions;
pub mod image_policy;
pub mod image_trust;
pub mod namespace_group;
pub mod policy_exception;
pub mod policy_fields;
pub mod selector;

pub use admission_policy::AdmissionPolicy;
pub use image_policy::ImagePolicy;
pub use namespace_group::NamespaceGroup;
pub use policy_exception::PolicyException;

#[cfg(test)]
mod tests;
