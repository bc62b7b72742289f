//! In-toto statements: which image they are about.

use std::collections::BTreeMap;

use serde::Deserialize;
use sigstore_verify::types::DsseEnvelope;

use super::{Digest, Rejected, Stated};

/// What cosign states when it signs into a bundle.
pub(crate) const COSIGN_SIGN: &str = "https://sigstore.dev/cosign/sign/v1";

/// The payload type of every envelope that holds a statement.
const IN_TOTO: &str = "application/vnd.in-toto+json";

/// Versions of the statement: <https://github.com/in-toto/attestation/tree/main/spec>.
const VERSIONS: [&str; 3] =
    ["https://in-toto.io/Statement/v0.1", "https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v1.0"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    #[serde(rename = "_type")]
    version: String,
    subject: Vec<Subject>,
    predicate_type: String,
}

#[derive(Deserialize)]
struct Subject {
    digest: BTreeMap<String, String>,
}

/// The statement of an envelope, which must be about the image.
///
/// # Errors
/// When it is no statement, or about something else.
pub(super) fn read(envelope: &DsseEnvelope, subject: &Digest) -> Result<Stated, Rejected> {
    if envelope.payload_type != IN_TOTO {
        return Err(Rejected::invalid(format!(
            "its envelope holds {:?}, not an in-toto statement",
            envelope.payload_type
        )));
    }
    let payload = envelope.payload.as_bytes();
    let wire: Wire = serde_json::from_slice(payload)
        .map_err(|error| Rejected::invalid(format!("its statement cannot be read: {error}")))?;
    if !VERSIONS.contains(&wire.version.as_str()) {
        return Err(Rejected::invalid(format!("its statement is of an unknown version {:?}", wire.version)));
    }
    let is_subject = |named: &Subject| named.digest.get(subject.algorithm()).is_some_and(|hex| hex == subject.hex());
    if !wire.subject.iter().any(is_subject) {
        return Err(Rejected::invalid("its statement is about another image"));
    }
    let json = std::str::from_utf8(payload).map_err(|_| Rejected::invalid("its statement is not text"))?;
    Ok(Stated { predicate_type: wire.predicate_type, json: json.into() })
}
