//! Registries of images: Debian's `docker-registry`, and how a test pushes to any.

use std::any::Any;
use std::process::{Command, Stdio};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use ureq::http::Request;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::certificates::Authority;
use crate::cluster::free_ports;
use crate::reaper::Reaper;
use crate::tools;
use crate::webhook::{WITHIN, eventually};

/// Who may pull and push.
pub const USER: &str = "shop";
/// With this password.
pub const PASSWORD: &str = "open sesame";
/// The two as `htpasswd -B` writes them.
const HTPASSWD: &str = include_str!("cluster/htpasswd");
/// A registry on loopback, with TLS and a password. It ends when it is dropped.
pub struct Registry {
    /// `127.0.0.1:PORT`, as references have it.
    pub host: String,
    /// The authority that signed its certificate.
    pub ca_pem: String,
    agent: ureq::Agent,
    /// What keeps it running.
    _running: Box<dyn Any>,
}

impl Registry {
    /// Starts Debian's, which knows no referrers.
    pub fn debian() -> Registry {
        let authority = Authority::mint("registry");
        let leaf = authority.server();
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let [port] = free_ports();
        let host = format!("127.0.0.1:{port}");
        let (certificate, key) = (file("tls.crt", &leaf.certificate_pem), file("tls.key", &leaf.key_pem));
        let config = json!({
            "version": 0.1,
            "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": folder.path().join("data")}},
            "http": {"addr": host, "tls": {"certificate": certificate, "key": key}},
            "auth": {"htpasswd": {"realm": "test", "path": file("htpasswd", HTPASSWD)}},
        });
        let config = file("config.yml", &config.to_string());
        let reaper = Reaper::start(folder.path());
        let mut serve = Command::new(tools::path("docker-registry"));
        serve.args(["serve", &config]).stdout(Stdio::null()).stderr(Stdio::null());
        let server = reaper.spawn(&mut serve);
        Registry::running(host, authority.pem, Box::new((reaper, server, folder)))
    }

    /// One that was started otherwise; `running` is dropped with it. Waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    pub fn running(host: String, ca_pem: String, running: Box<dyn Any>) -> Registry {
        let root = Certificate::from_pem(ca_pem.as_bytes()).unwrap();
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(vec![root])))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .build();
        let agent = ureq::Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .timeout_global(Some(WITHIN))
            .proxy(None)
            .build();
        let registry = Registry { host, ca_pem, agent: agent.into(), _running: running };
        eventually(|| registry.send("GET", "/v2/", "", Vec::new()), |answer| matches!(answer, Some((200, _))));
        registry
    }

    /// A Docker configuration with the password.
    pub fn docker_config(&self) -> String {
        let auth = BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}"));
        json!({"auths": {&self.host: {"auth": auth}}}).to_string()
    }

    /// Pushes a blob and gives its descriptor.
    pub fn blob(&self, repository: &str, media_type: &str, digest: &str, content: &[u8]) -> Value {
        let (code, location) = self.must("POST", &format!("/v2/{repository}/blobs/uploads/"), "", Vec::new());
        assert_eq!(code, 202);
        let path = location.strip_prefix(&format!("https://{}", self.host)).unwrap_or(&location);
        let sign = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{sign}digest={}", digest.replace(':', "%3A"));
        let (code, _) = self.must("PUT", &path, "application/octet-stream", content.to_vec());
        assert_eq!(code, 201, "{path}");
        json!({"mediaType": media_type, "digest": digest, "size": content.len()})
    }

    /// Pushes a manifest under a tag or its digest.
    pub fn manifest(&self, repository: &str, reference: &str, media_type: &str, content: &[u8]) {
        let path = format!("/v2/{repository}/manifests/{reference}");
        let (code, _) = self.must("PUT", &path, media_type, content.to_vec());
        assert_eq!(code, 201, "{path}");
    }

    fn must(&self, method: &str, path: &str, media_type: &str, body: Vec<u8>) -> (u16, String) {
        self.send(method, path, media_type, body).unwrap_or_else(|| panic!("{method} {path}: no answer"))
    }

    /// Status and `Location`; none without an answer.
    fn send(&self, method: &str, path: &str, media_type: &str, body: Vec<u8>) -> Option<(u16, String)> {
        let auth = BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}"));
        let mut request = Request::builder().method(method).uri(format!("https://{}{path}", self.host));
        request = request.header("authorization", format!("Basic {auth}"));
        if !media_type.is_empty() {
            request = request.header("content-type", media_type);
        }
        let answer = self.agent.run(request.body(body).unwrap()).ok()?;
        let location = answer.headers().get("location").and_then(|l| l.to_str().ok()).unwrap_or_default();
        Some((answer.status().as_u16(), location.to_owned()))
    }
}
