//! What an ImagePolicy decides: which images it is about, who must have signed them, what must be attested, and what
//! becomes of tags. Compiled; nothing here looks at a registry.

use std::sync::Arc;

use crate::compiled::Validation;
use crate::selector::LabelSelector;

pub mod authority;
pub mod digest;
pub mod glob;
pub mod questions;
pub mod reference;
pub mod registry;

pub use authority::{Authority, AuthorityId, AuthorityKind};
pub use digest::Digest;
pub use glob::ImageGlob;
pub use questions::ImageQuestions;
pub use reference::ImageReference;
pub use registry::RegistrySettings;

/// Most globs of one policy, and most that it excludes.
pub const MAX_GLOBS: usize = 256;
/// Most authorities of one policy. Each is tried on every signature of an image.
pub const MAX_AUTHORITIES: usize = 16;
/// Most attestations that one policy asks for.
pub const MAX_ATTESTATIONS: usize = 16;
/// Most checks of one attestation.
pub const MAX_VALIDATIONS: usize = 64;
/// Most registries that one policy has settings for.
pub const MAX_REGISTRIES: usize = 32;

/// The rules of an ImagePolicy.
#[derive(Debug, Clone)]
pub struct ImageRules {
    /// Which images it is about; at least one.
    pub images: Vec<ImageGlob>,
    /// Which of them not.
    pub exclude: Vec<ImageGlob>,
    /// How many of the authorities must have signed.
    pub require: Require,
    /// Who may have signed; may be empty when only digests are required.
    pub authorities: Vec<Arc<Authority>>,
    /// What must be attested; all of it.
    pub attestations: Vec<Attestation>,
    /// What an image counts as whose registry does not answer, as it is written: see [`ImageRules::unavailable_of`].
    pub unavailable: Unavailable,
    /// What becomes of tags.
    pub digest: DigestRules,
    /// Whether some expression reads `image`, and so its platforms and configuration may be needed.
    pub details: bool,
    /// How registries are spoken to.
    pub registries: Vec<Arc<RegistrySettings>>,
}

/// How many authorities must have signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Require {
    /// One is enough.
    #[default]
    Any,
    /// Each of them.
    All,
}

/// What it means that a registry does not answer. Set apart from "not signed".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unavailable {
    /// The policy's actions, as if it were not signed.
    #[default]
    Deny,
    /// Admitted with a warning.
    Warn,
    /// Admitted; only a finding tells.
    Allow,
}

/// What becomes of tags.
#[derive(Debug, Clone, Default)]
pub struct DigestRules {
    /// `name:tag` becomes `name:tag@sha256:…`, the digest that was verified.
    pub mutate: bool,
    /// An image without a digest is refused.
    pub required: bool,
    /// Namespaces in which neither is done: where tags are kept in step by something else.
    pub except: Option<LabelSelector>,
}

/// A statement that must be there, signed, and hold.
#[derive(Debug, Clone)]
pub struct Attestation {
    /// For messages; unique in the policy.
    pub name: Arc<str>,
    /// URI of the predicate's type, as in-toto statements have it.
    pub predicate_type: Arc<str>,
    /// Who may have signed it; one is enough.
    pub authorities: Vec<Arc<Authority>>,
    /// All must hold of one statement that an authority signed.
    pub validations: Vec<Validation>,
}

// === impl ImageRules ===

impl ImageRules {
    /// Whether the policy is about an image.
    pub fn selects(&self, image: &ImageReference) -> bool {
        self.images.iter().any(|g| g.selects(image)) && !self.exclude.iter().any(|g| g.exempts(image))
    }

    /// The settings of the registry that an image is in, if this policy has any.
    pub fn registry(&self, image: &ImageReference) -> Option<&Arc<RegistrySettings>> {
        self.registries.iter().find(|r| &*r.host == image.registry())
    }

    /// What an image counts as whose registry does not answer. What the policy says holds for registries that it names: a
    /// glob such as `**` fits those too that whoever wants an image admitted has put up and lets be away.
    pub fn unavailable_of(&self, image: &ImageReference) -> Unavailable {
        let is_named = self.registry(image).is_some() || self.images.iter().any(|g| g.names_registry(image.registry()));
        if is_named { self.unavailable } else { Unavailable::Deny }
    }
}

impl Unavailable {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "Deny",
            Self::Warn => "Warn",
            Self::Allow => "Allow",
        }
    }
}
