//! Authorities that cannot verify anything say why, before anything is verified.

use std::sync::Arc;

use stockade_mint::Key;
use stockade_mint::key::Kind;
use stockade_policy::images::authority::{HashAlgorithm, KeyAuthority, KeySource, MemberRef, Need, TrustedRoot};
use stockade_policy::images::{Authority, AuthorityKind};

use super::SIGSTORE;
use crate::verify::root::TrustRoot;
use crate::verify::{ResolvedAuthority, Texts};

fn resolved(source: KeySource, root: TrustedRoot, log: Need, texts: Texts<'_>) -> String {
    let kind = AuthorityKind::Key(KeyAuthority { source, hash: HashAlgorithm::Sha256 });
    let authority = Arc::new(Authority::new("a".into(), kind, log, Need::NotRequired, root));
    ResolvedAuthority::new(&authority, texts).map_or_else(|error| error.to_string(), |_| "resolved".to_owned())
}

fn inline(pem: &str) -> String {
    resolved(KeySource::Inline(pem.into()), TrustedRoot::PublicGood, Need::NotRequired, Texts::default())
}

fn member() -> MemberRef {
    MemberRef { name: "keys".into(), key: "cosign.pub".into() }
}

#[test]
fn the_root_that_is_built_in_can_be_used() {
    TrustRoot::public_good().unwrap();
}

#[test]
fn keys_that_nobody_should_sign_with_are_no_authority() {
    let pem = Key::new(Kind::Rsa2048).public_pem();
    assert_eq!(inline(&pem), "resolved");
    assert_eq!(inline("a key"), "key: not a public key in PEM (BEGIN PUBLIC KEY)");
    assert_eq!(inline(&stockade_mint::pem("PUBLIC KEY", b"junk")), "key: malformed public key");
    assert!(
        inline(include_str!("secp256k1.pem"))
            .starts_with("key: unsupported public key: ECDSA over the curve 1.3.132.0.10;")
    );
    assert!(inline(include_str!("rsa1024.pem")).starts_with("key: unsupported public key: RSA of 1024 bits;"));
}

#[test]
fn what_an_authority_names_must_be_given() {
    let pem = Key::p256().public_pem();
    let (secret, good) = (KeySource::Secret(member()), KeySource::Inline(pem.as_str().into()));
    let map = TrustedRoot::ConfigMap(member());
    let root = SIGSTORE.trusted_root();
    let given = Texts { key: Some(&pem), trusted_root: Some(&root) };
    let table = [
        (
            resolved(secret.clone(), TrustedRoot::PublicGood, Need::NotRequired, Texts::default()),
            "the key's Secret is missing",
        ),
        (resolved(secret, TrustedRoot::PublicGood, Need::NotRequired, given), "resolved"),
        (
            resolved(good.clone(), map.clone(), Need::Required, Texts::default()),
            "the trusted root's ConfigMap is missing",
        ),
        (resolved(good.clone(), map.clone(), Need::Required, given), "resolved"),
        // Nothing is asked of it.
        (resolved(good.clone(), map, Need::NotRequired, Texts::default()), "resolved"),
        (resolved(good, TrustedRoot::Inline("{}".into()), Need::Required, given), "trusted root: "),
    ];
    assert!(table.iter().all(|(got, wanted)| got.starts_with(wanted)), "{table:#?}");
}
