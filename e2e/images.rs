//! Images that tests push, with signatures beside them as `cosign` stored all of them before version 3, and the policies
//! about them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use stockade_engine::images::{Evidence as Found, Wanted};
use stockade_images::Images;
use stockade_mint::sigstore::{By, Layer};
use stockade_mint::{Evidence, Forgery, Key, Scheme, Sigstore, hex, sha256};

use crate::registry::Registry;
use crate::webhook::WITHIN;

/// What is said when nobody told in time. It is looked at on, or anew after a second: whoever asks again is told.
pub const LATE: [&str; 4] = [
    "it is still being asked",
    "the time for this request was over before its turn came",
    "no answer within",
    "no connection in time",
];

/// Who signs without a key.
pub const SIGNER: &str = "release@shop.example";
/// Who vouches for that.
pub const ISSUER: &str = "https://issuer.test.local";

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// A repository of a registry.
pub struct Repository<'r> {
    /// Where it is.
    pub registry: &'r Registry,
    /// `shop/web`
    pub name: &'r str,
}

/// Those who sign: somebody with a key, and a private Sigstore for those without.
pub struct Signers {
    /// The key pair.
    pub key: Key,
    /// Gives certificates to people.
    pub sigstore: Sigstore,
}

// === impl Repository ===

impl Repository<'_> {
    /// Pushes an image under a tag and gives its digest.
    pub fn push(&self, tag: &str, config: &Value, layers: &[Vec<u8>]) -> String {
        let layers: Vec<Value> = layers.iter().map(|layer| self.blob(LAYER, layer)).collect();
        self.manifest(tag, &self.blob(CONFIG, config.to_string().as_bytes()), &layers)
    }

    /// Pushes an image that nobody can run, whose digest is that of its label, and gives its digest.
    pub fn push_label(&self, tag: &str, label: &str) -> String {
        let config = json!({"architecture": "amd64", "os": "linux", "config": {"Labels": {"name": label}},
            "rootfs": {"type": "layers", "diff_ids": []}});
        self.push(tag, &config, &[])
    }

    /// Pushes the signatures of an image.
    pub fn push_signatures(&self, digest: &str, signatures: &[Layer]) {
        let layers = signatures.iter().map(|(payload, annotations)| {
            let mut layer = self.blob(SIMPLE_SIGNING, payload);
            layer["annotations"] = json!(annotations);
            layer
        });
        let tag = format!("{}.sig", digest.replace(':', "-"));
        self.manifest(&tag, &self.blob(CONFIG, b"{}"), &layers.collect::<Vec<_>>());
    }

    fn blob(&self, media_type: &str, content: &[u8]) -> Value {
        self.registry.blob(self.name, media_type, &digest(content), content)
    }

    fn manifest(&self, tag: &str, config: &Value, layers: &[Value]) -> String {
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
        let manifest = manifest.to_string();
        let digest = digest(manifest.as_bytes());
        self.registry.manifest(self.name, tag, MANIFEST, manifest.as_bytes());
        digest
    }
}

// === impl Signers ===

impl Signers {
    /// New ones.
    pub fn new() -> Self {
        Self { key: Key::p256(), sigstore: Sigstore::new(jiff::Timestamp::now()) }
    }

    /// A signature of the key over an image.
    pub fn with_key(&self, digest: &str, forgery: Option<Forgery>) -> Layer {
        let evidence = Evidence { forgery, ..Evidence::NONE };
        self.sigstore.simple_signing(By::Key(&self.key, Scheme::Own), digest, evidence)
    }

    /// A signature of somebody whom the Sigstore gives a certificate.
    pub fn keyless(&self, digest: &str, who: &str, forgery: Option<Forgery>) -> Layer {
        let leaf = self.sigstore.leaf(who, ISSUER, &[], forgery);
        self.sigstore.simple_signing(By::Leaf(&leaf), digest, Evidence { forgery, ..Evidence::LOG })
    }

    /// The authority `release`, which is the key.
    pub fn release(&self) -> Value {
        json!({"name": "release", "key": {"data": self.key.public_pem()}})
    }

    /// The authority `ci`, which is [`SIGNER`] by the Sigstore.
    pub fn ci(&self) -> Value {
        json!({"name": "ci", "keyless": {"identities": [{"issuer": ISSUER, "subject": SIGNER}]},
            "trustedRoot": {"data": self.sigstore.trusted_root()}})
    }
}

impl Default for Signers {
    fn default() -> Self {
        Self::new()
    }
}

/// An ImagePolicy that wants the images below `HOST/GLOB` signed by one authority. `host` is the registry as those name
/// it who pull.
pub fn policy(name: &str, registry: &Registry, host: &str, glob: &str, authority: &Value) -> Value {
    json!({
        "apiVersion": "stockade.dev/v1alpha1", "kind": "ImagePolicy", "metadata": {"name": name},
        "spec": {
            "images": [format!("{host}/{glob}")],
            "authorities": [authority],
            "registries": [{"host": host, "caBundle": registry.ca_pem, "allowPrivateAddresses": true}],
        },
    })
}

/// What is found out about an image. What was late is looked at again.
///
/// # Panics
/// When it is late each time.
pub async fn looked_at(images: &Images, wanted: &Wanted) -> Arc<Found> {
    let deadline = tokio::time::Instant::now() + WITHIN;
    loop {
        let found = images.gather(vec![wanted.clone()], deadline).await.remove(0);
        let said = format!("{found:?}");
        if !LATE.iter().any(|late| said.contains(late)) {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "nobody tells in time of {wanted:?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn digest(content: &[u8]) -> String {
    format!("sha256:{}", hex(&sha256(content)))
}
