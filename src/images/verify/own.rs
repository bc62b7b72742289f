//! Signatures that the library does not verify: by a key, or by a certificate of the user's own roots.
//!
//! What vouches for the time (a log, a timestamp authority) is asked for where the authority says so.

use jiff::Timestamp;

use stockade_policy::images::AuthorityKind;
use stockade_policy::images::authority::{HashAlgorithm, Need};

use super::bundle::{Signed, identity_by, identity_of};
use super::certificate::Certificate;
use super::chain::Roots;
use super::identity::subject_of;
use super::keys::PublicKey;
use super::log;
use super::root::TrustRoot;
use super::{Found, Rejected, ResolvedAuthority, Signer};

/// Verifies a signature by a key.
pub(super) fn by_key(
    signed: &Signed<'_>,
    key: &PublicKey,
    hash: HashAlgorithm,
    authority: &ResolvedAuthority,
    now: Timestamp,
) -> Result<Signer, Rejected> {
    let signature = signed.signature()?.as_bytes();
    if !signed.with_message(|message| key.verifies(message, signature, hash)) {
        return Err(match (&signed.certificates, signed.key_found()) {
            (Some((leaf, _)), _) => Rejected::NotByThisAuthority(Found::Unvouched(identity_of(leaf))),
            (None, Found::Key(hint)) if key.is_hinted_by(&hint) => {
                Rejected::invalid("its signature does not verify with the key that it names")
            }
            (None, found) => Rejected::NotByThisAuthority(found),
        });
    }
    let times = evidence(signed, log::Signer::Key(key), authority, now)?;
    let time = times.into_iter().min().map(Timestamp::as_second);
    Ok(Signer { format: signed.format, identity: None, key: Some(key.fingerprint().into()), time })
}

/// Verifies a signature by a certificate whose chain ends at one of the roots. The chain must hold at the time that a
/// log or timestamp authority vouches for, where one is required; else now.
pub(super) fn by_certificate(
    signed: &Signed<'_>,
    (leaf, brought): &(Certificate, Vec<Certificate>),
    roots: &Roots,
    authority: &ResolvedAuthority,
    now: Timestamp,
) -> Result<Signer, Rejected> {
    if !roots.may_have_issued(leaf, brought) {
        return Err(Rejected::NotByThisAuthority(Found::Unvouched(identity_of(leaf))));
    }
    let signature = signed.signature()?.as_bytes();
    if !signed.with_message(|message| leaf.key.verifies(message, signature, HashAlgorithm::default())) {
        return Err(Rejected::invalid("its signature does not verify with the key of its certificate"));
    }
    if !leaf.signs_code {
        return Err(Rejected::invalid("its certificate is not for signing code"));
    }
    let times = evidence(signed, log::Signer::Certificate(leaf), authority, now)?;
    // At every time, not the earliest alone: one clock that was set back must not speak for an expired certificate.
    let ats = if times.is_empty() { &[now][..] } else { &times };
    for at in ats {
        let chain = roots.verify(leaf, brought, *at);
        chain.map_err(|reason| Rejected::invalid(format!("its certificate chain does not hold: {reason}")))?;
    }
    let time = times.iter().min().map(|time| time.as_second());
    let subject = match &authority.authority.kind {
        // Whoever the chain holds for.
        AuthorityKind::Certificates { identities, .. } if identities.is_empty() => Some(leaf.first_subject()),
        AuthorityKind::Certificates { identities, .. } => subject_of(identities, leaf),
        _ => None,
    };
    match subject {
        Some(subject) => {
            Ok(Signer { format: signed.format, identity: Some(identity_by(leaf, subject)), key: None, time })
        }
        None => Err(Rejected::NotByThisAuthority(Found::Identity(identity_of(leaf)))),
    }
}

/// The times of all timestamps, of which there must be one.
pub(super) fn timestamps(signed: &Signed<'_>, root: &TrustRoot) -> Result<Vec<Timestamp>, Rejected> {
    if signed.timestamps.is_empty() {
        return Err(Rejected::invalid("it has no timestamp"));
    }
    let times = signed.timestamps.iter().map(|token| root.time_of(token, &signed.timestamped));
    times
        .collect::<Result<_, _>>()
        .map_err(|reason| Rejected::invalid(format!("its timestamp does not hold: {reason}")))
}

/// Checks what the authority requires beside the signature, and returns the times that it vouches for.
fn evidence(
    signed: &Signed<'_>,
    signer: log::Signer<'_>,
    authority: &ResolvedAuthority,
    now: Timestamp,
) -> Result<Vec<Timestamp>, Rejected> {
    let mut times = Vec::new();
    if authority.authority.transparency_log == Need::Required {
        let time = log::verify(&signed.bundle, &signed.artifact.digest(), signer, authority.root()?, now);
        times.extend(time.map_err(Rejected::Invalid)?);
    }
    if authority.authority.timestamp == Need::Required {
        times.extend(timestamps(signed, authority.root()?)?);
    }
    match times.iter().find(|time| **time > now) {
        Some(time) => Err(Rejected::invalid(format!("it was signed at {time}, which is in the future"))),
        None => Ok(times),
    }
}
