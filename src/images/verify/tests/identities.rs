//! Whom a certificate names, and who is taken.

use stockade_mint::Evidence;
use stockade_mint::sigstore::By;
use stockade_policy::images::AuthorityKind;
use stockade_policy::images::authority::{Claim, Identity, Need, TextMatch};

use super::{IMAGE, ISSUER, SIGSTORE, SUBJECT, assert_told, authority, certificates, exact, image, now, told};
use crate::verify::bundle;

fn pattern(text: &str) -> Option<TextMatch> {
    Some(TextMatch::pattern(text).unwrap())
}

fn claim(name: &str, value: &str) -> (&'static Claim, Box<str>) {
    (Claim::by_name(name).unwrap(), value.into())
}

fn judged(subject: &str, claims: &[(u64, &str)], identity: Identity) -> String {
    let leaf = SIGSTORE.leaf(subject, ISSUER, claims, None);
    let json = SIGSTORE.bundle(By::Leaf(&leaf), IMAGE, Evidence::LOG).to_string();
    let kind = AuthorityKind::Keyless { identities: vec![identity] };
    let authority = authority(kind, Need::Required, Need::NotRequired);
    told(bundle(json.as_bytes(), &image(), &authority, now()))
}

#[test]
fn issuer_subject_and_claims_must_all_be_as_they_are_named() {
    let claims = [(12, "https://github.com/shop/web"), (14, "refs/tags/v1")];
    let identity = |issuer, subject, claims| Identity { issuer, subject, claims };
    let any = || pattern(".*");
    let rows = [
        ("exact", identity(exact(ISSUER), exact(SUBJECT), vec![]), "verified"),
        (
            "patterns",
            identity(pattern("https://token\\..*"), pattern("https://github.com/shop/.*"), vec![]),
            "verified",
        ),
        ("half a subject", identity(any(), pattern("https://github.com/shop/web"), vec![]), "not by this authority"),
        ("half an issuer", identity(pattern("https://token"), any(), vec![]), "not by this authority"),
        (
            "another subject",
            identity(exact(ISSUER), exact("https://github.com/evil/web"), vec![]),
            "not by this authority",
        ),
        ("another issuer", identity(exact("https://evil.example"), exact(SUBJECT), vec![]), "not by this authority"),
        (
            "claim",
            identity(any(), any(), vec![claim("sourceRepositoryURI", "https://github.com/shop/web")]),
            "verified",
        ),
        ("another claim", identity(any(), any(), vec![claim("sourceRepositoryRef", "refs/heads/main")]), "not by this"),
        ("no such claim", identity(any(), any(), vec![claim("buildTrigger", "push")]), "not by this authority"),
    ];
    let rows = rows.map(|(case, identity, wanted)| (case.to_owned(), judged(SUBJECT, &claims, identity), wanted));
    assert_told(rows.into());
}

#[test]
fn addresses_uris_and_other_names_are_subjects() {
    let identity = |subject: &str| Identity { issuer: exact(ISSUER), subject: exact(subject), claims: Vec::new() };
    assert_told(vec![
        ("uri".into(), judged(SUBJECT, &[], identity(SUBJECT)), "verified"),
        ("address".into(), judged("a@shop.example", &[], identity("a@shop.example")), "verified"),
        // The library knows addresses and URIs alone.
        ("other name".into(), judged("alice!shop", &[], identity("alice!shop")), "verified"),
        (
            "another".into(),
            judged("alice!shop", &[], identity("bob!shop")),
            "signed by alice!shop (issuer https://token",
        ),
    ]);
}

#[test]
fn who_signed_is_told_with_issuer_subject_and_claims() {
    let leaf = SIGSTORE.leaf(SUBJECT, ISSUER, &[(20, "push"), (11, "github-hosted")], None);
    let json = SIGSTORE.bundle(By::Leaf(&leaf), IMAGE, Evidence::LOG).to_string();
    let verified = bundle(json.as_bytes(), &image(), &super::keyless(), now()).unwrap();
    let identity = verified.signer.identity.unwrap();
    assert_eq!((identity.issuer.as_str(), identity.subject.as_str()), (ISSUER, SUBJECT));
    let claims = vec![("buildTrigger", "push".to_owned()), ("runnerEnvironment", "github-hosted".to_owned())];
    assert_eq!(identity.claims, claims);
}

#[test]
fn a_certificate_of_own_roots_is_compared_by_its_subject() {
    let leaf = SIGSTORE.plain_leaf("release@shop.example", jiff::SignedDuration::from_hours(48));
    let json = SIGSTORE.bundle(By::Leaf(&leaf), IMAGE, Evidence::NONE).to_string();
    let judged = |issuer, subject| {
        let identities = vec![Identity { issuer, subject, claims: Vec::new() }];
        let authority = certificates(identities, Need::NotRequired, Need::NotRequired);
        told(bundle(json.as_bytes(), &image(), &authority, now()))
    };
    assert_told(vec![
        ("subject".into(), judged(None, exact("release@shop.example")), "verified by release@shop.example"),
        ("another".into(), judged(None, exact("else@shop.example")), "not by this authority: signed by release@shop"),
        // No Fulcio issued it, so it says no issuer of identities.
        ("an issuer".into(), judged(exact(ISSUER), exact("release@shop.example")), "not by this authority"),
    ]);
}
