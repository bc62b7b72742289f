//! Bundles, read and taken apart; every other way in which Sigstore's tools store a signature becomes one.

use jiff::Timestamp;
use serde::Deserialize;
use sigstore_verify::types::bundle::{MessageSignature, VerificationMaterialContent, X509Certificate};
use sigstore_verify::types::{Bundle, HashAlgorithm, MediaType, SignatureBytes, SignatureContent, TimestampToken};

use super::authority::Trusted;
use super::certificate::Certificate;
use super::chain::MAX_CERTIFICATES;
use super::classic::unhex;
use super::keys::{Message, sha256};
use super::{
    BUNDLE, Digest, Found, MAX_SIGNED, Rejected, ResolvedAuthority, SignerIdentity, Stated, Verified, keyless, own,
    statement, words,
};

/// A signature with all that was stored with it.
pub(super) struct Signed<'a> {
    pub(super) format: &'static str,
    pub(super) bundle: Bundle,
    /// What a bare signature is over; of an envelope the payload is what was signed.
    pub(super) artifact: Artifact<'a>,
    pub(super) statement: Option<Stated>,
    /// Signing certificate and what was stored with it; none when a key signed.
    pub(super) certificates: Option<(Certificate, Vec<Certificate>)>,
    /// Timestamps, and what each of them may be over.
    pub(super) timestamps: Vec<TimestampToken>,
    pub(super) timestamped: Vec<SignatureBytes>,
}

/// What a bare signature is over.
#[derive(Clone, Copy)]
pub(super) enum Artifact<'a> {
    /// The bytes that have this digest.
    Digest([u8; 32]),
    Bytes(&'a [u8]),
}

/// What every bundle has.
#[derive(Deserialize)]
struct Versioned {
    #[serde(rename = "mediaType")]
    _media_type: MediaType,
}

/// Log entries and timestamps of one bundle: tools write one of each, two when they write to two logs.
const MAX_EVIDENCE: usize = 8;

// === impl Signed ===

impl Signed<'_> {
    /// Reads a bundle of a registry.
    ///
    /// # Errors
    /// When it is too long, none, or about another image.
    pub(super) fn from_json(json: &[u8], subject: &Digest) -> Result<Self, Rejected> {
        if json.len() > MAX_SIGNED {
            return Err(Rejected::invalid(format!("its bundle is longer than {MAX_SIGNED} bytes")));
        }
        let unreadable =
            |reason: &dyn std::fmt::Display| Rejected::invalid(format!("its bundle cannot be read: {reason}"));
        let text = std::str::from_utf8(json).map_err(|error| unreadable(&error))?;
        // The library takes a bundle that does not say its version for one of the oldest, which need least.
        let _: Versioned = serde_json::from_str(text).map_err(|error| unreadable(&error))?;
        let bundle = Bundle::from_json(text).map_err(|error| unreadable(&words::of_text(&error)))?;
        let timestamps = &bundle.verification_material.timestamp_verification_data.rfc3161_timestamps;
        let timestamps = timestamps.iter().map(|timestamp| timestamp.signed_timestamp.clone()).collect();
        let timestamped = vec![signature_of(&bundle)?.clone()];
        Signed::new(BUNDLE, bundle, Artifact::of(subject)?, subject, timestamps, timestamped)
    }
}

impl<'a> Signed<'a> {
    pub(super) fn new(
        format: &'static str,
        bundle: Bundle,
        artifact: Artifact<'a>,
        subject: &Digest,
        timestamps: Vec<TimestampToken>,
        timestamped: Vec<SignatureBytes>,
    ) -> Result<Self, Rejected> {
        if bundle.verification_material.tlog_entries.len() > MAX_EVIDENCE || timestamps.len() > MAX_EVIDENCE {
            return Err(Rejected::invalid(format!("it has more than {MAX_EVIDENCE} log entries or timestamps")));
        }
        let statement = match &bundle.content {
            SignatureContent::DsseEnvelope(envelope) => Some(statement::read(envelope, subject)?),
            _ => None,
        };
        if let SignatureContent::MessageSignature(MessageSignature { message_digest: Some(named), .. }) =
            &bundle.content
            && named.algorithm == HashAlgorithm::Sha2256
            && named.digest.as_bytes() != artifact.digest()
        {
            return Err(Rejected::invalid("its bundle names another image"));
        }
        let certificates = certificates_of(&bundle.verification_material.content)?;
        Ok(Self { format, bundle, artifact, statement, certificates, timestamps, timestamped })
    }

    /// Verifies it for an authority.
    pub(super) fn verify(&self, authority: &ResolvedAuthority, now: Timestamp) -> Result<Verified, Rejected> {
        let signer = match &authority.trusted {
            Trusted::Key { key, hash } => own::by_key(self, key, *hash, authority, now)?,
            Trusted::Certificates(roots) => own::by_certificate(self, self.certificate()?, roots, authority, now)?,
            Trusted::Keyless => keyless::verify(self, self.certificate()?, authority, now)?,
            Trusted::Notation(_) => return Err(Rejected::NotByThisAuthority(Found::Format(self.format))),
        };
        Ok(Verified { signer, statement: self.statement.clone() })
    }

    pub(super) fn signature(&self) -> Result<&SignatureBytes, Rejected> {
        signature_of(&self.bundle)
    }

    /// What the signature is over.
    pub(super) fn with_message<T>(&self, then: impl FnOnce(Message<'_>) -> T) -> T {
        match (&self.bundle.content, self.artifact) {
            (SignatureContent::DsseEnvelope(envelope), _) => then(Message::Bytes(&envelope.pae())),
            (_, Artifact::Bytes(bytes)) => then(Message::Bytes(bytes)),
            (_, Artifact::Digest(digest)) => then(Message::Digest(&digest)),
        }
    }

    /// The signing certificate; a signature by a key is by nobody whom a certificate names.
    fn certificate(&self) -> Result<&(Certificate, Vec<Certificate>), Rejected> {
        self.certificates.as_ref().ok_or_else(|| Rejected::NotByThisAuthority(self.key_found()))
    }

    /// Whose key signed, by what the bundle says.
    pub(super) fn key_found(&self) -> Found {
        match &self.bundle.verification_material.content {
            VerificationMaterialContent::PublicKey(key) if !key.hint.is_empty() => {
                // Whoever wrote the bundle wrote this: shown, but not at any length.
                Found::Key(key.hint.chars().filter(|c| !c.is_control()).take(MAX_HINT).collect())
            }
            _ => Found::UnknownKey,
        }
    }
}

/// A hint is a hash in base64 or hexadecimal.
const MAX_HINT: usize = 128;

// === impl Artifact ===

impl Artifact<'_> {
    /// SHA-256 of it.
    pub(super) fn digest(&self) -> [u8; 32] {
        match self {
            Artifact::Digest(digest) => *digest,
            Artifact::Bytes(bytes) => sha256(bytes),
        }
    }

    /// The bytes that have this digest, by which they are signed.
    pub(super) fn of(digest: &Digest) -> Result<Self, Rejected> {
        let bytes = unhex(digest.hex()).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        bytes
            .map(Self::Digest)
            .ok_or_else(|| Rejected::invalid(format!("signatures over {} are not supported", digest.algorithm())))
    }
}

/// Whom a certificate names, by `subject` among its names; in a certificate of an own chain the issuer is the authority.
pub(super) fn identity_by(certificate: &Certificate, subject: &str) -> SignerIdentity {
    let issuer = certificate.issuer.as_ref().unwrap_or(&certificate.issued_by);
    SignerIdentity { issuer: issuer.clone(), subject: subject.to_owned(), claims: certificate.claims.clone() }
}

/// Whom a certificate names, for a reader.
pub(super) fn identity_of(certificate: &Certificate) -> SignerIdentity {
    identity_by(certificate, certificate.first_subject())
}

fn signature_of(bundle: &Bundle) -> Result<&SignatureBytes, Rejected> {
    match &bundle.content {
        SignatureContent::MessageSignature(message) => Ok(&message.signature),
        SignatureContent::DsseEnvelope(envelope) => Ok(&envelope.signature.sig),
        _ => Err(Rejected::invalid("its bundle holds neither a signature nor an envelope")),
    }
}

fn certificates_of(
    material: &VerificationMaterialContent,
) -> Result<Option<(Certificate, Vec<Certificate>)>, Rejected> {
    let read = |der: &[u8]| Certificate::from_der(der).map_err(|error| Rejected::invalid(error.to_string()));
    match material {
        VerificationMaterialContent::Certificate(leaf) => Ok(Some((read(leaf.raw_bytes.as_bytes())?, Vec::new()))),
        VerificationMaterialContent::X509CertificateChain { certificates } => {
            if certificates.len() > MAX_CERTIFICATES {
                return Err(Rejected::invalid(format!("it has more than {MAX_CERTIFICATES} certificates")));
            }
            let Some((leaf, rest)) = certificates.split_first() else {
                return Err(Rejected::invalid("its certificate chain is empty"));
            };
            let der = |certificate: &X509Certificate| read(certificate.raw_bytes.as_bytes());
            let rest: Vec<Certificate> = rest.iter().map(der).collect::<Result<_, _>>()?;
            // Whom to trust is never for the signature to say.
            if rest.iter().any(Certificate::is_root) {
                return Err(Rejected::invalid("its certificate chain contains a root certificate"));
            }
            Ok(Some((der(leaf)?, rest)))
        }
        _ => Ok(None),
    }
}
