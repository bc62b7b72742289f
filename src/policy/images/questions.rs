//! What the expressions of an AdmissionPolicy ask about images ([`crate::image_library`]).

use std::sync::Arc;

use super::{Authority, ImageReference, RegistrySettings};

/// What some expression of one policy names. All of it is found out of an image that any of them looks into, so that
/// all they are told is about one digest.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageQuestions {
    /// Whose signatures.
    pub authorities: Vec<Arc<Authority>>,
    /// Which statements.
    pub attestations: Vec<Attested>,
    /// Whether platforms and configurations.
    pub details: bool,
    /// How registries are spoken to.
    pub registries: Vec<Arc<RegistrySettings>>,
}

/// A statement that may be asked about.
#[derive(Debug, Clone, PartialEq)]
pub struct Attested {
    /// As expressions name it; unique in the policy.
    pub name: Arc<str>,
    /// URI of the predicate's type, as in-toto statements have it.
    pub predicate_type: Arc<str>,
    /// Who may have signed it; at least one.
    pub authorities: Vec<Arc<Authority>>,
}

// === impl ImageQuestions ===

impl ImageQuestions {
    /// The authority of a name, if it is asked about.
    pub fn authority(&self, name: &str) -> Option<&Arc<Authority>> {
        self.authorities.iter().find(|a| *a.name == *name)
    }

    /// The attestation of a name, if it is asked about.
    pub fn attestation(&self, name: &str) -> Option<&Attested> {
        self.attestations.iter().find(|a| *a.name == *name)
    }

    /// The settings of the registry that an image is in, if this policy has any.
    pub fn registry(&self, image: &ImageReference) -> Option<&Arc<RegistrySettings>> {
        self.registries.iter().find(|r| &*r.host == image.registry())
    }
}
