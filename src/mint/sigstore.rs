//! The instance: certificates for identities, and signatures in all the ways in which they are stored.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use rcgen::{DnType, ExtendedKeyUsagePurpose, SanType, SubjectPublicKeyInfo};
use serde_json::{Value, json};

use crate::authority::{Authority, Request};
use crate::key::Kind;
use crate::log::{Entry, Logged, Logs, Signer, time};
use crate::timestamp::{Clock, requested};
use crate::{Forgery, Key, Scheme, base64, hex, pae, pem, sha256};

/// A private Sigstore.
pub struct Sigstore {
    /// Now; everything was signed an hour ago.
    now: Timestamp,
    /// Ends every chain.
    pub root: Authority,
    intermediate: Authority,
    certificate_log: Key,
    stranger: Key,
    logs: Logs,
    clock: Clock,
    other_clock: Clock,
}

/// A certificate and its key.
pub struct Leaf {
    /// Signs.
    pub key: Key,
    /// The certificate.
    pub der: Vec<u8>,
}

/// Who signs.
#[derive(Clone, Copy)]
pub enum By<'a> {
    /// A key.
    Key(&'a Key, Scheme),
    /// A certificate.
    Leaf(&'a Leaf),
}

/// What is stored beside a signature, and what is wrong with it.
#[derive(Debug, Clone, Copy)]
pub struct Evidence {
    /// An entry of a transparency log.
    pub log: Option<Entry>,
    /// A timestamp.
    pub timestamp: bool,
    /// What is wrong.
    pub forgery: Option<Forgery>,
}

/// A payload or envelope and the annotations of its layer.
pub type Layer = (Vec<u8>, BTreeMap<String, String>);

/// Payload type of statements.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

// === impl Evidence ===

impl Evidence {
    /// Nothing but the signature.
    pub const NONE: Self = Self { log: None, timestamp: false, forgery: None };
    /// An entry of the log that most have.
    pub const LOG: Self = Self { log: Some(Entry::V1), timestamp: false, forgery: None };
    /// An entry of the newer log, and a timestamp, which it needs.
    pub const LOG_2: Self = Self { log: Some(Entry::V2), timestamp: true, forgery: None };

    /// The same, with something wrong.
    pub const fn forged(self, forgery: Forgery) -> Self {
        Self { forgery: Some(forgery), ..self }
    }
}

// === impl Sigstore ===

impl Sigstore {
    /// A new instance.
    pub fn new(now: Timestamp) -> Self {
        Self::with_clock(now, Kind::P256)
    }

    /// A new instance whose timestamp authority has a key of this kind.
    pub fn with_clock(now: Timestamp, kind: Kind) -> Self {
        let root = Authority::root("root", now);
        let intermediate = root.intermediate("intermediate", now);
        Self {
            now,
            intermediate,
            certificate_log: Key::p256(),
            stranger: Key::p256(),
            logs: Logs::new(),
            clock: Clock::new(&root, now, kind),
            other_clock: Clock::new(&Authority::root("other", now), now, kind),
            root,
        }
    }

    /// When everything is signed.
    pub fn signed_at(&self) -> Timestamp {
        self.now - SignedDuration::from_hours(1)
    }

    /// Its `trusted_root.json`.
    pub fn trusted_root(&self) -> String {
        let start = self.now - SignedDuration::from_hours(24 * 300);
        let valid = json!({"start": start.to_string()});
        let chain = |chain: &[&Vec<u8>]| {
            let certificates: Vec<Value> = chain.iter().map(|der| json!({"rawBytes": base64(der)})).collect();
            json!({"certificates": certificates})
        };
        let subject = json!({"organization": "test.local", "commonName": "test"});
        let log = &self.certificate_log;
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": self.logs.trusted(&valid),
            "certificateAuthorities": [{"subject": subject, "uri": "https://fulcio.test.local", "validFor": valid,
                "certChain": chain(&[&self.intermediate.der, &self.root.der])}],
            "ctlogs": [{"baseUrl": "https://ct.test.local", "hashAlgorithm": "SHA2_256",
                "logId": {"keyId": base64(&log.id())}, "publicKey": {"rawBytes": base64(&log.spki()),
                "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": valid}}],
            "timestampAuthorities": [{"subject": subject, "uri": "https://tsa.test.local", "validFor": valid,
                "certChain": chain(&[&self.clock.der, &self.root.der])}],
        })
        .to_string()
    }

    /// A certificate of ten minutes for an identity: an e-mail address, a URI, or another name. Claims by the last
    /// number of their object identifier.
    pub fn leaf(&self, subject: &str, issuer: &str, claims: &[(u64, &str)], forgery: Option<Forgery>) -> Leaf {
        let from = self.signed_at() - SignedDuration::from_secs(5);
        let mut request = identity(from, subject, issuer, claims);
        if forgery == Some(Forgery::Usage) {
            request.usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        }
        let key = Key::p256();
        let der = match forgery {
            Some(Forgery::NoCertificateLog) => self.intermediate.issue(&request, &key.pair),
            Some(Forgery::CertificateLog) => self.intermediate.issue_logged(&request, &key.pair, &self.stranger),
            _ => self.intermediate.issue_logged(&request, &key.pair, &self.certificate_log),
        };
        Leaf { key, der }
    }

    /// A certificate for somebody else's key, beginning now; the key is a SubjectPublicKeyInfo in PEM.
    pub fn certify(&self, public_pem: &str, subject: &str, issuer: &str) -> Vec<u8> {
        let key = SubjectPublicKeyInfo::from_pem(public_pem).unwrap();
        let from = Timestamp::now() - SignedDuration::from_secs(5);
        self.intermediate.issue_logged(&identity(from, subject, issuer, &[]), &key, &self.certificate_log)
    }

    /// An entry of the log, as bundles hold it, at this moment.
    pub fn logged(&self, logged: &Logged<'_>) -> Value {
        self.logs.entry(Entry::V1, logged, Timestamp::now(), None)
    }

    /// What its timestamp authority answers to a request of RFC 3161 at this moment; none where that is none.
    pub fn stamped(&self, request: &[u8]) -> Option<Vec<u8>> {
        Some(self.clock.stamp(&requested(request)?, Timestamp::now()))
    }

    /// A certificate as a company's own authority issues it: no log, no issuer of identities, valid from the time of
    /// signing for some days, or only for minutes.
    pub fn plain_leaf(&self, email: &str, valid: SignedDuration) -> Leaf {
        let from = self.signed_at() - SignedDuration::from_secs(5);
        let mut request = Request::new(from, from + valid);
        request.names = vec![SanType::Rfc822Name(email.try_into().unwrap())];
        request.subject = vec![(DnType::CommonName, "signer".to_owned())];
        let key = Key::p256();
        Leaf { der: self.intermediate.issue(&request, &key.pair), key }
    }

    /// The certificates above leaves, in PEM: what cosign stores as their chain.
    pub fn chain_pem(&self) -> String {
        format!("{}{}", self.intermediate.pem(), self.root.pem())
    }

    /// The certificate between leaves and the root, in PEM.
    pub fn intermediate_pem(&self) -> String {
        self.intermediate.pem()
    }

    /// A bundle of version 0.3 with a bare signature over `bytes`.
    pub fn bundle(&self, by: By<'_>, bytes: &[u8], evidence: Evidence) -> Value {
        let signature = by.sign(bytes, evidence);
        let logged = Logged { hash: sha256(bytes), envelope: None, signature: &signature, signer: by.signer() };
        let mut bundle = self.material(by, &logged, &signature, evidence);
        let digest = json!({"algorithm": "SHA2_256", "digest": base64(&sha256(bytes))});
        bundle["messageSignature"] = json!({"messageDigest": digest, "signature": base64(&signature)});
        bundle
    }

    /// A bundle of version 0.3 with a statement, as cosign signs and attests since version 3.
    pub fn statement_bundle(&self, by: By<'_>, statement: &str, evidence: Evidence) -> Value {
        let (envelope, signature, signed) = envelope(by, statement, evidence);
        let payload = Some((IN_TOTO, statement.as_bytes()));
        let logged = Logged { hash: sha256(&signed), envelope: payload, signature: &signature, signer: by.signer() };
        let mut bundle = self.material(by, &logged, &signature, evidence);
        bundle["dsseEnvelope"] = envelope;
        bundle
    }

    /// A signature of a `.sig` tag over an image.
    pub fn simple_signing(&self, by: By<'_>, digest: &str, evidence: Evidence) -> Layer {
        let critical = json!({"identity": {"docker-reference": "registry.test.local/shop/web"},
            "image": {"docker-manifest-digest": digest}, "type": "cosign container image signature"});
        let payload = json!({"critical": critical, "optional": null}).to_string().into_bytes();
        let signature = by.sign(&payload, evidence);
        let logged = Logged { hash: sha256(&payload), envelope: None, signature: &signature, signer: by.signer() };
        let mut annotations = self.annotations(by, &logged, &signature, evidence);
        annotations.insert("dev.cosignproject.cosign/signature".to_owned(), base64(&signature));
        (payload, annotations)
    }

    /// An attestation of an `.att` tag.
    pub fn attestation(&self, by: By<'_>, statement: &str, evidence: Evidence) -> Layer {
        let (envelope, signature, signed) = envelope(by, statement, evidence);
        let payload = Some((IN_TOTO, statement.as_bytes()));
        let logged = Logged { hash: sha256(&signed), envelope: payload, signature: &signature, signer: by.signer() };
        let envelope = envelope.to_string().into_bytes();
        let mut annotations = self.annotations(by, &logged, &envelope, evidence);
        annotations.insert("dev.cosignproject.cosign/signature".to_owned(), String::new());
        (envelope, annotations)
    }

    fn material(&self, by: By<'_>, logged: &Logged<'_>, stamped: &[u8], evidence: Evidence) -> Value {
        let mut material = match by {
            By::Key(key, _) => json!({"publicKey": {"hint": base64(&key.id())}}),
            By::Leaf(leaf) => json!({"certificate": {"rawBytes": base64(&leaf.der)}}),
        };
        if let Some(kind) = evidence.log {
            let at = time(self.signed_at(), self.now, evidence.forgery);
            material["tlogEntries"] = json!([self.logs.entry(kind, logged, at, evidence.forgery)]);
        }
        if evidence.timestamp {
            let stamp = base64(&self.stamp(stamped, evidence.forgery));
            material["timestampVerificationData"] = json!({"rfc3161Timestamps": [{"signedTimestamp": stamp}]});
        }
        json!({"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "verificationMaterial": material})
    }

    fn annotations(
        &self,
        by: By<'_>,
        logged: &Logged<'_>,
        stamped: &[u8],
        evidence: Evidence,
    ) -> BTreeMap<String, String> {
        let mut annotations = BTreeMap::new();
        let mut insert = |name: &str, value: String| annotations.insert(format!("dev.sigstore.cosign/{name}"), value);
        if let By::Leaf(leaf) = by {
            insert("certificate", pem("CERTIFICATE", &leaf.der));
            insert("chain", self.chain_pem());
        }
        if let Some(kind) = evidence.log {
            let at = time(self.signed_at(), self.now, evidence.forgery);
            let entry = self.logs.entry(kind, logged, at, evidence.forgery);
            let integrated: i64 = entry["integratedTime"].as_str().unwrap().parse().unwrap();
            let id = self.log_id();
            let payload =
                json!({"body": entry["canonicalizedBody"], "integratedTime": integrated, "logIndex": 1, "logID": id});
            let promise = &entry["inclusionPromise"]["signedEntryTimestamp"];
            insert("bundle", json!({"SignedEntryTimestamp": promise, "Payload": payload}).to_string());
        }
        if evidence.timestamp {
            let stamp = base64(&self.stamp(stamped, evidence.forgery));
            insert("rfc3161timestamp", json!({"SignedRFC3161Timestamp": stamp}).to_string());
        }
        annotations
    }

    fn log_id(&self) -> String {
        hex(&self.logs.first_id())
    }

    fn stamp(&self, bytes: &[u8], forgery: Option<Forgery>) -> Vec<u8> {
        match forgery {
            Some(Forgery::Clock) => self.other_clock.stamp(&sha256(bytes), self.signed_at()),
            Some(Forgery::TimestampSubject) => self.clock.stamp(&sha256(b"other"), self.signed_at()),
            Some(Forgery::TimestampTime) => {
                self.clock.stamp(&sha256(bytes), self.signed_at() + SignedDuration::from_mins(20))
            }
            _ => self.clock.stamp(&sha256(bytes), self.signed_at()),
        }
    }
}

// === impl By ===

impl By<'_> {
    fn sign(self, bytes: &[u8], evidence: Evidence) -> Vec<u8> {
        let bytes = if evidence.forgery == Some(Forgery::Signature) { b"other" } else { bytes };
        match self {
            Self::Key(key, scheme) => key.sign(scheme, bytes),
            Self::Leaf(leaf) => leaf.key.sign(Scheme::Own, bytes),
        }
    }

    fn signer(self) -> Signer {
        match self {
            Self::Key(key, _) => Signer::Key(key.spki()),
            Self::Leaf(leaf) => Signer::Certificate(leaf.der.clone()),
        }
    }
}

/// A certificate of ten minutes for an identity.
fn identity(from: Timestamp, subject: &str, issuer: &str, claims: &[(u64, &str)]) -> Request {
    let utf8 = |text: &str| yasna::construct_der(|writer| writer.write_utf8_string(text));
    let oid = |number| vec![1, 3, 6, 1, 4, 1, 57264, 1, number];
    let mut request = Request::new(from, from + SignedDuration::from_mins(10));
    request.names = vec![match subject {
        uri if uri.contains("://") => SanType::URI(uri.try_into().unwrap()),
        email if email.contains('@') => SanType::Rfc822Name(email.try_into().unwrap()),
        name => SanType::OtherName((oid(7), name.to_owned().into())),
    }];
    request.extensions = vec![(oid(1), issuer.as_bytes().to_vec()), (oid(8), utf8(issuer))];
    request.extensions.extend(claims.iter().map(|(number, value)| (oid(*number), utf8(value))));
    request
}

/// An in-toto statement about an image.
pub fn statement(digest: &str, predicate_type: &str, predicate: &Value) -> String {
    let (algorithm, hex) = digest.split_once(':').unwrap();
    json!({"_type": "https://in-toto.io/Statement/v1", "subject": [{"name": "image", "digest": {algorithm: hex}}],
        "predicateType": predicate_type, "predicate": predicate})
    .to_string()
}

/// The envelope of a statement, its signature, and what that is over.
fn envelope(by: By<'_>, statement: &str, evidence: Evidence) -> (Value, Vec<u8>, Vec<u8>) {
    let signed = pae(IN_TOTO, statement.as_bytes());
    let signature = by.sign(&signed, evidence);
    let signatures = json!([{"sig": base64(&signature)}]);
    let envelope = json!({"payload": base64(statement.as_bytes()), "payloadType": IN_TOTO, "signatures": signatures});
    (envelope, signature, signed)
}
