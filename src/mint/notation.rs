//! Signers of the Notary Project and their JWS envelopes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use rcgen::DnType;
use serde_json::{Value, json};

use crate::authority::{Authority, Request};
use crate::key::Kind;
use crate::{Key, Scheme, base64};

/// A root and a certificate that signs.
pub struct Notary {
    now: Timestamp,
    /// Ends the chain.
    pub root: Authority,
    key: Key,
    leaf: Vec<u8>,
}

// === impl Notary ===

impl Notary {
    /// A signer with a key of this kind, whose certificate is valid for so long, beginning a day ago. Its subject is
    /// `C=DE, ST=Berlin, O=Shop, CN=signer`.
    pub fn new(now: Timestamp, kind: Kind, valid: SignedDuration) -> Self {
        let root = Authority::root("notary", now);
        let key = Key::new(kind);
        let from = now - SignedDuration::from_hours(24);
        let mut request = Request::new(from, from + valid);
        let attributes = [
            (DnType::CountryName, "DE"),
            (DnType::StateOrProvinceName, "Berlin"),
            (DnType::OrganizationName, "Shop"),
            (DnType::CommonName, "signer"),
        ];
        request.subject = attributes.map(|(kind, value)| (kind, value.to_owned())).to_vec();
        let leaf = root.issue(&request, &key.pair);
        Self { now, root, key, leaf }
    }

    /// The protected headers that `notation sign` writes.
    pub fn headers(&self) -> Value {
        let time = (self.now - SignedDuration::from_hours(1)).to_string();
        json!({
            "alg": self.key.jws_algorithm(), "cty": "application/vnd.cncf.notary.payload.v1+json",
            "crit": ["io.cncf.notary.signingScheme"], "io.cncf.notary.signingScheme": "notary.x509",
            "io.cncf.notary.signingTime": time,
        })
    }

    /// An envelope with these headers about an artifact.
    pub fn sign(&self, headers: &Value, media_type: &str, digest: &str, size: u64) -> Value {
        let target = json!({"mediaType": media_type, "digest": digest, "size": size});
        let payload = URL_SAFE_NO_PAD.encode(json!({"targetArtifact": target}).to_string());
        let protected = URL_SAFE_NO_PAD.encode(headers.to_string());
        let signature = self.key.sign(Scheme::Jws, format!("{protected}.{payload}").as_bytes());
        json!({
            "payload": payload, "protected": protected, "signature": URL_SAFE_NO_PAD.encode(signature),
            "header": {"x5c": [base64(&self.leaf), base64(&self.root.der)], "io.cncf.notary.signingAgent": "mint"},
        })
    }
}
