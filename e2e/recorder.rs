//! A webhook that admits everything and remembers what it was asked.
//!
//! It is registered twice. As a mutating webhook it is asked between the API server's mutating and validating policies;
//! as a validating webhook it is asked last, with the object that the validating policies saw.

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
use crate::webhook::eventually;

/// Longest body read; the API server sends at most the object twice.
const BODY_LIMIT: usize = 16 << 20;

/// The reviews seen so far, by the case that caused them.
#[derive(Clone)]
pub struct Recorder {
    reviews: Arc<Mutex<HashMap<String, Reviews>>>,
    act: Arc<dyn Fn(&Value) + Send + Sync>,
}

/// What a webhook was asked for one request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reviews {
    /// As a mutating webhook: after mutating policies. The last one, when it was asked again.
    pub mutating: Option<Value>,
    /// As a validating webhook: only when nothing refused the request before.
    pub validating: Option<Value>,
}

impl Recorder {
    /// Serves on a free port of loopback until the process ends, registers with the cluster, and waits until it is asked
    /// as both.
    ///
    /// # Panics
    /// When it never is.
    pub fn register(client: &Client) -> Recorder {
        Self::acting(client, |_| ())
    }

    /// The same, and does something with what it is asked as a mutating webhook before it answers. It is asked again once
    /// another mutating webhook has changed the object.
    pub fn acting(client: &Client, act: impl Fn(&Value) + Send + Sync + 'static) -> Recorder {
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
        let recorder = Recorder { reviews: Arc::default(), act: Arc::new(act) };
        let (config, server) = (Arc::new(config), recorder.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, server) = (Arc::clone(&config), server.clone());
                std::thread::spawn(move || server.serve(config, stream));
            }
        });
        for (kind, plural) in [
            ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
            ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
        ] {
            let path = format!("/apis/admissionregistration.k8s.io/v1/{plural}");
            client.post(&path, &configuration(kind, port, &authority.pem)).expect_ok();
        }
        let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "probe" } });
        let asked = || {
            client.post("/api/v1/namespaces/default/configmaps?dryRun=All&fieldManager=probe", &map);
            recorder.take("probe")
        };
        eventually(asked, |reviews| reviews.mutating.is_some() && reviews.validating.is_some());
        recorder
    }

    /// The reviews of a case, taken out.
    pub fn take(&self, case: &str) -> Reviews {
        self.reviews.lock().unwrap().remove(case).unwrap_or_default()
    }

    fn serve(&self, config: Arc<ServerConfig>, stream: TcpStream) {
        let Ok(connection) = ServerConnection::new(config) else { return };
        let mut reader = BufReader::new(StreamOwned::new(connection, stream));
        while let Some((mutating, body)) = read_request(&mut reader) {
            let Ok(review) = serde_json::from_slice::<Value>(&body) else { return };
            if mutating {
                (self.act)(&review);
            }
            let answer = json!({
                "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
                "response": { "uid": text(&review, "/request/uid"), "allowed": true },
            })
            .to_string();
            if review.pointer("/request/dryRun") == Some(&Value::Bool(true)) || named_case(&review).is_some() {
                let mut reviews = self.reviews.lock().unwrap();
                let reviews = reviews.entry(case_of(&review)).or_default();
                let slot = if mutating { &mut reviews.mutating } else { &mut reviews.validating };
                *slot = Some(review);
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

/// Name of the extra of a user that names the case of a request which has no field manager.
pub const CASE_EXTRA: &str = "case";

fn named_case(review: &Value) -> Option<&str> {
    review.pointer("/request/userInfo/extra")?.get(CASE_EXTRA)?.get(0)?.as_str()
}

/// Which case a review belongs to: what the user's extra says, else the field manager of the request; a DELETE has none, there the object's place.
fn case_of(review: &Value) -> String {
    if let Some(case) = named_case(review) {
        return case.to_owned();
    }
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

/// Whether the next HTTP/1.1 request is for the mutating path, and its body; none at the end of the connection or when it is not one that Go sends.
fn read_request(reader: &mut impl BufRead) -> Option<(bool, Vec<u8>)> {
    let mut length = 0;
    let mut mutating = false;
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
            return Some((mutating, body));
        }
        mutating |= header.starts_with("POST /mutating");
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok().filter(|length| *length <= BODY_LIMIT)?;
        }
    }
    None
}

fn configuration(kind: &str, port: u16, ca_pem: &str) -> Value {
    let path = if kind.starts_with("Mutating") { "mutating" } else { "validating" };
    let mut webhook = json!({
        "name": format!("{path}.recorder.stockade.dev"),
        "clientConfig": {
            "url": format!("https://127.0.0.1:{port}/{path}"),
            "caBundle": BASE64_STANDARD.encode(ca_pem),
        },
        "rules": [{
            "operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"], "scope": "*",
        }],
        "matchPolicy": "Exact",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Fail",
        "timeoutSeconds": 30,
    });
    if path == "mutating" {
        // Asked again when a mutating policy ran again, so that the last review is what goes on.
        webhook["reinvocationPolicy"] = json!("IfNeeded");
    }
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": { "name": "recorder" },
        "webhooks": [webhook],
    })
}
