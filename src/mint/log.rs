//! Transparency logs of both versions: entries, promises, proofs and checkpoints.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::key::Kind;
use crate::{Forgery, Key, Scheme, base64, hex, pem, sha256};

/// What an entry is about.
pub struct Logged<'a> {
    /// SHA-256 of what was signed: of the bytes of a bare signature, or of what was encoded of an envelope.
    pub hash: [u8; 32],
    /// The payload and its type, of an envelope.
    pub envelope: Option<(&'a str, &'a [u8])>,
    /// The signature.
    pub signature: &'a [u8],
    /// Who signed.
    pub signer: Signer,
}

/// Who signed.
pub enum Signer {
    /// A SubjectPublicKeyInfo in DER.
    Key(Vec<u8>),
    /// A certificate in DER.
    Certificate(Vec<u8>),
}

/// Kinds of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// `hashedrekord` or `dsse` of version 1, with a promise and a proof.
    V1,
    /// `intoto` 0.0.2 of version 1.
    Intoto,
    /// `hashedrekord` of version 2, with a proof alone.
    V2,
}

/// Two logs, one of each version.
pub struct Logs {
    first: Key,
    second: Key,
    stranger: Key,
}

const ORIGIN_1: &str = "rekor.test.local - 42";
const ORIGIN_2: &str = "rekor2.test.local";

// === impl Logs ===

impl Logs {
    /// New keys.
    pub fn new() -> Self {
        Self { first: Key::p256(), second: Key::new(Kind::Ed25519), stranger: Key::p256() }
    }

    /// Name of the older log.
    pub(crate) fn first_id(&self) -> [u8; 32] {
        self.first.id()
    }

    /// The logs as a trusted root lists them.
    pub(crate) fn trusted(&self, valid: &Value) -> Value {
        let log = |url, key: &Key, details, id: &[u8]| {
            json!({"baseUrl": url, "hashAlgorithm": "SHA2_256", "logId": {"keyId": base64(id)},
                   "publicKey": {"rawBytes": base64(&key.spki()), "keyDetails": details, "validFor": valid}})
        };
        json!([
            log("https://rekor.test.local", &self.first, "PKIX_ECDSA_P256_SHA_256", &self.first.id()),
            log("https://rekor2.test.local", &self.second, "PKIX_ED25519", &self.second_id()),
        ])
    }

    /// An entry as bundles hold it.
    pub fn entry(&self, kind: Entry, logged: &Logged<'_>, at: Timestamp, forgery: Option<Forgery>) -> Value {
        let (name, version, body) = self.body(kind, logged, forgery);
        let body = body.to_string().into_bytes();
        let other = sha256(b"\0another entry");
        let leaf = sha256(&[b"\0", body.as_slice()].concat());
        let root = sha256(&[b"\x01", &other[..], &leaf[..]].concat());
        let proven = if forgery == Some(Forgery::Proof) { sha256(b"another tree") } else { root };
        let (key, id) =
            if kind == Entry::V2 { (&self.second, self.second_id()) } else { (&self.first, self.first.id()) };
        let checkpoint = self.checkpoint(kind, key, &proven, forgery);
        let mut entry = json!({
            "logIndex": "1", "logId": {"keyId": base64(&id)}, "kindVersion": {"kind": name, "version": version},
            "canonicalizedBody": base64(&body),
            "inclusionProof": {"logIndex": "1", "rootHash": base64(&proven), "treeSize": "2", "hashes": [base64(&other)],
                               "checkpoint": {"envelope": checkpoint}},
        });
        if kind != Entry::V2 {
            let promised = at.as_second();
            let told = if forgery == Some(Forgery::PromisedTime) { promised + 1 } else { promised };
            let text = format!(
                r#"{{"body":"{}","integratedTime":{promised},"logID":"{}","logIndex":1}}"#,
                base64(&body),
                hex(&id)
            );
            let key = if forgery == Some(Forgery::Promise) { &self.stranger } else { &self.first };
            entry["integratedTime"] = json!(told.to_string());
            entry["inclusionPromise"] =
                json!({"signedEntryTimestamp": base64(&key.sign(Scheme::Own, text.as_bytes()))});
        }
        entry
    }

    fn body(&self, kind: Entry, logged: &Logged<'_>, forgery: Option<Forgery>) -> (&'static str, &'static str, Value) {
        let changed = |which, bytes: &[u8]| if forgery == Some(which) { b"other".to_vec() } else { bytes.to_vec() };
        let hash = if forgery == Some(Forgery::EntryArtifact) { sha256(b"other") } else { logged.hash };
        let signature = changed(Forgery::EntrySignature, logged.signature);
        let stranger = Signer::Key(self.stranger.spki());
        let signer = if forgery == Some(Forgery::EntrySigner) { &stranger } else { &logged.signer };
        let (verifier, raw) = match signer {
            Signer::Key(spki) => (pem("PUBLIC KEY", spki), json!({"publicKey": {"rawBytes": base64(spki)}})),
            Signer::Certificate(der) => {
                (pem("CERTIFICATE", der), json!({"x509Certificate": {"rawBytes": base64(der)}}))
            }
        };
        let verifier = base64(verifier.as_bytes());
        match (kind, logged.envelope) {
            (Entry::V2, _) => {
                let mut raw = raw;
                raw["keyDetails"] = json!("PKIX_ECDSA_P256_SHA_256");
                let data = json!({"algorithm": "SHA2_256", "digest": base64(&hash)});
                let signature = json!({"content": base64(&signature), "verifier": raw});
                let spec = json!({"hashedRekordV002": {"data": data, "signature": signature}});
                ("hashedrekord", "0.0.2", json!({"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": spec}))
            }
            (_, None) => {
                let hash = json!({"hash": {"algorithm": "sha256", "value": hex(&hash)}});
                let signature = json!({"content": base64(&signature), "publicKey": {"content": verifier}});
                let spec = json!({"data": hash, "signature": signature});
                ("hashedrekord", "0.0.1", json!({"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": spec}))
            }
            (kind, Some((payload_type, payload))) => {
                let payload = changed(Forgery::EntryArtifact, payload);
                let payload = json!({"algorithm": "sha256", "value": hex(&sha256(&payload))});
                let envelope = json!({"algorithm": "sha256", "value": hex(&sha256(b"the envelope as it was sent"))});
                if kind == Entry::Intoto {
                    let twice = base64(base64(&signature).as_bytes());
                    let signatures = json!([{"publicKey": verifier, "sig": twice}]);
                    let sent = json!({"payloadType": payload_type, "signatures": signatures});
                    let content = json!({"envelope": sent, "hash": envelope, "payloadHash": payload});
                    let body = json!({"apiVersion": "0.0.2", "kind": "intoto", "spec": {"content": content}});
                    return ("intoto", "0.0.2", body);
                }
                let signatures = json!([{"signature": base64(&signature), "verifier": verifier}]);
                let spec = json!({"envelopeHash": envelope, "payloadHash": payload, "signatures": signatures});
                ("dsse", "0.0.1", json!({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec}))
            }
        }
    }

    fn checkpoint(&self, kind: Entry, key: &Key, root: &[u8], forgery: Option<Forgery>) -> String {
        let (origin, id) = match kind {
            Entry::V2 => (ORIGIN_2, self.second_id()),
            _ => (ORIGIN_1, key.id()),
        };
        let key = if forgery == Some(Forgery::Checkpoint) { &self.stranger } else { key };
        let body = format!("{origin}\n2\n{}\n", base64(root));
        let line = [&id[..4], &key.sign(Scheme::Own, body.as_bytes())].concat();
        let name = origin.split(' ').next().unwrap();
        let body = if forgery == Some(Forgery::Origin) { body.split_once('\n').unwrap().1 } else { &body };
        format!("{body}\n\u{2014} {name} {}\n", base64(&line))
    }

    /// Logs of version 2 are named by their origin and key (C2SP `signed-note`).
    fn second_id(&self) -> [u8; 32] {
        let spki = self.second.spki();
        let raw = &spki[spki.len() - 32..];
        sha256(&[ORIGIN_2.as_bytes(), b"\n\x01", raw].concat())
    }
}

impl Default for Logs {
    fn default() -> Self {
        Self::new()
    }
}

/// The time that a log signs, unless it is to be wrong.
pub(crate) fn time(signed: Timestamp, now: Timestamp, forgery: Option<Forgery>) -> Timestamp {
    match forgery {
        Some(Forgery::Expired) => signed + SignedDuration::from_mins(20),
        Some(Forgery::FutureEntry) => now + SignedDuration::from_hours(1),
        _ => signed,
    }
}
