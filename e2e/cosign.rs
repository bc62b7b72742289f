//! A real `cosign`, which signs as its users do.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use stockade_mint::{Server, Sigstore};

use crate::registry::Registry;
use crate::tools;

/// A folder with a key pair, credentials of a registry, and a private Sigstore. Nothing leaves loopback.
pub struct Cosign {
    folder: tempfile::TempDir,
    /// The public key in PEM.
    pub key_pem: String,
    /// `trusted_root.json` of the Sigstore.
    pub trusted_root: String,
    server: Server,
}

/// How a signature or attestation is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// Under a tag of its own, as before version 3.
    Tag,
    /// In a bundle that refers to the image.
    Bundle,
}

/// Who signs without a key.
pub const EMAIL: &str = "release@shop.example";
/// Who vouches for that.
pub const ISSUER: &str = "https://issuer.test.local";
/// How every command reaches the registry.
const TO_REGISTRY: [&str; 3] = ["--yes", "--registry-cacert", "ca.pem"];

// === impl Cosign ===

impl Cosign {
    /// Makes a key pair and a Sigstore, and lets cosign write to the registry.
    pub fn new(registry: &Registry) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sigstore = Arc::new(Sigstore::new(jiff::Timestamp::now()));
        let trusted_root = sigstore.trusted_root();
        let server = Server::start(sigstore);
        for (name, content) in [
            ("config.json", registry.docker_config()),
            ("ca.pem", registry.ca_pem.clone()),
            ("trusted_root.json", trusted_root.clone()),
            ("signing_config.json", server.signing_config(false)),
            ("with_clock.json", server.signing_config(true)),
            ("predicate.json", r#"{"buildDefinition": {"buildType": "https://shop.example/build"}}"#.to_owned()),
        ] {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        let mut cosign = Self { folder, key_pem: String::new(), trusted_root, server };
        cosign.run(&["generate-key-pair"]);
        cosign.key_pem = std::fs::read_to_string(cosign.file("cosign.pub")).unwrap();
        cosign
    }

    /// `cosign sign` or `attest` with the key; the log is not asked, the timestamp authority only if so.
    pub fn with_key(&self, verb: &[&str], stored: Stored, is_stamped: bool, image: &str) {
        let bundle = format!("--new-bundle-format={}", stored == Stored::Bundle);
        let key = ["--key", "cosign.key", "--use-signing-config=false", "--tlog-upload=false", &bundle];
        let clock = format!("--timestamp-server-url={}", self.server.clock_url());
        let clock = if is_stamped { &[clock.as_str()][..] } else { &[] };
        self.run(&[verb, &key, clock, &TO_REGISTRY, &[image]].concat());
    }

    /// `cosign sign` or `attest` as somebody whom the Sigstore gives a certificate; the log is asked, the timestamp
    /// authority only if so.
    pub fn keyless(&self, verb: &[&str], stored: Stored, is_stamped: bool, image: &str) {
        let token = Server::token(ISSUER, EMAIL);
        let who = ["--identity-token", &token, "--trusted-root", "trusted_root.json"];
        let config =
            if is_stamped { "--signing-config=with_clock.json" } else { "--signing-config=signing_config.json" };
        // Tags are not for those who have such a file.
        let Server { url, .. } = &self.server;
        let [fulcio, rekor] = [format!("--fulcio-url={url}"), format!("--rekor-url={url}")];
        let clock = format!("--timestamp-server-url={}", self.server.clock_url());
        let old = ["--use-signing-config=false", "--new-bundle-format=false", &fulcio, &rekor, &clock];
        let how = match stored {
            Stored::Bundle => &[config][..],
            Stored::Tag if is_stamped => &old,
            Stored::Tag => &old[..4],
        };
        self.run(&[verb, &who, how, &TO_REGISTRY, &[image]].concat());
    }

    /// The Docker configuration that lets it write to the registry.
    pub fn docker_config(&self) -> PathBuf {
        self.file("config.json")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs cosign in the folder.
    ///
    /// # Panics
    /// When it fails, with what it said.
    fn run(&self, arguments: &[&str]) {
        let mut command = Command::new(tools::path("cosign"));
        command.args(arguments).current_dir(self.folder.path());
        command.env("HOME", self.folder.path()).env("DOCKER_CONFIG", self.folder.path()).env("COSIGN_PASSWORD", "");
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cosign {}: {said}", arguments.join(" "));
    }
}
