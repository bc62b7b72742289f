use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use stockade_engine::images::{Answer, Credentials, Evidence, ImageFacts, Resolved, Wanted};
use stockade_mint::sigstore::Layer;
use stockade_policy::images::authority::{HashAlgorithm, KeyAuthority, KeySource, Need, TrustedRoot};
use stockade_policy::images::{Authority, AuthorityKind, Digest, ImageReference, RegistrySettings};
use tokio::time::Instant;

use super::{Images, NoCluster};
use crate::credentials::{CredentialSource, DockerConfig, NoCredentials};
use crate::fake::{Answer as Reply, FakeRegistry, Seen, descriptor, digest};

mod answers;
mod background;
mod brought;
mod door;
mod faults;
mod races;
mod remembered;
mod tenants;

/// A key pair that signs as cosign does.
struct Key(EcdsaKeyPair);

/// What a registry has in the repository `app`, by path after `/v2/app`. Clones share it.
#[derive(Clone, Default)]
struct Shelf(Arc<Mutex<BTreeMap<String, Reply>>>);

impl Key {
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    fn sign(&self, content: &[u8]) -> String {
        STANDARD.encode(self.0.sign(&SystemRandom::new(), content).unwrap())
    }

    fn pem(&self) -> String {
        let der: PublicKeyX509Der<'_> = self.0.public_key().as_der().unwrap();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der.as_ref()))
    }

    fn authority(&self) -> Arc<Authority> {
        let key = KeyAuthority { source: KeySource::Inline(self.pem().into()), hash: HashAlgorithm::Sha256 };
        let no = Need::NotRequired;
        Arc::new(Authority::new("key".into(), AuthorityKind::Key(key), no, no, TrustedRoot::PublicGood))
    }
}

impl Shelf {
    async fn registry(&self) -> FakeRegistry {
        let shelf = self.clone();
        FakeRegistry::start(move |seen| shelf.answer(seen)).await
    }

    fn answer(&self, seen: &Seen) -> Reply {
        let path = seen.target.strip_prefix("/v2/app").unwrap_or_default();
        self.0.lock().unwrap().get(path).cloned().unwrap_or_else(|| Reply::status(404))
    }

    fn put(&self, path: impl Into<String>, answer: Reply) {
        self.0.lock().unwrap().insert(path.into(), answer);
    }

    fn blob(&self, content: &str) -> Value {
        self.put(format!("/blobs/{}", digest(content)), Reply::ok(content));
        descriptor("application/octet-stream", content)
    }

    fn manifest(&self, tag: &str, manifest: &Value) -> Digest {
        let (text, digest) = (manifest.to_string(), digest(manifest.to_string()));
        let answer = Reply::ok(text).header("docker-content-digest", digest.to_string());
        self.put(format!("/manifests/{tag}"), answer.clone());
        self.put(format!("/manifests/{digest}"), answer);
        digest
    }

    /// An image with this user, under a tag.
    fn image(&self, tag: &str, user: &str) -> Digest {
        let config = json!({"os": "linux", "architecture": "amd64", "created": "2026-01-01T00:00:00Z",
            "config": {"User": user, "Labels": {"a": "b"}, "Entrypoint": ["/app"], "Cmd": null}});
        let config = self.blob(&config.to_string());
        let layer = json!({"mediaType": "l", "digest": digest("layer").as_str(), "size": 1_u64 << 40});
        self.manifest(tag, &json!({"config": config, "layers": [layer]}))
    }

    /// An index of images, each by its architecture.
    fn index(&self, tag: &str, images: &[(&str, &Digest)]) -> Digest {
        let all: Vec<Value> = images
            .iter()
            .map(|(architecture, digest)| {
                let size = self.0.lock().unwrap()[&format!("/manifests/{digest}")].body.len();
                json!({"mediaType": "m", "digest": digest.as_str(), "size": size,
                    "platform": {"os": if *architecture == "unknown" { "unknown" } else { "linux" }, "architecture": architecture}})
            })
            .collect();
        self.manifest(tag, &json!({"manifests": all}))
    }

    /// Signs as `cosign sign --key` did before version 3; the payload says the second digest.
    fn sign_as(&self, key: &Key, image: &Digest, says: &Digest) {
        let payload = json!({"critical": {"identity": {"docker-reference": "x"}, "type": "cosign container image signature",
            "image": {"docker-manifest-digest": says.as_str()}}, "optional": null});
        let payload = payload.to_string();
        let signature = key.sign(payload.as_bytes());
        let annotations = [("dev.cosignproject.cosign/signature".to_owned(), signature)].into();
        self.signed_with(image, (payload.into_bytes(), annotations));
    }

    /// Puts a payload with its annotations where cosign looks for signatures of an image.
    fn signed_with(&self, image: &Digest, (payload, annotations): Layer) {
        let mut layer = self.blob(std::str::from_utf8(&payload).unwrap());
        layer["mediaType"] = "application/vnd.dev.cosign.simplesigning.v1+json".into();
        layer["annotations"] = json!(annotations);
        let manifest = json!({"config": self.blob("{}"), "layers": [layer]});
        self.manifest(&format!("sha256-{}.sig", image.hex()), &manifest);
    }

    fn sign(&self, key: &Key, image: &Digest) {
        self.sign_as(key, image, image);
    }

    /// Attests as `cosign attest --key` did before version 3.
    fn attest(&self, key: &Key, image: &Digest, predicate_type: &str) {
        let statement = json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": predicate_type,
            "subject": [{"name": "x", "digest": {"sha256": image.hex()}}], "predicate": {"ok": true}})
        .to_string();
        let kind = "application/vnd.in-toto+json";
        let signed = format!("DSSEv1 {} {kind} {} {statement}", kind.len(), statement.len());
        let envelope = json!({"payloadType": kind, "payload": STANDARD.encode(&statement),
            "signatures": [{"keyid": "", "sig": key.sign(signed.as_bytes())}]});
        let mut layer = self.blob(&envelope.to_string());
        layer["mediaType"] = "application/vnd.dsse.envelope.v1+json".into();
        layer["annotations"] = json!({"predicateType": predicate_type, "dev.cosignproject.cosign/signature": ""});
        let manifest = json!({"config": self.blob("{}"), "layers": [layer]});
        self.manifest(&format!("sha256-{}.att", image.hex()), &manifest);
    }
}

/// Credentials by namespace.
#[derive(Default)]
struct Secrets(BTreeMap<&'static str, String>);

impl CredentialSource for Secrets {
    fn docker_configs<'a>(
        &'a self,
        asked: &'a Credentials,
    ) -> futures_util::future::BoxFuture<'a, Result<Vec<Arc<DockerConfig>>, NoCredentials>> {
        let config = self.0.get(&*asked.namespace).map(|json| DockerConfig::of_secret(json.as_bytes()).unwrap());
        Box::pin(async { Ok(config.into_iter().map(Arc::new).collect()) })
    }
}

fn images() -> Images {
    with_credentials(Secrets::default())
}

fn with_credentials(secrets: Secrets) -> Images {
    Images::new(vec![Arc::new(secrets)], Arc::new(NoCluster), &mut Default::default())
}

fn wanted(registry: &FakeRegistry, image: &str, authorities: &[&Arc<Authority>]) -> Wanted {
    Wanted {
        reference: ImageReference::parse(&format!("{}/app{image}", registry.host())).unwrap(),
        authorities: authorities.iter().map(|a| Arc::clone(a)).collect(),
        attestations: Vec::new(),
        details: false,
        registry: Some(Arc::new(registry.settings())),
        credentials: in_namespace("shop"),
    }
}

fn in_namespace(name: &str) -> Credentials {
    Credentials { namespace: name.into(), pull_secrets: Vec::new(), service_account: "default".into() }
}

async fn gathered(images: &Images, wanted: &Wanted) -> Arc<Evidence> {
    images.gather(vec![wanted.clone()], Instant::now() + Duration::from_secs(20)).await.remove(0)
}

/// `verified`, or an answer's name and words, for the first authority.
fn signed(evidence: &Evidence) -> String {
    words(&evidence.signatures[0].1)
}

fn words<T>(answer: &Answer<T>) -> String {
    match answer {
        Answer::Verified(_) => "verified".into(),
        Answer::NotSigned(why) => format!("not signed: {why}"),
        Answer::Invalid(why) => format!("invalid: {why}"),
        Answer::Unavailable(unseen) => format!("{}: {unseen}", unseen.cause.name()),
    }
}

/// Lets time pass for everything that is remembered, while nobody waits for the network.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}
