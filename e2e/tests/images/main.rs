//! Images out of real registries: Debian's, which knows no referrers, with a password and with tokens, and one that
//! knows them; all with TLS.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use ::base64::Engine;
use ::base64::prelude::BASE64_STANDARD;
use aws_lc_rs::digest;
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use stockade_e2e::images::looked_at;
use stockade_e2e::registry::Registry;
use stockade_e2e::tools;
use stockade_engine::images::{Answer, Credentials, Evidence, Resolved, Wanted};
use stockade_images::Images;
use stockade_images::credentials::{CredentialSource, DockerConfig, NoCredentials};
use stockade_images::gather::NoCluster;
use stockade_policy::images::authority::{HashAlgorithm, KeyAuthority, KeySource, Need, TrustedRoot};
use stockade_policy::images::{Authority, AuthorityKind, ImageReference, RegistrySettings};

mod command_line;
mod ferro;
mod https;
mod tokens;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The repository of all tests.
const APP: &str = "shop/web";

/// A key pair of a user.
struct Key(EcdsaKeyPair);

/// An image that was pushed: its manifest, and the digest of that.
struct Pushed {
    manifest: Vec<u8>,
    digest: String,
}

/// The registry's password for who asks from the namespace `shop`, nothing for others.
struct PullSecret(String);

impl CredentialSource for PullSecret {
    fn docker_configs<'a>(
        &'a self,
        asked: &'a Credentials,
    ) -> BoxFuture<'a, Result<Vec<Arc<DockerConfig>>, NoCredentials>> {
        let has_secret = &*asked.namespace == "shop";
        let configs = has_secret.then(|| Arc::new(DockerConfig::of_secret(self.0.as_bytes()).unwrap()));
        Box::pin(async { Ok(configs.into_iter().collect()) })
    }
}

impl Key {
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    fn sign(&self, content: &[u8]) -> String {
        base64(self.0.sign(&SystemRandom::new(), content).unwrap())
    }

    fn pem(&self) -> String {
        let der: PublicKeyX509Der<'_> = self.0.public_key().as_der().unwrap();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", base64(der.as_ref()))
    }

    fn authority(&self) -> Arc<Authority> {
        let key = KeyAuthority { source: KeySource::Inline(self.pem().into()), hash: HashAlgorithm::Sha256 };
        let no = Need::NotRequired;
        Arc::new(Authority::new("release".into(), AuthorityKind::Key(key), no, no, TrustedRoot::PublicGood))
    }
}

fn base64(content: impl AsRef<[u8]>) -> String {
    BASE64_STANDARD.encode(content)
}

fn sha256(content: &[u8]) -> String {
    let hex: String = digest::digest(&digest::SHA256, content).as_ref().iter().map(|b| format!("{b:02x}")).collect();
    format!("sha256:{hex}")
}

fn blob(registry: &Registry, media_type: &str, content: &str) -> Value {
    registry.blob(APP, media_type, &sha256(content.as_bytes()), content.as_bytes())
}

/// Pushes a manifest under a tag; without one under its digest.
fn manifest(registry: &Registry, tag: Option<&str>, media_type: &str, mut content: Value) -> Pushed {
    content["schemaVersion"] = 2.into();
    content["mediaType"] = media_type.into();
    let manifest = content.to_string().into_bytes();
    let digest = sha256(&manifest);
    registry.manifest(APP, tag.unwrap_or(&digest), media_type, &manifest);
    Pushed { manifest, digest }
}

fn image(registry: &Registry, tag: &str, user: &str) -> Pushed {
    let config = json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": []},
        "config": {"User": user}});
    let config = blob(registry, CONFIG, &config.to_string());
    let layer = blob(registry, "application/vnd.oci.image.layer.v1.tar+gzip", "no layer is ever read");
    manifest(registry, Some(tag), MANIFEST, json!({"config": config, "layers": [layer]}))
}

/// As `cosign sign --key` before version 3.
fn sign_by_tag(registry: &Registry, key: &Key, image: &Pushed) {
    let payload = json!({"critical": {"identity": {"docker-reference": ""}, "type": "cosign container image signature",
        "image": {"docker-manifest-digest": image.digest}}, "optional": {}});
    let payload = payload.to_string();
    let mut layer = blob(registry, SIMPLE_SIGNING, &payload);
    layer["annotations"] = json!({"dev.cosignproject.cosign/signature": key.sign(payload.as_bytes())});
    let config = blob(registry, CONFIG, "{}");
    let tag = format!("{}.sig", image.digest.replace(':', "-"));
    manifest(registry, Some(&tag), MANIFEST, json!({"config": config, "layers": [layer]}));
}

/// As version 3: a bundle that refers to the image. Where referrers are unknown, the pusher keeps the list under the
/// fallback tag.
fn sign_by_bundle(registry: &Registry, key: &Key, image: &Pushed, has_referrers: bool) {
    let hash = digest::digest(&digest::SHA256, &image.manifest);
    let bundle = json!({"mediaType": BUNDLE, "verificationMaterial": {"publicKey": {"hint": ""}, "tlogEntries": []},
        "messageSignature": {"messageDigest": {"algorithm": "SHA2_256", "digest": base64(hash)},
            "signature": key.sign(&image.manifest)}});
    let layer = blob(registry, BUNDLE, &bundle.to_string());
    let subject = json!({"mediaType": MANIFEST, "digest": image.digest, "size": image.manifest.len()});
    let config = blob(registry, EMPTY, "{}");
    let artifact = json!({"artifactType": BUNDLE, "config": config, "layers": [layer], "subject": subject});
    let pushed = manifest(registry, None, MANIFEST, artifact);
    if !has_referrers {
        let listed = json!({"mediaType": MANIFEST, "digest": pushed.digest, "size": pushed.manifest.len()});
        let tag = image.digest.replace(':', "-");
        manifest(registry, Some(&tag), INDEX, json!({"manifests": [listed]}));
    }
}

fn settings(registry: &Registry) -> RegistrySettings {
    RegistrySettings {
        host: registry.host.as_str().into(),
        mirrors: Vec::new(),
        ca_bundle: Some(registry.ca_pem.as_str().into()),
        plain_http: false,
        allow_private_addresses: true,
    }
}

fn wanted(registry: &Registry, image: &str, key: &Key) -> Wanted {
    Wanted {
        reference: ImageReference::parse(&format!("{}/{APP}{image}", registry.host)).unwrap(),
        authorities: vec![key.authority()],
        attestations: Vec::new(),
        details: true,
        registry: Some(Arc::new(settings(registry))),
        credentials: Credentials { namespace: "shop".into(), ..Credentials::default() },
    }
}

fn images(registry: &Registry) -> Images {
    let secret = PullSecret(registry.docker_config());
    Images::new(vec![Arc::new(secret)], Arc::new(NoCluster), &mut Default::default())
}

/// Answer about the signature, and users of all platforms.
fn told(evidence: &Evidence) -> (String, String) {
    let signed = match &evidence.signatures[0].1 {
        Answer::Verified(_) => "verified".to_owned(),
        Answer::NotSigned(found) => format!("not signed: {found}"),
        Answer::Invalid(why) => format!("invalid: {why}"),
        Answer::Unavailable(unseen) => format!("{}: {unseen}", unseen.cause.name()),
    };
    let users = match evidence.details.as_ref().unwrap() {
        Answer::Verified(all) => all.iter().map(|p| p.user.clone()).collect::<Vec<_>>().join(","),
        other => other.name().to_owned(),
    };
    (signed, users)
}

/// What holds of every registry.
async fn images_are_found_and_verified(registry: &Registry, has_referrers: bool) {
    let (key, other) = (Key::new(), Key::new());
    let by_tag = image(registry, "by-tag", "1");
    sign_by_tag(registry, &key, &by_tag);
    let by_bundle = image(registry, "by-bundle", "2");
    sign_by_bundle(registry, &key, &by_bundle, has_referrers);
    image(registry, "unsigned", "3");
    let by_other = image(registry, "by-other", "4");
    sign_by_tag(registry, &other, &by_other);
    let platform = |of: &Pushed, architecture: &str| {
        json!({"mediaType": MANIFEST, "digest": of.digest, "size": of.manifest.len(),
            "platform": {"os": "linux", "architecture": architecture}})
    };
    let both = json!({"manifests": [platform(&by_tag, "amd64"), platform(&by_bundle, "arm64")]});
    manifest(registry, Some("platforms"), INDEX, both);
    let half = json!({"manifests": [platform(&by_tag, "amd64"), platform(&by_other, "arm64")]});
    manifest(registry, Some("half"), INDEX, half);

    let images = images(registry);
    let by_digest = format!("@{}", by_tag.digest);
    let missing = format!("@sha256:{}", "0".repeat(64));
    let table = [
        (":by-tag", "verified", "1"),
        (&by_digest, "verified", "1"),
        (":by-bundle", "verified", "2"),
        (":unsigned", "not signed: ", "3"),
        (":by-other", "not signed: 1 found, by another key, or changed after it was signed", "4"),
        (":platforms", "verified", "1,2"),
        (":half", "not signed: 1 of its 2 platforms are not signed", "1,4"),
    ];
    for (reference, signed, users) in table {
        let evidence = looked_at(&images, &wanted(registry, reference, &key)).await;
        assert_eq!(told(&evidence), (signed.to_owned(), users.to_owned()), "{reference}");
    }
    for reference in [":nothing", &missing] {
        let evidence = looked_at(&images, &wanted(registry, reference, &key)).await;
        assert!(matches!(evidence.digest, Resolved::NotFound(_)), "{reference}: {:?}", evidence.digest);
    }
    whoever_is_not_let_in_knows_nothing(registry, &images, &key, &by_tag.digest).await;
    a_replaced_tag_is_another_image(registry, &key).await;
}

/// Whoever is not let in, or does not trust the certificate, knows nothing.
async fn whoever_is_not_let_in_knows_nothing(registry: &Registry, images: &Images, key: &Key, digest: &str) {
    for reference in [":by-tag", &format!("@{digest}")] {
        let mut stranger = wanted(registry, reference, key);
        stranger.credentials.namespace = "other".into();
        let (signed, _) = told(&*looked_at(images, &stranger).await);
        assert!(signed.starts_with("unauthorized: ") && signed.contains("answered 401 and no credentials"), "{signed}");
    }
    let untrusted = RegistrySettings { ca_bundle: None, ..settings(registry) };
    let wanted = Wanted { registry: Some(Arc::new(untrusted)), ..wanted(registry, ":unsigned", key) };
    let images = self::images(registry);
    let (signed, _) = told(&*looked_at(&images, &wanted).await);
    assert!(signed.starts_with("unavailable: ") && signed.contains("; set caBundle for this registry"), "{signed}");
}

/// A tag that is pushed again means something else for those who have not asked before; a digest never does.
async fn a_replaced_tag_is_another_image(registry: &Registry, key: &Key) {
    let first = image(registry, "moving", "5");
    sign_by_tag(registry, key, &first);
    let images = images(registry);
    let by_tag = wanted(registry, ":moving", key);
    let pinned = wanted(registry, &format!(":moving@{}", first.digest), key);
    assert_eq!(told(&*looked_at(&images, &by_tag).await), ("verified".into(), "5".into()));
    image(registry, "moving", "6");
    assert_eq!(told(&*looked_at(&images, &pinned).await), ("verified".into(), "5".into()));
    let fresh = self::images(registry);
    assert_eq!(told(&*looked_at(&fresh, &by_tag).await), ("not signed: ".into(), "6".into()));
    assert_eq!(told(&*looked_at(&fresh, &pinned).await), ("verified".into(), "5".into()));
}

/// A runtime that may block: pushes do.
fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(test);
}

#[test]
fn a_registry_that_knows_referrers_has_signed_images() {
    let registry = ferro::start();
    run(images_are_found_and_verified(&registry, true));
}

#[test]
fn a_registry_that_knows_no_referrers_has_signed_images() {
    if !tools::all_present(&["docker-registry"]) {
        return;
    }
    let registry = Registry::debian();
    run(images_are_found_and_verified(&registry, false));
}

#[test]
fn a_registry_that_sends_everybody_to_a_token_service_has_signed_images() {
    if !tools::all_present(&["docker-registry"]) {
        return;
    }
    let registry = tokens::start();
    run(images_are_found_and_verified(&registry, false));
}
