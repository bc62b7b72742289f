//! Entries of a transparency log (Rekor) for signatures that the library does not verify: those of keys, and of
//! certificates that no Fulcio issued.
//!
//! An entry counts when its text tells of this very signature, and a log that the trusted root names vouches for the
//! text: by a proof that leads to a signed checkpoint, or by a signed promise. See RFC 6962, 2.1.1, and
//! <https://github.com/transparency-dev/formats/blob/main/log/README.md>.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use sigstore_verify::bundle::{ValidationOptions, validate_bundle_with_options};
use sigstore_verify::crypto::Checkpoint;
use sigstore_verify::rekor::body::{HashValue, HashedRekordV002Data, IntotoV002Content, RekorEntryBody};
use sigstore_verify::types::bundle::InclusionProof;
use sigstore_verify::types::{
    Bundle, DsseEnvelope, HashAlgorithm, KindVersion, Sha256Hash, SignatureBytes, SignatureContent,
    TransparencyLogEntry,
};

use super::certificate::Certificate;
use super::keys::{PublicKey, hex, sha256};
use super::root::TrustRoot;
use super::words;

/// Whose signature an entry must tell of.
#[derive(Clone, Copy)]
pub(super) enum Signer<'a> {
    Key(&'a PublicKey),
    Certificate(&'a Certificate),
}

/// Checks all entries of a bundle, of which there must be one.
///
/// Returns the earliest time that a log signed, if one did: version 2 of the log signs none.
///
/// # Errors
/// With the first entry that does not hold.
pub(super) fn verify(
    bundle: &Bundle,
    artifact: &[u8; 32],
    signer: Signer<'_>,
    root: &TrustRoot,
    now: Timestamp,
) -> Result<Option<Timestamp>, String> {
    let entries = &bundle.verification_material.tlog_entries;
    if entries.is_empty() {
        return Err("it has no entry of a transparency log".to_owned());
    }
    // Bundles of version 0.1 may have a promise alone, newer ones not.
    let options = ValidationOptions::new().with_require_inclusion_proof(true);
    validate_bundle_with_options(bundle, &options).map_err(|error| words::of_bundle(&error))?;
    let mut earliest: Option<Timestamp> = None;
    for entry in entries {
        tells_of(entry, &bundle.content, artifact, signer)?;
        if entry.inclusion_proof.is_none() && entry.inclusion_promise.is_none() {
            return Err("its log entry has neither a proof nor a promise of inclusion".to_owned());
        }
        if let Some(proof) = &entry.inclusion_proof {
            verify_proof(entry, proof, root, now)?;
        }
        if entry.inclusion_promise.is_some() {
            let time = verify_promise(entry, root)?;
            if time > now {
                return Err(format!("its log entry is of {time}, which is in the future"));
            }
            earliest = Some(earliest.map_or(time, |earliest| earliest.min(time)));
        }
    }
    Ok(earliest)
}

/// What the text of an entry tells of: each must be of the signature at hand.
struct Told {
    is_artifact: bool,
    is_signature: bool,
    is_signer: bool,
}

/// Checks that the text of an entry is about this signature, by this signer, over this artifact: an entry of another
/// signature proves nothing (CVE-2022-36056).
fn tells_of(
    entry: &TransparencyLogEntry,
    content: &SignatureContent,
    artifact: &[u8; 32],
    signer: Signer<'_>,
) -> Result<(), String> {
    let body = RekorEntryBody::parse(&entry.canonicalized_body, entry.kind_version)
        .map_err(|error| format!("its log entry cannot be read: {}", words::of_log_text(&error)))?;
    let told = match (&body, content) {
        (RekorEntryBody::HashedRekordV001(body), SignatureContent::MessageSignature(message)) => Told {
            is_artifact: is_sha256(&body.spec.data.hash, artifact),
            is_signature: body.spec.signature.content == message.signature,
            is_signer: is_pem_of(body.spec.signature.public_key.content.as_bytes(), signer),
        },
        (RekorEntryBody::HashedRekordV002(body), SignatureContent::MessageSignature(message)) => {
            of_version_2(&body.spec.hashed_rekord_v002, artifact, &message.signature, signer)
        }
        (RekorEntryBody::HashedRekordV002(body), SignatureContent::DsseEnvelope(envelope)) => {
            let signed = sha256(&envelope.pae());
            of_version_2(&body.spec.hashed_rekord_v002, &signed, &envelope.signature.sig, signer)
        }
        (RekorEntryBody::DsseV001(body), SignatureContent::DsseEnvelope(envelope)) => {
            let payload = &body.spec.payload_hash;
            let [logged] = body.spec.signatures.as_slice() else {
                return Err("its log entry tells of another number of signatures".to_owned());
            };
            Told {
                is_artifact: payload.algorithm == HashAlgorithm::Sha2256
                    && payload.value == hex(&sha256(envelope.payload.as_bytes())),
                is_signature: logged.signature == envelope.signature.sig,
                is_signer: is_pem_of(logged.verifier.as_bytes(), signer),
            }
        }
        (RekorEntryBody::IntotoV002(body), SignatureContent::DsseEnvelope(envelope)) => {
            of_intoto(&body.spec.content, envelope, signer)?
        }
        _ => return Err("its log entry is of another kind than its signature".to_owned()),
    };
    match told {
        Told { is_artifact: false, .. } => Err("its log entry is about something else".to_owned()),
        Told { is_signature: false, .. } => Err("its log entry is about another signature".to_owned()),
        Told { is_signer: false, .. } => Err("its log entry is about a signature by somebody else".to_owned()),
        Told { .. } => Ok(()),
    }
}

fn of_version_2(
    body: &HashedRekordV002Data,
    signed: &[u8; 32],
    signature: &SignatureBytes,
    signer: Signer<'_>,
) -> Told {
    let verifier = &body.signature.verifier;
    Told {
        is_artifact: body.data.algorithm == HashAlgorithm::Sha2256 && body.data.digest.as_bytes() == signed,
        is_signature: &body.signature.content == signature,
        is_signer: match signer {
            Signer::Key(key) => verifier.public_key.as_ref().is_some_and(|k| k.raw_bytes.as_bytes() == key.spki()),
            Signer::Certificate(certificate) => {
                verifier.x509_certificate.as_ref().is_some_and(|logged| logged.raw_bytes.as_bytes() == certificate.der)
            }
        },
    }
}

fn of_intoto(content: &IntotoV002Content, envelope: &DsseEnvelope, signer: Signer<'_>) -> Result<Told, String> {
    let [logged] = content.envelope.signatures.as_slice() else {
        return Err("its log entry tells of another number of signatures".to_owned());
    };
    // The entry holds the base64 of the envelope's base64.
    let signature = STANDARD.decode(logged.sig.as_bytes()).unwrap_or_default();
    Ok(Told {
        is_artifact: content.envelope.payload_type == envelope.payload_type
            && is_sha256(&content.payload_hash, &sha256(envelope.payload.as_bytes())),
        is_signature: signature == envelope.signature.sig.as_bytes(),
        is_signer: is_pem_of(logged.public_key.as_bytes(), signer),
    })
}

fn is_sha256(logged: &HashValue, hash: &[u8; 32]) -> bool {
    logged.algorithm == HashAlgorithm::Sha2256 && logged.value.as_str() == hex(hash)
}

/// Whether a PEM text is the key or certificate of the signer.
fn is_pem_of(pem: &[u8], signer: Signer<'_>) -> bool {
    match signer {
        Signer::Key(key) => {
            SubjectPublicKeyInfoDer::from_pem_slice(pem).is_ok_and(|logged| logged.as_ref() == key.spki())
        }
        Signer::Certificate(certificate) => {
            CertificateDer::from_pem_slice(pem).is_ok_and(|logged| logged.as_ref() == certificate.der)
        }
    }
}

/// Checks that the entry is in the log whose checkpoint a trusted log signed.
fn verify_proof(
    entry: &TransparencyLogEntry,
    proof: &InclusionProof,
    root: &TrustRoot,
    now: Timestamp,
) -> Result<(), String> {
    let checkpoint = Checkpoint::from_text(proof.checkpoint.envelope())
        .map_err(|_| "the checkpoint of its log entry cannot be read".to_owned())?;
    // What version 2 writes beside the checkpoint is signed by nobody; version 1 writes both, and they must agree.
    let (index, size, hash) = if entry.kind_version == KindVersion::HashedRekordV002 {
        (entry.log_index.get(), checkpoint.tree_size(), *checkpoint.root_hash())
    } else {
        (proof.log_index.get(), proof.tree_size, proof.root_hash)
    };
    if *checkpoint.root_hash() != hash || checkpoint.tree_size() != size {
        return Err("the proof of its log entry is not of the checkpoint that it brings".to_owned());
    }
    let leaf = sigstore_merkle::hash_leaf(entry.canonicalized_body.as_bytes());
    sigstore_merkle::verify_inclusion_proof(&leaf, index, size, &proof.hashes, &hash)
        .map_err(|_| "its log entry is not in the log: its proof does not lead to the checkpoint".to_owned())?;
    // Hints of four bytes may collide, and witnesses sign too: one good signature of a trusted log is enough.
    let is_signed = checkpoint.signatures().iter().any(|signature| {
        let mut keys = root.log_keys.keys_by_hint(&signature.key_id, now);
        keys.any(|key| key.verify(checkpoint.signed_data(), &signature.signature).is_ok())
    });
    if is_signed { Ok(()) } else { Err("no log of the trusted root signed the checkpoint of its log entry".to_owned()) }
}

/// Checks the promise of a log of version 1 (signed entry timestamp) and returns the time that it signed.
fn verify_promise(entry: &TransparencyLogEntry, root: &TrustRoot) -> Result<Timestamp, String> {
    let (Some(promise), Some(time)) = (&entry.inclusion_promise, entry.integrated_time) else {
        return Err("the promise of its log entry has no time".to_owned());
    };
    let id = entry.log_id.key_id.as_bytes();
    let key = Sha256Hash::try_from(id).ok().and_then(|id| root.log_keys.key_at(&id, time));
    let Some(key) = key else {
        return Err(format!("no log of the trusted root with the key {} was in use at {time}", hex(id)));
    };
    // RFC 8785 over four members that need no escaping.
    let promised = format!(
        r#"{{"body":"{}","integratedTime":{},"logID":"{}","logIndex":{}}}"#,
        entry.canonicalized_body.to_base64(),
        time.as_second(),
        hex(id),
        entry.log_index.get(),
    );
    let signature = SignatureBytes::from_bytes(promise.signed_entry_timestamp.as_bytes());
    key.verify(promised.as_bytes(), &signature)
        .map_err(|_| "the promise of its log entry is not the log's".to_owned())?;
    Ok(time)
}
