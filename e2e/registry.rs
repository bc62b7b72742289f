//! Registries of images: Debian's `docker-registry`, with a password or with tokens, and how a test pushes to any.

use std::any::Any;
use std::process::{Command, Stdio};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;
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
    /// What it is shown.
    authorization: String,
    /// What keeps it running.
    _running: Box<dyn Any + Send>,
}

/// A token service, which a registry believes.
pub struct Tokens {
    /// Where tokens are given.
    pub realm: String,
    /// Who signed the certificate of that place.
    pub ca_pem: String,
    /// Who signed the certificates of those who sign tokens.
    pub roots_pem: String,
    /// What those show who push.
    pub push: String,
    /// What keeps it running.
    pub running: Box<dyn Any + Send>,
}

impl Registry {
    /// Starts Debian's, which knows no referrers and wants a password.
    pub fn debian() -> Registry {
        let folder = tempfile::tempdir().unwrap();
        let path = write(&folder, "htpasswd", HTPASSWD);
        let (host, ca_pem, running) = start_debian(folder, &json!({"htpasswd": {"realm": "test", "path": path}}));
        Registry::running(host, ca_pem, running)
    }

    /// Starts Debian's, which sends everybody to a token service.
    pub fn debian_with(tokens: Tokens) -> Registry {
        let folder = tempfile::tempdir().unwrap();
        let roots = write(&folder, "roots.pem", &tokens.roots_pem);
        let auth = json!({"token": {"realm": tokens.realm, "service": "test", "issuer": "test",
            "rootcertbundle": roots}});
        let (host, ca_pem, running) = start_debian(folder, &auth);
        let ca_pem = format!("{ca_pem}{}", tokens.ca_pem);
        Registry::reached(host, ca_pem, tokens.push, Box::new((running, tokens.running)))
    }

    /// One that was started otherwise and wants the password; `running` is dropped with it. Waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    pub fn running(host: String, ca_pem: String, running: Box<dyn Any + Send>) -> Registry {
        let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}")));
        Registry::reached(host, ca_pem, basic, running)
    }

    fn reached(host: String, ca_pem: String, authorization: String, running: Box<dyn Any + Send>) -> Registry {
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
        let registry = Registry { host, ca_pem, agent: agent.into(), authorization, _running: running };
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
        let mut request = Request::builder().method(method).uri(format!("https://{}{path}", self.host));
        request = request.header("authorization", &self.authorization);
        if !media_type.is_empty() {
            request = request.header("content-type", media_type);
        }
        let answer = self.agent.run(request.body(body).unwrap()).ok()?;
        let location = answer.headers().get("location").and_then(|l| l.to_str().ok()).unwrap_or_default();
        Some((answer.status().as_u16(), location.to_owned()))
    }
}

fn write(folder: &TempDir, name: &str, content: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Starts Debian's registry with what it asks people for: its address, who signed its certificate, and what keeps it
/// running.
fn start_debian(folder: TempDir, auth: &Value) -> (String, String, Box<dyn Any + Send>) {
    let authority = Authority::mint("registry");
    let leaf = authority.server();
    let [port] = free_ports();
    let host = format!("127.0.0.1:{port}");
    let certificate = write(&folder, "tls.crt", &leaf.certificate_pem);
    let key = write(&folder, "tls.key", &leaf.key_pem);
    let config = json!({
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": folder.path().join("data")}},
        "http": {"addr": host, "tls": {"certificate": certificate, "key": key}},
        "auth": auth,
    });
    let config = write(&folder, "config.yml", &config.to_string());
    let reaper = Reaper::start(folder.path());
    let mut serve = Command::new(tools::path("docker-registry"));
    serve.args(["serve", &config]).stdout(Stdio::null()).stderr(Stdio::null());
    let server = reaper.spawn(&mut serve);
    (host, authority.pem, Box::new((reaper, server, folder)))
}
