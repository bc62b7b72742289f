//! Fulcio, the first version of Rekor, and a timestamp authority on loopback, as far as signers ask them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use x509_parser::pem::parse_x509_pem;

use crate::log::{Logged, Signer};
use crate::{Sigstore, hex, pae, pem, sha256};

/// A running instance; its thread ends with the process.
pub struct Server {
    /// Where Fulcio and Rekor are.
    pub url: String,
}

/// Longest body of a request: attestations are small in tests.
const MAX_BODY: usize = 1 << 20;

/// Path of the timestamp authority.
const CLOCK: &str = "/api/v1/timestamp";

/// Name of every entry, by which clients find it in the answer.
const ENTRY: &str = "24296fb24b8ad77a24296fb24b8ad77a24296fb24b8ad77a24296fb24b8ad77a24296fb24b8ad77a";

// === impl Server ===

impl Server {
    /// Serves an instance to whoever has a token, which is believed.
    pub fn start(sigstore: Arc<Sigstore>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away is no fault.
                let _ = answer(&sigstore, stream);
            }
        });
        Self { url }
    }

    /// Where the timestamp authority is.
    pub fn clock_url(&self) -> String {
        format!("{}{CLOCK}", self.url)
    }

    /// What `cosign sign --signing-config` reads: where Fulcio and the log are, and the timestamp authority, if it is
    /// to be asked.
    pub fn signing_config(&self, is_stamped: bool) -> String {
        let service = |url: &str| json!([{"url": url, "majorApiVersion": 1, "operator": "test", "validFor": {"start": "2020-01-01T00:00:00Z"}}]);
        let mut config = json!({"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": service(&self.url), "rekorTlogUrls": service(&self.url),
            "rekorTlogConfig": {"selector": "ANY"}, "tsaConfig": {"selector": "ANY"}});
        if is_stamped {
            config["tsaUrls"] = service(&self.clock_url());
        }
        config.to_string()
    }

    /// A token for `--identity-token`: nobody signed it.
    pub fn token(issuer: &str, email: &str) -> String {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let claims = json!({"iss": issuer, "sub": email, "email": email, "email_verified": true, "aud": "sigstore",
            "iat": 1_600_000_000, "exp": 4_000_000_000_i64});
        format!("{}.{}.{}", part(json!({"alg": "RS256", "typ": "JWT"})), part(claims), URL_SAFE_NO_PAD.encode("nobody"))
    }
}

/// Answers one request and ends the connection.
fn answer(sigstore: &Sigstore, stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mut length, mut token) = (0, String::new());
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap_or(0);
        } else if name.eq_ignore_ascii_case("authorization") {
            value.trim().trim_start_matches("Bearer ").clone_into(&mut token);
        }
    }
    let mut body = vec![0; length.min(MAX_BODY)];
    reader.read_exact(&mut body)?;
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let json = |value: Value| ("application/json", value.to_string().into_bytes());
    let (status, (kind, answer)) = match path.as_str() {
        "/api/v2/signingCert" => ("200 OK", json(certificate(sigstore, &token, &request))),
        "/api/v1/log/entries" => ("201 Created", json(entry(sigstore, &request))),
        CLOCK => match sigstore.stamped(&body) {
            Some(stamp) => ("201 Created", ("application/timestamp-reply", stamp)),
            None => ("400 Bad Request", json(json!({"message": "no request for a timestamp"}))),
        },
        _ => ("404 Not Found", json(json!({"message": path}))),
    };
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\nconnection: close\r\netag: {ENTRY}\r\n");
    let head = format!("{head}content-length: {}\r\n\r\n", answer.len());
    reader.get_mut().write_all(&[head.as_bytes(), &answer].concat())
}

/// `POST /api/v2/signingCert` of Fulcio.
fn certificate(sigstore: &Sigstore, token: &str, request: &Value) -> Value {
    let claims = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok()).unwrap_or_default();
    let claims: Value = serde_json::from_slice(&claims).unwrap_or_default();
    let key = request["publicKeyRequest"]["publicKey"]["content"].as_str().unwrap_or_default();
    let (email, issuer) = (claims["email"].as_str().unwrap_or_default(), claims["iss"].as_str().unwrap_or_default());
    let leaf = pem("CERTIFICATE", &sigstore.certify(key, email, issuer));
    let chain = [leaf, sigstore.intermediate_pem(), sigstore.root.pem()];
    json!({"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}})
}

/// `POST /api/v1/log/entries` of Rekor, for the kinds `hashedrekord` and `dsse`.
fn entry(sigstore: &Sigstore, request: &Value) -> Value {
    let bytes = |value: &Value| STANDARD.decode(value.as_str().unwrap_or_default()).unwrap_or_default();
    let spec = &request["spec"];
    let entry = if request["kind"] == "dsse" {
        let content = &spec["proposedContent"];
        let envelope = content["envelope"].as_str().unwrap_or_default();
        let envelope: Value = serde_json::from_str(envelope).unwrap_or_default();
        let (kind, payload) = (envelope["payloadType"].as_str().unwrap_or_default(), bytes(&envelope["payload"]));
        let signature = bytes(&envelope["signatures"][0]["sig"]);
        let signer = signer(&bytes(&content["verifiers"][0]));
        let hash = sha256(&pae(kind, &payload));
        sigstore.logged(&Logged { hash, envelope: Some((kind, &payload)), signature: &signature, signer })
    } else {
        let signature = bytes(&spec["signature"]["content"]);
        let signer = signer(&bytes(&spec["signature"]["publicKey"]["content"]));
        let hash = unhex(spec["data"]["hash"]["value"].as_str().unwrap_or_default());
        sigstore.logged(&Logged { hash, envelope: None, signature: &signature, signer })
    };
    let number = |value: &Value| value.as_str().and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    let proof = &entry["inclusionProof"];
    let verification = json!({
        "signedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
        "inclusionProof": {"checkpoint": proof["checkpoint"]["envelope"], "hashes": [hex(&bytes(&proof["hashes"][0]))],
            "logIndex": number(&proof["logIndex"]), "rootHash": hex(&bytes(&proof["rootHash"])),
            "treeSize": number(&proof["treeSize"])},
    });
    let id = hex(&bytes(&entry["logId"]["keyId"]));
    json!({ENTRY: {"body": entry["canonicalizedBody"], "integratedTime": number(&entry["integratedTime"]), "logID": id,
        "logIndex": 1, "verification": verification}})
}

/// SHA-256 in hexadecimal; zeros for what is none.
fn unhex(text: &str) -> [u8; 32] {
    let digit = |at: usize| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()).unwrap_or_default();
    std::array::from_fn(|at| digit(2 * at))
}

fn signer(text: &[u8]) -> Signer {
    match parse_x509_pem(text) {
        Ok((_, block)) if block.label == "CERTIFICATE" => Signer::Certificate(block.contents),
        Ok((_, block)) => Signer::Key(block.contents),
        Err(_) => Signer::Key(Vec::new()),
    }
}
