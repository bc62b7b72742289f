//! Signers of the Notary Project and their JWS envelopes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use rcgen::DnType;
use serde_json::{Value, json};

use crate::authority::{Authority, Request};
use crate::key::Kind;
use crate::{Key, Scheme, base64, pem};

/// A key, and the certificates that vouch for it.
pub struct Notary {
    now: Timestamp,
    key: Key,
    /// The signing certificate first, its root last.
    chain: Vec<Vec<u8>>,
}

// === impl Notary ===

impl Notary {
    /// A signer with a key of this kind, whose certificate is valid for so long, beginning a day ago. Its subject is
    /// `C=DE, ST=Berlin, O=Shop, CN=signer`.
    pub fn new(now: Timestamp, kind: Kind, valid: SignedDuration) -> Self {
        let (root, key) = (Authority::root("notary", now), Key::new(kind));
        let leaf = root.issue(&request(now, valid), &key.pair);
        Self { now, key, chain: vec![leaf, root.der] }
    }

    /// A signer whose certificate is its own root, as `notation cert generate-test` makes it.
    pub fn alone(now: Timestamp, valid: SignedDuration) -> Self {
        let key = Key::p256();
        let leaf = request(now, valid).self_signed(&key);
        Self { now, key, chain: vec![leaf] }
    }

    /// The root in PEM: the trust store.
    pub fn trust_store(&self) -> String {
        pem("CERTIFICATE", self.chain.last().unwrap())
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
        let chain: Vec<String> = self.chain.iter().map(|der| base64(der)).collect();
        json!({
            "payload": payload, "protected": protected, "signature": URL_SAFE_NO_PAD.encode(signature),
            "header": {"x5c": chain, "io.cncf.notary.signingAgent": "mint"},
        })
    }
}

fn request(now: Timestamp, valid: SignedDuration) -> Request {
    let from = now - SignedDuration::from_hours(24);
    let mut request = Request::new(from, from + valid);
    let attributes = [
        (DnType::CountryName, "DE"),
        (DnType::StateOrProvinceName, "Berlin"),
        (DnType::OrganizationName, "Shop"),
        (DnType::CommonName, "signer"),
    ];
    request.subject = attributes.map(|(kind, value)| (kind, value.to_owned())).to_vec();
    request
}
