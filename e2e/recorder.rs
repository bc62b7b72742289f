//! A webhook that admits everything and remembers what it was asked.
//!
//! Registered as a mutating webhook it stands between the API server's mutating and validating policies, so it sees
//! every dry-run request exactly as a real webhook would, whatever the policies then say.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::certificates::Authority;
use crate::client::Client;
use crate::documents::text;

/// Longest body read; the API server sends at most the object twice.
const BODY_LIMIT: usize = 16 << 20;

/// The reviews seen so far, by the case that caused them.
#[derive(Clone, Default)]
pub struct Recorder {
    reviews: Arc<Mutex<HashMap<String, Value>>>,
}

impl Recorder {
    /// Serves on a free port of loopback until the process ends, and registers with the cluster.
    pub fn register(client: &Client) -> Recorder {
        let authority = Authority::mint("stockade-e2e-recorder");
        let leaf = authority.server();
        let key = PrivateKeyDer::try_from(leaf.key_der).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![CertificateDer::from(leaf.certificate_der)], key)
            .unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let recorder = Recorder::default();
        let (config, server) = (Arc::new(config), recorder.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, server) = (Arc::clone(&config), server.clone());
                std::thread::spawn(move || server.serve(config, stream));
            }
        });
        let configuration = configuration(port, &authority.pem);
        client.post("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", &configuration).expect_ok();
        recorder
    }

    /// The AdmissionReview of a case, taken out.
    pub fn take(&self, case: &str) -> Option<Value> {
        self.reviews.lock().unwrap().remove(case)
    }

    fn serve(&self, config: Arc<ServerConfig>, stream: TcpStream) {
        let Ok(connection) = ServerConnection::new(config) else { return };
        let mut reader = BufReader::new(StreamOwned::new(connection, stream));
        while let Some(body) = read_request(&mut reader) {
            let Ok(review) = serde_json::from_slice::<Value>(&body) else { return };
            let answer = json!({
                "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
                "response": { "uid": text(&review, "/request/uid"), "allowed": true },
            })
            .to_string();
            if review.pointer("/request/dryRun") == Some(&Value::Bool(true)) {
                self.reviews.lock().unwrap().insert(case_of(&review), review);
            }
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                answer.len()
            );
            let writer = reader.get_mut();
            if writer.write_all((head + &answer).as_bytes()).is_err() || writer.flush().is_err() {
                return;
            }
        }
    }
}

/// Which case a review belongs to: the field manager of the request; a DELETE has none, there the object's place.
fn case_of(review: &Value) -> String {
    match text(review, "/request/options/fieldManager") {
        "" => format!(
            "{} {} {}/{}",
            text(review, "/request/operation"),
            text(review, "/request/resource/resource"),
            text(review, "/request/namespace"),
            text(review, "/request/name")
        ),
        manager => manager.to_owned(),
    }
}

/// The body of the next HTTP/1.1 request; none at the end of the connection or when it is not one that Go sends.
fn read_request(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut length = 0;
    let mut line = String::new();
    for _ in 0..100 {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let header = line.trim_end();
        if header.is_empty() {
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            return Some(body);
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok().filter(|length| *length <= BODY_LIMIT)?;
        }
    }
    None
}

fn configuration(port: u16, ca_pem: &str) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": { "name": "recorder" },
        "webhooks": [{
            "name": "recorder.stockade.dev",
            "clientConfig": { "url": format!("https://127.0.0.1:{port}/record"), "caBundle": BASE64_STANDARD.encode(ca_pem) },
            "rules": [{
                "operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"], "scope": "*",
            }],
            "matchPolicy": "Exact",
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "failurePolicy": "Fail",
            "timeoutSeconds": 30,
            // Asked again when a mutating policy ran again, so that the last review is what goes on.
            "reinvocationPolicy": "IfNeeded",
        }],
    })
}
