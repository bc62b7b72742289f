//! What the library and the verifier of chains say, in words for the user whose image is refused: what is wrong, its
//! facts, and what helps.
//!
//! Their own texts are for programmers (`CertExpired { time: UnixTime(…) }`), and the details in them are not to be
//! matched on. So an error is told by its kind; where a check of this crate is about the same thing, by that check.

use jiff::Timestamp;
use sigstore_verify::types::Error as Unreadable;
use sigstore_verify::{CertificateError, Error, TimestampError};
use sigstore_verify::{bundle, rekor, trust_root, tsa};

use super::Rejected;
use super::bundle::Signed;
use super::certificate::Certificate;
use super::root::TrustRoot;
use super::{log, own};

/// Why a signature by a certificate of a Sigstore instance does not hold.
pub(super) fn of_signature(
    error: &Error,
    signed: &Signed<'_>,
    leaf: &Certificate,
    root: &TrustRoot,
    now: Timestamp,
) -> String {
    match error {
        Error::Certificate(error) => of_certificate(error, signed, leaf, root),
        Error::TransparencyLog(_) => {
            let why = of_log_entry(signed, leaf, root, now).or_else(|| out_of_time(&times(signed, root), leaf));
            why.unwrap_or_else(|| "its log entry does not hold".to_owned())
        }
        // Without log entries it is the signature's own; with them it may be theirs.
        Error::ArtifactMismatch(_) => {
            let has_entry = !signed.bundle.verification_material.tlog_entries.is_empty();
            let entry = has_entry.then(|| of_log_entry(signed, leaf, root, now)).flatten();
            entry.unwrap_or_else(|| "it is a signature of something else".to_owned())
        }
        Error::Timestamp(TimestampError::NoVerifiedTimestamp(_)) => {
            "nobody vouches for the time at which it was signed: it brings neither a timestamp nor the promise of a log; \
             sign the image again with one of them"
                .to_owned()
        }
        Error::Timestamp(_) => match own::timestamps(signed, root) {
            Err(Rejected::Invalid(why)) => why,
            _ => "its timestamp does not hold".to_owned(),
        },
        Error::SignatureInvalid(_) => "its signature does not verify with the key of its certificate".to_owned(),
        Error::Bundle(error) => of_bundle(error),
        Error::InvalidBundle(why) => format!("its bundle is broken: {why}"),
        Error::UnsupportedBundle(why) => format!("its bundle has what is not supported: {why}"),
        Error::InvalidTrustRoot(_) | Error::TrustRoot(_) | Error::TrustedCertificate(_) => {
            format!("the policy's trusted root cannot be used: {}", of_verifier(error))
        }
        _ => "its bundle cannot be read".to_owned(),
    }
}

/// That a signature was made when its certificate was not valid, if so.
pub(super) fn out_of_time(times: &[Timestamp], leaf: &Certificate) -> Option<String> {
    let time = times.iter().find(|time| **time < leaf.not_before || **time > leaf.not_after)?;
    Some(format!(
        "it was signed at {time}, and its certificate was valid from {} to {}; sign the image again",
        leaf.not_before, leaf.not_after
    ))
}

fn of_certificate(error: &CertificateError, signed: &Signed<'_>, leaf: &Certificate, root: &TrustRoot) -> String {
    match error {
        CertificateError::ChainInvalid(_) | CertificateError::Expired { .. } | CertificateError::NotYetValid { .. } => {
            match out_of_time(&times(signed, root), leaf) {
                Some(why) => why,
                None if !leaf.signs_code => "its certificate is not for signing code".to_owned(),
                None => {
                    "no chain of valid certificates leads from its own to an authority of the trusted root".to_owned()
                }
            }
        }
        CertificateError::NoValidAuthority { time } => format!(
            "it was signed at {time}, and no authority of the trusted root was valid then; is the trusted root up to date?"
        ),
        CertificateError::Sct(_) => {
            "no log of certificates that the trusted root names vouches for its certificate".to_owned()
        }
        _ => "its certificate cannot be read".to_owned(),
    }
}

/// The times that logs and timestamp authorities tell of. The library has checked who tells them before it looks at
/// certificates.
fn times(signed: &Signed<'_>, root: &TrustRoot) -> Vec<Timestamp> {
    let entries = &signed.bundle.verification_material.tlog_entries;
    let promised = entries.iter().filter(|entry| entry.inclusion_promise.is_some());
    let stamped = signed.timestamps.iter().filter_map(|token| root.time_of(token, &signed.timestamped).ok());
    promised.filter_map(|entry| entry.integrated_time).chain(stamped).collect()
}

/// What the own check of log entries finds.
fn of_log_entry(signed: &Signed<'_>, leaf: &Certificate, root: &TrustRoot, now: Timestamp) -> Option<String> {
    log::verify(&signed.bundle, &signed.artifact.digest(), log::Signer::Certificate(leaf), root, now).err()
}

/// What a bundle lacks.
pub(super) fn of_bundle(error: &bundle::Error) -> String {
    use bundle::Error as Lack;
    match error {
        Lack::UnsupportedMediaType(kind) => format!("its bundle is of the type {kind}, which is not supported"),
        Lack::UnsupportedVerificationMaterial => "its bundle names neither a certificate nor a key".to_owned(),
        Lack::CertificateChainNotAllowed(_) => {
            "its bundle has a chain of certificates, and bundles of its version have one".to_owned()
        }
        Lack::MissingInclusionPromise(_) => {
            "its log entry has no promise of inclusion, which bundles of its version need".to_owned()
        }
        Lack::MissingInclusionProof(_) => {
            "it has no log entry with a proof of inclusion, which bundles of its version need".to_owned()
        }
        Lack::MissingSigningTimeEvidence => {
            "it has neither an entry of a transparency log nor a timestamp; sign the image again with one of them"
                .to_owned()
        }
        Lack::MissingTimestamp => "it has no timestamp".to_owned(),
        Lack::MissingCheckpoint => "the proof of its log entry has no checkpoint".to_owned(),
        Lack::LogIndexOutOfRange { log_index, tree_size } => {
            format!("its log entry has the number {log_index}, and its log only {tree_size} entries")
        }
        Lack::CheckpointRootMismatch => "the proof of its log entry is not of the checkpoint that it brings".to_owned(),
        _ => "its bundle is broken".to_owned(),
    }
}

/// Why the text of a log entry cannot be read.
pub(super) fn of_log_text(error: &rekor::Error) -> String {
    match error {
        rekor::Error::Json(error) => error.to_string(),
        _ => "it is not what its kind says".to_owned(),
    }
}

/// Why a bundle or a trusted root cannot be read.
pub(super) fn of_text(error: &Unreadable) -> String {
    match error {
        Unreadable::Json(error) => error.to_string(),
        Unreadable::InvalidMediaType(kind) => format!("{kind:?} is no type of bundles"),
        Unreadable::InvalidHashAlgorithm(name) => format!("the hash {name:?} is not supported"),
        Unreadable::InvalidCheckpoint(why) | Unreadable::Validation(why) | Unreadable::InvalidEncoding(why) => {
            why.clone()
        }
        _ => "it is malformed".to_owned(),
    }
}

/// Why a trusted root cannot be read.
pub(super) fn of_trusted_root(error: &trust_root::Error) -> String {
    match error {
        trust_root::Error::Json(error) => format!("it is not the JSON of a trusted root: {error}"),
        trust_root::Error::UnsupportedMediaType(kind) => format!("{kind:?} is no type of trusted roots"),
        trust_root::Error::Certificate(_) => "a certificate in it cannot be read".to_owned(),
        trust_root::Error::Types(error) => of_text(error),
        _ => "a key in it cannot be read, or is of a kind that is not supported".to_owned(),
    }
}

/// Why nobody can be verified by a trusted root.
pub(super) fn of_verifier(error: &Error) -> String {
    match error {
        Error::InvalidTrustRoot(why) => why.clone(),
        Error::TrustRoot(error) => of_trusted_root(error),
        Error::TrustedCertificate(_) => "a certificate in it cannot be read".to_owned(),
        _ => "a key in it cannot be read, or is of a kind that is not supported".to_owned(),
    }
}

/// Why a timestamp does not hold.
pub(super) fn of_timestamp(error: &tsa::Error) -> String {
    match error {
        tsa::Error::HashMismatch { .. } => "it is of another signature".to_owned(),
        tsa::Error::SignatureVerificationError(_) => "no timestamp authority of the trusted root signed it".to_owned(),
        tsa::Error::CertificateValidationError(_) | tsa::Error::InvalidEKU => {
            "the certificate of its timestamp authority does not hold".to_owned()
        }
        tsa::Error::TimestampOutsideValidity { time } => {
            format!("it is of {time}, and the trusted root does not vouch for its timestamp authority then")
        }
        _ => "it cannot be read".to_owned(),
    }
}

/// Why a chain of certificates does not hold.
pub(super) fn of_chain(error: &webpki::Error, leaf: &Certificate, at: Timestamp) -> String {
    use webpki::Error as Bad;
    let text = match error {
        Bad::CertExpired { .. } if leaf.not_after < at => {
            return format!("the certificate was valid until {}, and is looked at as of {at}", leaf.not_after);
        }
        Bad::CertNotValidYet { .. } if at < leaf.not_before => {
            return format!("the certificate is valid from {}, and is looked at as of {at}", leaf.not_before);
        }
        Bad::CertExpired { .. } | Bad::CertNotValidYet { .. } => {
            return format!("a certificate above it is not valid at {at}");
        }
        Bad::UnknownIssuer | Bad::InvalidSignatureForPublicKey => "no chain of valid signatures leads to a root",
        Bad::RequiredEkuNotFoundContext(_) => "the certificate is not for signing code",
        Bad::CaUsedAsEndEntity => "the certificate is an authority's",
        Bad::EndEntityUsedAsCa => "a certificate above it is not an authority's",
        Bad::NameConstraintViolation => "an authority above it may not issue certificates for its names",
        Bad::PathLenConstraintViolated => "an authority above it may not have so many authorities below",
        Bad::UnsupportedCriticalExtension => "a certificate has a critical extension that is not supported",
        Bad::UnsupportedSignatureAlgorithmContext(_) => "a certificate is signed in a way that is not supported",
        _ => "a certificate is malformed",
    };
    text.to_owned()
}
