//! Trusted roots: which authorities, logs and clocks a Sigstore instance is made of.

use std::fmt;

use jiff::Timestamp;
use sigstore_verify::Verifier;
use sigstore_verify::crypto::Keyring;
use sigstore_verify::trust_root::{SIGSTORE_PRODUCTION_TRUSTED_ROOT, TrustedRoot};
use sigstore_verify::tsa::{self, TsaAuthority};
use sigstore_verify::types::{SignatureBytes, TimestampToken};

use super::certificate::{Certificate, CertificateError};
use super::chain::leads_to;
use super::keys::Kind;
use super::words;

/// A Sigstore instance as its `trusted_root.json` describes it, read once.
pub(super) struct TrustRoot {
    pub(super) verifier: Verifier,
    /// Keys of the transparency logs.
    pub(super) log_keys: Keyring,
    timestamp_authorities: Vec<TsaAuthority>,
    /// Certificates of the authorities that issue signing certificates.
    authorities: Vec<Certificate>,
    /// Whether it names a log of certificates; an instance without one issues certificates without its timestamps.
    pub(super) logs_certificates: bool,
}

/// Why a text is no trusted root.
#[derive(Debug, thiserror::Error)]
pub enum TrustRootError {
    /// Longer than any real one.
    #[error("longer than {MAX_TRUSTED_ROOT} bytes")]
    TooLong,
    /// Not the JSON of a trusted root, or with a key or certificate that cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// An authority's certificate that cannot be read.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// The public-good instance's is 10 KiB; a ConfigMap holds at most a MiB.
const MAX_TRUSTED_ROOT: usize = 1 << 20;

/// Why the time of a timestamp is not known that may be good.
const UNSUPPORTED_CLOCK: &str = "the timestamp authority of the trusted root has a key that timestamps are not verified \
                                 with; it needs one of ECDSA over P-256 or P-384";

// === impl TrustRoot ===

impl TrustRoot {
    /// Reads a `trusted_root.json` (`dev.sigstore.trustroot.v1.TrustedRoot`).
    ///
    /// # Errors
    /// When anything in it cannot be used: a log's key of an unknown kind must not silently be missing.
    pub(super) fn from_json(json: &str) -> Result<Self, TrustRootError> {
        if json.len() > MAX_TRUSTED_ROOT {
            return Err(TrustRootError::TooLong);
        }
        let unusable = |error| TrustRootError::Unusable(words::of_trusted_root(&error));
        let root = TrustedRoot::from_json(json).map_err(unusable)?;
        let verifier = Verifier::new(&root).map_err(|error| TrustRootError::Unusable(words::of_verifier(&error)))?;
        let log_keys = root.rekor_keys().map_err(unusable)?;
        let certificates = root.certificate_authorities.iter().flat_map(|authority| &authority.cert_chain.certificates);
        let authorities = certificates.map(|entry| Certificate::from_der(entry.raw_bytes.as_bytes()));
        Ok(Self {
            verifier,
            log_keys,
            timestamp_authorities: root.tsa_authorities(),
            authorities: authorities.collect::<Result<_, _>>()?,
            logs_certificates: !root.ctlogs.is_empty(),
        })
    }

    /// The public-good instance of Sigstore, as the library brings it: no request goes out for it.
    ///
    /// # Errors
    /// Never for the root that is built in; a test holds that.
    pub(super) fn public_good() -> Result<Self, TrustRootError> {
        Self::from_json(SIGSTORE_PRODUCTION_TRUSTED_ROOT)
    }

    /// Whether the chain of `leaf` leads, by what its certificates say, to one of the instance's authorities. If not,
    /// another instance issued it.
    pub(super) fn may_have_issued(&self, leaf: &Certificate, brought: &[Certificate]) -> bool {
        leads_to(leaf, &brought.iter().collect::<Vec<_>>(), &self.authorities)
    }

    /// The time of a timestamp of RFC 3161 over one of some signatures, by one of the instance's authorities.
    ///
    /// # Errors
    /// With the last authority's reason, or the reason of the one that made it, when it did so out of its time; and with
    /// an authority whose timestamps the library does not verify, where it may be by that one.
    pub(super) fn time_of(&self, token: &TimestampToken, over: &[SignatureBytes]) -> Result<Timestamp, String> {
        let mut reason = None;
        let pairs = over.iter().flat_map(|signature| self.timestamp_authorities.iter().map(move |a| (signature, a)));
        for (signature, authority) in pairs {
            match tsa::verify_timestamp_for_authority(token, signature, authority) {
                Ok(time) => return Ok(time),
                Err(error @ tsa::Error::TimestampOutsideValidity { .. }) => return Err(words::of_timestamp(&error)),
                Err(tsa::Error::SignatureVerificationError(_)) if !is_supported(authority) => {
                    return Err(UNSUPPORTED_CLOCK.to_owned());
                }
                // It is over another one of them.
                Err(error @ tsa::Error::HashMismatch { .. }) => reason = reason.or(Some(words::of_timestamp(&error))),
                Err(error) => reason = Some(words::of_timestamp(&error)),
            }
        }
        Err(reason.unwrap_or_else(|| "the trusted root names no timestamp authority".to_owned()))
    }
}

/// Whether the library verifies what a timestamp authority signs.
fn is_supported(authority: &TsaAuthority) -> bool {
    let leaf = Certificate::from_der(authority.leaf.as_bytes());
    leaf.is_ok_and(|leaf| matches!(leaf.key.kind(), Kind::P256 | Kind::P384))
}

impl fmt::Debug for TrustRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.authorities.iter().map(|authority| authority.name.as_str()).collect();
        f.debug_struct("TrustRoot").field("authorities", &names).finish_non_exhaustive()
    }
}
