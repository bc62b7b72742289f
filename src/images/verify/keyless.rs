//! Signatures by Fulcio's certificates: the library verifies, identities are compared here.

use jiff::Timestamp;
use sigstore_verify::types::{Artifact as Given, Sha256Hash};
use sigstore_verify::{VerificationPolicy, VerificationResult};

use stockade_policy::images::AuthorityKind;
use stockade_policy::images::authority::Need;

use super::bundle::{Artifact, Signed, identity_by, identity_of};
use super::certificate::Certificate;
use super::identity::subject_of;
use super::root::TrustRoot;
use super::{Found, Rejected, ResolvedAuthority, Signer, own, words};

/// Verifies a signature by a certificate of the authority's trusted root.
pub(super) fn verify(
    signed: &Signed<'_>,
    (leaf, brought): &(Certificate, Vec<Certificate>),
    authority: &ResolvedAuthority,
    now: Timestamp,
) -> Result<Signer, Rejected> {
    let root = authority.root()?;
    if !root.may_have_issued(leaf, brought) {
        return Err(Rejected::NotByThisAuthority(Found::Unvouched(identity_of(leaf))));
    }
    // Fulcio writes one name. With several, whom it authenticated would be for the reader to guess.
    let [_] = leaf.subjects.as_slice() else {
        return Err(Rejected::invalid("its certificate does not name exactly one identity"));
    };
    let result = by_the_library(signed, root, authority);
    let result = result.map_err(|error| Rejected::Invalid(words::of_signature(&error, signed, leaf, root, now)))?;
    let mut times = result.verified_timestamps().to_vec();
    if authority.authority.timestamp == Need::Required {
        times.extend(own::timestamps(signed, root)?);
    }
    if let Some(time) = times.iter().find(|time| **time > now) {
        return Err(Rejected::invalid(format!("it was signed at {time}, which is in the future")));
    }
    if let Some(why) = words::out_of_time(&times, leaf) {
        return Err(Rejected::Invalid(why));
    }
    let identities = match &authority.authority.kind {
        AuthorityKind::Keyless { identities } => identities.as_slice(),
        _ => &[],
    };
    match subject_of(identities, leaf) {
        Some(subject) => Ok(Signer {
            format: signed.format,
            identity: Some(identity_by(leaf, subject)),
            key: None,
            time: times.into_iter().min().map(Timestamp::as_second),
        }),
        None => Err(Rejected::NotByThisAuthority(Found::Identity(identity_of(leaf)))),
    }
}

/// Certificate chain and its log, signing time, transparency log, signature. Identities are not the library's to judge:
/// it compares exact texts only.
fn by_the_library(
    signed: &Signed<'_>,
    root: &TrustRoot,
    authority: &ResolvedAuthority,
) -> sigstore_verify::Result<VerificationResult> {
    let mut policy = VerificationPolicy::any_identity();
    if !root.logs_certificates {
        policy = policy.skip_sct();
    }
    if authority.authority.transparency_log == Need::NotRequired {
        policy = policy.skip_tlog_unsafe();
    }
    let artifact = match signed.artifact {
        Artifact::Digest(digest) => Given::from(Sha256Hash::new(digest)),
        Artifact::Bytes(bytes) => Given::from(bytes),
    };
    root.verifier.verify(artifact, &signed.bundle, &policy)
}
