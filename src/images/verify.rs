//! Whether a signature or attestation that lies in a registry is one of an authority, over this very image.
//!
//! Pure: everything is in hand, and `now` is a parameter. All inputs are hostile. What a Fulcio certificate signed goes
//! to the library, which checks its chain, the log of certificates, the transparency log and timestamps; identities are
//! always compared here. What a key signed, or a certificate of the user's own roots, is checked here, because the
//! library refuses most of it: bundles without a log, P-521, P-384 with SHA-256, RSA-PSS.
//!
//! Three answers: verified; made by somebody else, as far as can be told ([`Rejected::NotByThisAuthority`]); and
//! [`Rejected::Invalid`], for what says to be of this authority and does not hold, or cannot be read at all. Texts are
//! for the user whose image is refused.

mod authority;
mod bundle;
mod certificate;
mod chain;
mod classic;
mod identity;
mod keyless;
mod keys;
mod log;
mod notation;
mod own;
mod root;
mod statement;
mod words;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use stockade_engine::images::{Signer, SignerIdentity};
use stockade_policy::images::Digest;

pub use authority::{AuthorityError, ResolvedAuthority, Texts};
pub use certificate::CertificateError;
pub use chain::RootsError;
pub use classic::SignatureAnnotations;
pub use keys::KeyError;
pub use notation::SignedDescriptor;
pub use root::TrustRootError;
pub(crate) use statement::COSIGN_SIGN;

/// What holds: who signed, and what was stated, if more than "this image".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Who signed.
    pub signer: Signer,
    /// The statement of an attestation; `None` for a signature that says nothing but the digest.
    pub statement: Option<Stated>,
}

/// An in-toto statement whose subject is the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stated {
    /// Type of its predicate, a URI.
    pub predicate_type: String,
    /// The whole statement as it was signed.
    pub json: Arc<str>,
}

/// Why something does not count for an authority.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// Somebody else made it, as far as can be told: for this authority the image is not signed by it.
    #[error("signed by {0}")]
    NotByThisAuthority(Found),
    /// It says to be of this authority and does not hold, or it cannot be read.
    #[error("{0}")]
    Invalid(String),
}

/// Who made a signature that is not an authority's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A certificate that an authority of the trusted root or the given roots issued.
    Identity(SignerIdentity),
    /// A certificate of other authorities, which may say anything.
    Unvouched(SignerIdentity),
    /// A key, by what the signature says of it.
    Key(String),
    /// A key of which the signature says nothing; or the authority's own, and what it signed was changed since.
    UnknownKey,
    /// Another kind of signature.
    Format(&'static str),
}

/// How a signature was stored, as [`Signer::format`] tells it: cosign's `.sig` and `.att` tags.
const COSIGN: &str = "cosign";
/// A Sigstore bundle.
const BUNDLE: &str = "bundle";
/// The Notary Project's envelope.
const NOTATION: &str = "notation";

/// Bundles, envelopes and payloads are at most this long. Attestations hold whole bills of materials.
pub const MAX_SIGNED: usize = 8 << 20;

/// Verifies a Sigstore bundle of version 0.1 to 0.3
/// (<https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto>): a signature over the bytes
/// that have this digest, or an attestation whose subject it is.
///
/// # Errors
/// As [`Rejected`] tells.
pub fn bundle(
    bundle: &[u8],
    subject: &Digest,
    authority: &ResolvedAuthority,
    now: Timestamp,
) -> Result<Verified, Rejected> {
    let signed = bundle::Signed::from_json(bundle, subject)?;
    signed.verify(authority, now)
}

/// Verifies a signature of cosign's `.sig` tag: the simple-signing payload, and beside it, as annotations of its layer,
/// the signature, its certificate and its log entry
/// (<https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md>).
///
/// The reference that the payload names is not compared: images are copied between registries with their signatures,
/// and the digest is what is trusted.
///
/// # Errors
/// As [`Rejected`] tells.
pub fn simple_signing(
    payload: &[u8],
    annotations: &SignatureAnnotations<'_>,
    subject: &Digest,
    authority: &ResolvedAuthority,
    now: Timestamp,
) -> Result<Verified, Rejected> {
    classic::simple_signing(payload, annotations, subject)?.verify(authority, now)
}

/// Verifies an attestation of cosign's `.att` tag: a DSSE envelope around an in-toto statement
/// (<https://github.com/sigstore/cosign/blob/main/specs/ATTESTATION_SPEC.md>).
///
/// # Errors
/// As [`Rejected`] tells.
pub fn dsse(
    envelope: &[u8],
    annotations: &SignatureAnnotations<'_>,
    subject: &Digest,
    authority: &ResolvedAuthority,
    now: Timestamp,
) -> Result<Verified, Rejected> {
    classic::dsse(envelope, annotations, subject)?.verify(authority, now)
}

/// Verifies a signature of the Notary Project in its JWS envelope.
///
/// # Errors
/// As [`Rejected`] tells; a COSE envelope is invalid as unsupported.
pub fn notation(
    envelope: &[u8],
    subject: &SignedDescriptor<'_>,
    authority: &ResolvedAuthority,
    now: Timestamp,
) -> Result<Verified, Rejected> {
    notation::verify(envelope, subject, authority, now)
}

// === impl Verified ===

impl Verified {
    /// Whether this says that the image is signed: a bare signature, or the statement that cosign writes for one. Any
    /// other statement is an attestation, which does not vouch for the image by itself.
    pub fn is_signature(&self) -> bool {
        self.statement.as_ref().is_none_or(|statement| statement.predicate_type == COSIGN_SIGN)
    }
}

// === impl Rejected ===

impl Rejected {
    fn invalid(why: impl Into<String>) -> Self {
        Self::Invalid(why.into())
    }
}

// === impl Found ===

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity(identity) => write!(f, "{} (issuer {})", identity.subject, identity.issuer),
            Self::Unvouched(identity) => {
                write!(f, "{} (issuer {}), by a certificate of an unknown authority", identity.subject, identity.issuer)
            }
            Self::Key(key) => write!(f, "the key {key}"),
            Self::UnknownKey => f.write_str("another key, or changed after it was signed"),
            Self::Format(NOTATION) => f.write_str("the Notary Project's tools"),
            Self::Format(_) => f.write_str("Sigstore's tools"),
        }
    }
}
