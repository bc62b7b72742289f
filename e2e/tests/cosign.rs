//! What a real `cosign` signs and attests, in a real registry, verifies; what somebody else signed does not.

#![expect(clippy::unwrap_used, reason = "a failed test ends in a panic")]

use std::sync::Arc;

use serde_json::json;
use stockade_e2e::cosign::{Cosign, EMAIL, ISSUER, Stored};
use stockade_e2e::images::looked_at;
use stockade_e2e::registry::Registry;
use stockade_e2e::tools;
use stockade_engine::images::{Answer, Credentials, Evidence, Wanted};
use stockade_images::Images;
use stockade_images::credentials::{CredentialSource, DockerConfigFile};
use stockade_images::gather::NoCluster;
use stockade_policy::images::authority::{
    HashAlgorithm, Identity, KeyAuthority, KeySource, Need, TextMatch, TrustedRoot,
};
use stockade_policy::images::{Authority, AuthorityKind, ImageReference, RegistrySettings};

#[path = "images/ferro.rs"]
mod ferro;
#[path = "images/https.rs"]
mod https;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const PROVENANCE: &str = "https://slsa.dev/provenance/v1";
const ATTEST: [&str; 5] = ["attest", "--type", "slsaprovenance1", "--predicate", "predicate.json"];

#[test]
fn what_a_real_cosign_signed_and_attested_verifies_out_of_a_registry_that_knows_no_referrers() {
    if tools::all_present(&["docker-registry", "cosign"]) {
        what_cosign_did_verifies_and_for_nobody_else(&Registry::debian());
    }
}

#[test]
fn what_a_real_cosign_signed_and_attested_verifies_out_of_a_registry_that_knows_them() {
    if tools::all_present(&["cosign"]) {
        what_cosign_did_verifies_and_for_nobody_else(&ferro::start());
    }
}

/// With a key and without one, under tags and in bundles, with the word of a timestamp authority and without.
fn what_cosign_did_verifies_and_for_nobody_else(registry: &Registry) {
    let cosign = Cosign::new(registry);
    let stranger = Cosign::new(registry);
    let told = |image: &str, authority: &Arc<Authority>| told(registry, &cosign, image, authority);
    let other = authority(&cosign, identity("nobody@shop.example"), Need::Required, Need::NotRequired);
    let all = [true, true];
    let is_none = |answers: [String; 2]| answers.map(|answer| answer.starts_with("not signed"));
    for (stored, format) in [(Stored::Tag, "cosign"), (Stored::Bundle, "bundle")] {
        let signed = [format!("verified {format}"), "verified 1 statement".to_owned()];
        for is_stamped in [false, true] {
            let (name, stamp) = (format!("{format}-{is_stamped}"), needed(is_stamped));
            let [keyed, keyless] = ["key", "person"].map(|who| push(registry, &format!("{who}-{name}")));
            for verb in [&["sign"][..], &ATTEST] {
                cosign.with_key(verb, stored, is_stamped, &keyed);
                cosign.keyless(verb, stored, is_stamped, &keyless);
            }
            let key = authority(&cosign, key(&cosign.key_pem), Need::NotRequired, stamp);
            let person = authority(&cosign, identity(EMAIL), Need::Required, stamp);
            assert_eq!(told(&keyed, &key), signed, "key, {name}");
            assert_eq!(told(&keyless, &person), signed, "person, {name}");
            assert_eq!(is_none(told(&keyed, &person)), all, "key, {name}");
            assert_eq!(is_none(told(&keyless, &other)), all, "person, {name}");
            let [who, _] = told(&keyless, &other);
            assert!(who.contains(&format!("{EMAIL} (issuer {ISSUER})")), "{who}");
        }
    }
    let [foreign, unsigned] = ["foreign", "unsigned"].map(|name| push(registry, name));
    stranger.with_key(&["sign"], Stored::Tag, false, &foreign);
    stranger.keyless(&["sign"], Stored::Bundle, false, &foreign);
    let key = authority(&cosign, key(&cosign.key_pem), Need::NotRequired, Need::NotRequired);
    let person = authority(&cosign, identity(EMAIL), Need::Required, Need::NotRequired);
    for authority in [&key, &person] {
        assert_eq!([is_none(told(&foreign, authority)), is_none(told(&unsigned, authority))], [all, all]);
    }
}

fn needed(is_needed: bool) -> Need {
    if is_needed { Need::Required } else { Need::NotRequired }
}

/// Pushes an image that differs from all others by its name, and gives its reference by digest.
fn push(registry: &Registry, name: &str) -> String {
    let repository = format!("shop/{name}");
    let config = json!({"architecture": "amd64", "os": "linux", "config": {"Labels": {"name": name}}}).to_string();
    let digest = |content: &str| format!("sha256:{}", stockade_mint::hex(&stockade_mint::sha256(content.as_bytes())));
    let media_type = "application/vnd.oci.image.config.v1+json";
    let config = registry.blob(&repository, media_type, &digest(&config), config.as_bytes());
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": []}).to_string();
    registry.manifest(&repository, &digest(&manifest), MANIFEST, manifest.as_bytes());
    format!("{}/{repository}@{}", registry.host, digest(&manifest))
}

fn key(pem: &str) -> AuthorityKind {
    AuthorityKind::Key(KeyAuthority { source: KeySource::Inline(pem.into()), hash: HashAlgorithm::Sha256 })
}

fn identity(email: &str) -> AuthorityKind {
    let exact = |text: &str| Some(TextMatch::Exact(text.into()));
    let identity = Identity { issuer: exact(ISSUER), subject: exact(email), claims: Vec::new() };
    AuthorityKind::Keyless { identities: vec![identity] }
}

fn authority(cosign: &Cosign, kind: AuthorityKind, log: Need, stamp: Need) -> Arc<Authority> {
    let root = TrustedRoot::Inline(cosign.trusted_root.as_str().into());
    Arc::new(Authority::new("a".into(), kind, log, stamp, root))
}

/// What is found of an image: its signature, and its provenance.
fn told(registry: &Registry, cosign: &Cosign, image: &str, authority: &Arc<Authority>) -> [String; 2] {
    let settings = RegistrySettings {
        host: registry.host.as_str().into(),
        mirrors: Vec::new(),
        ca_bundle: Some(registry.ca_pem.as_str().into()),
        plain_http: false,
        allow_private_addresses: true,
    };
    let wanted = Wanted {
        reference: ImageReference::parse(image).unwrap(),
        authorities: vec![Arc::clone(authority)],
        attestations: vec![(PROVENANCE.into(), vec![Arc::clone(authority)])],
        details: false,
        registry: Some(Arc::new(settings)),
        credentials: Credentials::default(),
    };
    let evidence = gathered(cosign, &wanted);
    let signature = match evidence.signed_by(authority.id).unwrap() {
        Answer::Verified(signers) => format!("verified {}", signers[0].format),
        answer => words(answer),
    };
    let statement = match evidence.attested_by(PROVENANCE, authority.id).unwrap() {
        Answer::Verified(statements) => format!("verified {} statement", statements.len()),
        answer => words(answer),
    };
    [signature, statement]
}

fn words<T>(answer: &Answer<T>) -> String {
    match answer {
        Answer::Verified(_) => "verified".to_owned(),
        Answer::NotSigned(why) => format!("not signed: {why}"),
        Answer::Invalid(why) => format!("invalid: {why}"),
        Answer::Unavailable(unseen) => format!("{}: {unseen}", unseen.cause.name()),
    }
}

fn gathered(cosign: &Cosign, wanted: &Wanted) -> Arc<Evidence> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let file: Arc<dyn CredentialSource> = Arc::new(DockerConfigFile::new(cosign.docker_config()));
        let images = Images::new(vec![file], Arc::new(NoCluster), &mut Default::default());
        looked_at(&images, wanted).await
    })
}
