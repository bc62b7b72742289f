//! Authorities with their keys and roots read: what signatures are verified against.

use std::sync::Arc;

use stockade_policy::images::authority::{HashAlgorithm, KeySource, Need, TrustedRoot};
use stockade_policy::images::{Authority, AuthorityKind};

use super::Rejected;
use super::chain::{Roots, RootsError};
use super::keys::{KeyError, PublicKey};
use super::root::{TrustRoot, TrustRootError};

/// An authority of a policy, ready to verify.
#[derive(Debug)]
pub struct ResolvedAuthority {
    /// As the policy has it: its needs and identities.
    pub(super) authority: Arc<Authority>,
    pub(super) trusted: Trusted,
    /// The Sigstore instance whose logs and clocks count; none where neither is asked for.
    root: Option<TrustRoot>,
}

/// What members of Secrets and ConfigMaps hold that an authority names.
#[derive(Debug, Clone, Copy, Default)]
pub struct Texts<'a> {
    /// The public key, where it is in a Secret.
    pub key: Option<&'a str>,
    /// The trusted root, where it is in a ConfigMap.
    pub trusted_root: Option<&'a str>,
}

/// What of an authority had to be read.
#[derive(Debug)]
pub(super) enum Trusted {
    Key {
        key: PublicKey,
        hash: HashAlgorithm,
    },
    /// The trusted root vouches.
    Keyless,
    Certificates(Roots),
    /// A trust store of the type `ca`.
    Notation(Roots),
}

/// Why an authority cannot verify anything.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A Secret or ConfigMap that it names was not given.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// Its key.
    #[error("key: {0}")]
    Key(#[from] KeyError),
    /// Its roots.
    #[error("certificates: {0}")]
    Roots(#[from] RootsError),
    /// Its trusted root.
    #[error("trusted root: {0}")]
    TrustRoot(#[from] TrustRootError),
}

// === impl ResolvedAuthority ===

impl ResolvedAuthority {
    /// Reads keys, certificates and the trusted root of an authority.
    ///
    /// # Errors
    /// When one of them is missing or cannot be used.
    pub fn new(authority: &Arc<Authority>, texts: Texts<'_>) -> Result<Self, AuthorityError> {
        let trusted = match &authority.kind {
            AuthorityKind::Key(key) => {
                let pem = match &key.source {
                    KeySource::Inline(pem) => pem,
                    KeySource::Secret(_) => texts.key.ok_or(AuthorityError::Missing("the key's Secret"))?,
                };
                Trusted::Key { key: PublicKey::from_pem(pem)?, hash: key.hash }
            }
            AuthorityKind::Keyless { .. } => Trusted::Keyless,
            AuthorityKind::Certificates { roots, intermediates, .. } => {
                Trusted::Certificates(Roots::from_pem(roots, intermediates)?)
            }
            AuthorityKind::Notation { trust_store, .. } => Trusted::Notation(Roots::from_pem(trust_store, "")?),
        };
        let is_wanted = matches!(trusted, Trusted::Keyless)
            || authority.transparency_log == Need::Required
            || authority.timestamp == Need::Required;
        let root = match &authority.trusted_root {
            _ if !is_wanted => None,
            TrustedRoot::PublicGood => Some(TrustRoot::public_good()?),
            TrustedRoot::Inline(json) => Some(TrustRoot::from_json(json)?),
            TrustedRoot::ConfigMap(_) => {
                let json = texts.trusted_root.ok_or(AuthorityError::Missing("the trusted root's ConfigMap"))?;
                Some(TrustRoot::from_json(json)?)
            }
        };
        Ok(Self { authority: Arc::clone(authority), trusted, root })
    }

    /// The trusted root, which is there wherever something is asked of it.
    pub(super) fn root(&self) -> Result<&TrustRoot, Rejected> {
        self.root.as_ref().ok_or_else(|| Rejected::invalid("the authority has no trusted root"))
    }
}
