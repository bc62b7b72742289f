//! Cosign's `.sig` and `.att` tags, made into bundles.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use sigstore_verify::types::bundle::{
    InclusionPromise, LogId, MessageDigest, MessageSignature, VerificationMaterial, VerificationMaterialContent,
    X509Certificate,
};
use sigstore_verify::types::{
    Bundle, CanonicalizedBody, DerCertificate, DigestBytes, DsseEnvelope, HashAlgorithm, KindVersion, LogIndex,
    LogKeyId, MediaType, PublicKeyIdentifier, Rfc3161Timestamp, SignatureBytes, SignatureContent, SignedTimestamp,
    TimestampToken, TimestampVerificationData, TransparencyLogEntry,
};

use super::bundle::{Artifact, Signed};
use super::certificate::Certificate;
use super::chain;
use super::keys::sha256;
use super::{COSIGN, Digest, MAX_SIGNED, Rejected};

/// What cosign stores as annotations of a signature's layer.
#[derive(Debug, Clone, Copy, Default)]
pub struct SignatureAnnotations<'a> {
    /// Base64 of the signature; empty for attestations, whose envelope has it.
    pub signature: Option<&'a str>,
    /// The signing certificate in PEM.
    pub certificate: Option<&'a str>,
    /// Certificates above it in PEM.
    pub chain: Option<&'a str>,
    /// JSON of the log entry and the log's promise.
    pub bundle: Option<&'a str>,
    /// JSON of a timestamp of RFC 3161.
    pub timestamp: Option<&'a str>,
}

/// The payload of a signature.
#[derive(Deserialize)]
struct SimpleSigning {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

/// The log entry in its annotation.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LogEntry {
    signed_entry_timestamp: String,
    payload: LogPayload,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogPayload {
    body: String,
    integrated_time: i64,
    log_index: u64,
    #[serde(rename = "logID")]
    log_id: String,
}

/// The head of an entry's body, which tells what it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    kind: String,
    api_version: String,
}

#[derive(Deserialize)]
struct Rfc3161 {
    #[serde(rename = "SignedRFC3161Timestamp")]
    token: String,
}

/// What the payload of every signature of cosign's says it is.
const SIGNATURE: &str = "cosign container image signature";

// === impl SignatureAnnotations ===

impl<'a> SignatureAnnotations<'a> {
    /// Those of a layer, by their names.
    pub fn of(annotation: impl Fn(&str) -> Option<&'a str>) -> Self {
        let get = |name: &str| annotation(name).filter(|value| !value.is_empty());
        Self {
            signature: get("dev.cosignproject.cosign/signature"),
            certificate: get("dev.sigstore.cosign/certificate"),
            chain: get("dev.sigstore.cosign/chain"),
            bundle: get("dev.sigstore.cosign/bundle"),
            timestamp: get("dev.sigstore.cosign/rfc3161timestamp"),
        }
    }
}

/// A signature over a simple-signing payload, which must name the image.
pub(super) fn simple_signing<'a>(
    payload: &'a [u8],
    annotations: &SignatureAnnotations<'_>,
    subject: &Digest,
) -> Result<Signed<'a>, Rejected> {
    check_length(payload)?;
    let signing: SimpleSigning = serde_json::from_slice(payload)
        .map_err(|error| Rejected::invalid(format!("its payload cannot be read: {error}")))?;
    if signing.critical.kind != SIGNATURE {
        return Err(Rejected::invalid(format!("its payload is {:?}, not a signature", signing.critical.kind)));
    }
    if signing.critical.image.digest != subject.as_str() {
        return Err(Rejected::invalid("its payload names another image"));
    }
    let signature = annotations.signature.ok_or_else(|| Rejected::invalid("its layer has no signature"))?;
    let signature = SignatureBytes::new(decoded("signature", signature)?);
    let digest = MessageDigest::new(HashAlgorithm::Sha2256, DigestBytes::new(sha256(payload).to_vec()));
    let message = MessageSignature::new(signature.clone()).with_message_digest(digest);
    let tokens = timestamps(annotations)?;
    let bundle = bundle(annotations, SignatureContent::MessageSignature(message), &tokens)?;
    Signed::new(COSIGN, bundle, Artifact::Bytes(payload), subject, tokens, vec![signature])
}

/// An attestation: the envelope holds its signature. A timestamp is over the whole envelope, or, since version 3 of
/// cosign, over the signature.
pub(super) fn dsse(
    envelope: &[u8],
    annotations: &SignatureAnnotations<'_>,
    subject: &Digest,
) -> Result<Signed<'static>, Rejected> {
    check_length(envelope)?;
    let content: DsseEnvelope = serde_json::from_slice(envelope)
        .map_err(|error| Rejected::invalid(format!("its envelope cannot be read: {error}")))?;
    let tokens = timestamps(annotations)?;
    let timestamped = vec![content.signature.sig.clone(), SignatureBytes::from_bytes(envelope)];
    let bundle = bundle(annotations, SignatureContent::DsseEnvelope(content), &[])?;
    Signed::new(COSIGN, bundle, Artifact::of(subject)?, subject, tokens, timestamped)
}

/// The bundle that says what the annotations say: of version 0.1, whose log entries have a promise and no proof; without
/// an entry of version 0.2, which can do without.
fn bundle(
    annotations: &SignatureAnnotations<'_>,
    content: SignatureContent,
    tokens: &[TimestampToken],
) -> Result<Bundle, Rejected> {
    let entries: Vec<TransparencyLogEntry> = annotations.bundle.map(log_entry).transpose()?.into_iter().collect();
    let version = if entries.is_empty() { MediaType::Bundle0_2 } else { MediaType::Bundle0_1 };
    let timestamps = TimestampVerificationData::new(tokens.iter().cloned().map(Rfc3161Timestamp::new).collect());
    let material = VerificationMaterial::new(material(annotations)?)
        .with_tlog_entries(entries)
        .with_timestamp_verification_data(timestamps);
    Ok(Bundle::new(version, material, content))
}

fn material(annotations: &SignatureAnnotations<'_>) -> Result<VerificationMaterialContent, Rejected> {
    let Some(leaf) = annotations.certificate else {
        return Ok(VerificationMaterialContent::PublicKey(PublicKeyIdentifier::new("")));
    };
    let read = |pem: &str| {
        chain::certificates_of(pem)
            .map_err(|error| Rejected::invalid(format!("its certificates cannot be read: {error}")))
    };
    let leaves = read(leaf)?;
    let [leaf] = leaves.as_slice() else {
        return Err(Rejected::invalid("its certificate annotation does not hold exactly one certificate"));
    };
    // Cosign stores the root too. It is left out: nobody is trusted because a signature brings them.
    let above = read(annotations.chain.unwrap_or_default())?;
    let above = above.iter().filter(|certificate| !certificate.is_root());
    let stored = |certificate: &Certificate| X509Certificate::new(DerCertificate::from_bytes(&certificate.der));
    let certificates = std::iter::once(leaf).chain(above).map(stored).collect();
    Ok(VerificationMaterialContent::X509CertificateChain { certificates })
}

fn log_entry(json: &str) -> Result<TransparencyLogEntry, Rejected> {
    let unreadable =
        |reason: &dyn std::fmt::Display| Rejected::invalid(format!("its log entry cannot be read: {reason}"));
    let entry: LogEntry = serde_json::from_str(json).map_err(|error| unreadable(&error))?;
    let body = decoded("log entry", &entry.payload.body)?;
    let head: Head = serde_json::from_slice(&body).map_err(|error| unreadable(&error))?;
    let kind = match (head.kind.as_str(), head.api_version.as_str()) {
        ("hashedrekord", "0.0.1") => KindVersion::HashedRekordV001,
        ("dsse", "0.0.1") => KindVersion::DsseV001,
        ("intoto", "0.0.2") => KindVersion::IntotoV002,
        (kind, version) => {
            return Err(Rejected::invalid(format!(
                "its log entry is of the kind {kind:?} {version:?}, which is not supported; cosign 2.0 and later write others: \
                 sign or attest again"
            )));
        }
    };
    let id = unhex(&entry.payload.log_id).ok_or_else(|| unreadable(&"its logID is not hexadecimal"))?;
    let index = LogIndex::new(entry.payload.log_index).map_err(|error| unreadable(&error))?;
    let time = jiff::Timestamp::from_second(entry.payload.integrated_time).map_err(|error| unreadable(&error))?;
    let promise = InclusionPromise::new(SignedTimestamp::new(decoded("log promise", &entry.signed_entry_timestamp)?));
    Ok(TransparencyLogEntry::new(index, LogId::new(LogKeyId::new(id)), kind, CanonicalizedBody::new(body))
        .with_integrated_time(time)
        .with_inclusion_promise(promise))
}

fn timestamps(annotations: &SignatureAnnotations<'_>) -> Result<Vec<TimestampToken>, Rejected> {
    let Some(json) = annotations.timestamp else { return Ok(Vec::new()) };
    let timestamp: Rfc3161 = serde_json::from_str(json)
        .map_err(|error| Rejected::invalid(format!("its timestamp cannot be read: {error}")))?;
    Ok(vec![TimestampToken::new(decoded("timestamp", &timestamp.token)?)])
}

fn check_length(bytes: &[u8]) -> Result<(), Rejected> {
    if bytes.len() <= MAX_SIGNED {
        return Ok(());
    }
    Err(Rejected::invalid(format!("it is longer than {MAX_SIGNED} bytes")))
}

fn decoded(what: &str, base64: &str) -> Result<Vec<u8>, Rejected> {
    STANDARD.decode(base64).map_err(|_| Rejected::invalid(format!("its {what} is not base64")))
}

/// Bytes of an even number of hexadecimal digits.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect::<Option<_>>()?;
    match digits.as_chunks() {
        (pairs, []) => Some(pairs.iter().map(|[high, low]| high << 4 | low).collect()),
        _ => None,
    }
}
