//! Cosign's `.sig` and `.att` tags.

use std::collections::BTreeMap;

use stockade_mint::key::Kind;
use stockade_mint::log::Entry;
use stockade_mint::sigstore::{By, statement};
use stockade_mint::{Evidence, Forgery, Key, Scheme};
use stockade_policy::images::authority::Need;

use super::{SIGSTORE, SUBJECT, assert_told, beside, certificates, image, image_text, key, keyless, leaf, now, told};
use crate::verify::keys::PublicKey;
use crate::verify::{ResolvedAuthority, SignatureAnnotations, dsse, simple_signing};

const BOTH: Evidence = Evidence { log: Some(Entry::V1), timestamp: true, forgery: None };

fn signed(by: By<'_>, evidence: Evidence, authority: &ResolvedAuthority) -> String {
    let (payload, annotations) = SIGSTORE.simple_signing(by, &image_text(), evidence);
    told(simple_signing(&payload, &beside(&annotations), &image(), authority, now()))
}

fn attested(by: By<'_>, evidence: Evidence, authority: &ResolvedAuthority) -> String {
    let text = statement(&image_text(), "https://slsa.dev/provenance/v1", &serde_json::json!({}));
    let (envelope, annotations) = SIGSTORE.attestation(by, &text, evidence);
    told(dsse(&envelope, &beside(&annotations), &image(), authority, now()))
}

#[test]
fn what_any_kind_of_key_signed_verifies_with_and_without_log() {
    let kinds = [Kind::P256, Kind::P384, Kind::P521, Kind::Rsa2048, Kind::Rsa3072, Kind::Ed25519];
    let mut rows = Vec::new();
    for (kind, scheme) in kinds.map(|kind| (kind, Scheme::Own)).into_iter().chain([(Kind::Rsa2048, Scheme::Pss)]) {
        let pair = Key::new(kind);
        let by = By::Key(&pair, scheme);
        let free = key(&pair.public_pem(), Need::NotRequired, Need::NotRequired);
        let all = key(&pair.public_pem(), Need::Required, Need::Required);
        rows.push((format!("{kind:?}"), signed(by, Evidence::NONE, &free), "verified by"));
        rows.push((format!("{kind:?}, all"), signed(by, BOTH, &all), "verified by"));
        rows.push((format!("{kind:?}, attested"), attested(by, Evidence::NONE, &free), "verified by"));
        rows.push((format!("{kind:?}, attested, all"), attested(by, BOTH, &all), "verified by"));
    }
    assert_told(rows);
}

#[test]
fn what_an_identity_signed_or_attested_verifies() {
    let (leaf, authority) = (leaf(), keyless());
    let by = By::Leaf(&leaf);
    let intoto = Evidence { log: Some(Entry::Intoto), ..Evidence::LOG };
    assert_told(vec![
        ("signed".into(), signed(by, Evidence::LOG, &authority), SUBJECT),
        ("signed, timestamp".into(), signed(by, BOTH, &authority), SUBJECT),
        ("attested".into(), attested(by, Evidence::LOG, &authority), SUBJECT),
        ("attested, in-toto entry".into(), attested(by, intoto, &authority), SUBJECT),
        ("no log".into(), signed(by, Evidence::NONE, &authority), "invalid: "),
    ]);
}

#[test]
fn forgeries_are_refused_for_their_own_reason() {
    let (pair, leaf) = (Key::p256(), leaf());
    let (by, all) = (By::Key(&pair, Scheme::Own), key(&pair.public_pem(), Need::Required, Need::Required));
    let identity = keyless();
    let mut rows = Vec::new();
    for (forgery, wanted) in [
        (Forgery::Promise, "the promise of its log entry is not the log's"),
        (Forgery::PromisedTime, "the promise of its log entry is not the log's"),
        (Forgery::EntrySignature, "its log entry is about another signature"),
        (Forgery::EntryArtifact, "its log entry is about something else"),
        (Forgery::EntrySigner, "its log entry is about a signature by somebody else"),
        (Forgery::FutureEntry, "which is in the future"),
        (Forgery::Clock, "its timestamp does not hold: no timestamp authority of the trusted root signed it"),
        (Forgery::TimestampSubject, "its timestamp does not hold: it is of another signature"),
    ] {
        rows.push((format!("{forgery:?}, key"), signed(by, BOTH.forged(forgery), &all), wanted));
        rows.push((format!("{forgery:?}, key, attested"), attested(by, BOTH.forged(forgery), &all), wanted));
        rows.push((format!("{forgery:?}, identity"), signed(By::Leaf(&leaf), BOTH.forged(forgery), &identity), wanted));
    }
    let expired = signed(By::Leaf(&leaf), Evidence::LOG.forged(Forgery::Expired), &identity);
    rows.push(("expired".into(), expired, "; sign the image again"));
    // Nothing in a tag says whose key it was: a changed signature is one by nobody in sight.
    let changed = signed(by, BOTH.forged(Forgery::Signature), &all);
    rows.push(("changed".into(), changed, "not by this authority: signed by another key, or changed after"));
    assert_told(rows);
}

#[test]
fn a_company_signs_with_its_own_chain() {
    let leaf = SIGSTORE.plain_leaf("release@shop.example", jiff::SignedDuration::from_hours(48));
    let authority = certificates(Vec::new(), Need::NotRequired, Need::NotRequired);
    assert_told(vec![
        ("signed".into(), signed(By::Leaf(&leaf), Evidence::NONE, &authority), "verified by release@shop.example"),
        ("attested".into(), attested(By::Leaf(&leaf), Evidence::NONE, &authority), "verified by release@shop.example"),
    ]);
}

#[test]
fn a_payload_must_be_a_signature_and_name_the_image() {
    let pair = Key::p256();
    let free = key(&pair.public_pem(), Need::NotRequired, Need::NotRequired);
    let judged = |payload: &str| {
        let signature = stockade_mint::base64(&pair.sign(Scheme::Own, payload.as_bytes()));
        let annotations = SignatureAnnotations { signature: Some(&signature), ..SignatureAnnotations::default() };
        told(simple_signing(payload.as_bytes(), &annotations, &image(), &free, now()))
    };
    let image = image_text();
    let critical = |kind: &str, digest: &str| {
        format!(r#"{{"critical":{{"type":"{kind}","image":{{"docker-manifest-digest":"{digest}"}},"identity":null}}}}"#)
    };
    let cosign = "cosign container image signature";
    let other = format!("sha256:{}", "ab".repeat(32));
    let twice = critical(cosign, &image)
        .replace("\"image\"", &format!(r#""image":{{"docker-manifest-digest":"{other}"}},"image""#));
    assert_told(vec![
        ("minimal".into(), judged(&critical(cosign, &image)), "verified"),
        ("another image".into(), judged(&critical(cosign, &other)), "invalid: its payload names another image"),
        ("another type".into(), judged(&critical("a letter", &image)), "invalid: its payload is \"a letter\""),
        ("two images".into(), judged(&twice), "invalid: its payload cannot be read: duplicate field"),
        ("no JSON".into(), judged("yes"), "invalid: its payload cannot be read"),
    ]);
}

#[test]
fn annotations_that_cannot_be_read_are_invalid_and_end_nothing() {
    let (pair, leaf) = (Key::p256(), leaf());
    let all = key(&pair.public_pem(), Need::Required, Need::Required);
    let (payload, good) = SIGSTORE.simple_signing(By::Key(&pair, Scheme::Own), &image_text(), BOTH);
    let (_, certified) = SIGSTORE.simple_signing(By::Leaf(&leaf), &image_text(), BOTH);
    let judged = |annotations: &BTreeMap<String, String>| {
        told(simple_signing(&payload, &beside(annotations), &image(), &all, now()))
    };
    let mut rows = Vec::new();
    for (name, value, wanted) in [
        ("dev.cosignproject.cosign/signature", "%", "its signature is not base64"),
        ("dev.cosignproject.cosign/signature", "", "its layer has no signature"),
        ("dev.sigstore.cosign/bundle", "{", "its log entry cannot be read"),
        ("dev.sigstore.cosign/bundle", "", "it has no entry of a transparency log"),
        ("dev.sigstore.cosign/rfc3161timestamp", "[]", "its timestamp cannot be read"),
        ("dev.sigstore.cosign/rfc3161timestamp", "", "it has no timestamp"),
        ("dev.sigstore.cosign/certificate", "no PEM", "its certificates cannot be read"),
    ] {
        let mut annotations = good.clone();
        annotations.insert(name.to_owned(), value.to_owned());
        rows.push((format!("{name} {value:?}"), judged(&annotations), wanted));
    }
    let mut two = certified.clone();
    let leaf = &certified["dev.sigstore.cosign/certificate"];
    two.insert("dev.sigstore.cosign/certificate".to_owned(), format!("{leaf}{leaf}"));
    rows.push(("two certificates".into(), judged(&two), "does not hold exactly one certificate"));
    let old = good["dev.sigstore.cosign/bundle"]
        .replace(&old_body(&good), &stockade_mint::base64(br#"{"kind":"intoto","apiVersion":"0.0.1"}"#));
    let mut annotations = good;
    annotations.insert("dev.sigstore.cosign/bundle".to_owned(), old);
    rows.push((
        "an old kind of entry".into(),
        judged(&annotations),
        "its log entry is of the kind \"intoto\" \"0.0.1\", which is not supported; cosign 2.0 and later write others",
    ));
    assert_told(rows);
}

fn old_body(annotations: &BTreeMap<String, String>) -> String {
    let entry: serde_json::Value = serde_json::from_str(&annotations["dev.sigstore.cosign/bundle"]).unwrap();
    entry["Payload"]["body"].as_str().unwrap().to_owned()
}

/// Made by `openssl dgst -sha256 -sign`, as cosign signs by default with every kind of key.
#[test]
fn a_key_of_p_384_may_sign_with_sha_256() {
    let pem = include_str!("p384.pem");
    let signature = include_str!("p384-sha256.txt").trim().replace('\n', "");
    let digest = stockade_policy::images::Digest::parse(&format!("sha256:{}", "ab".repeat(32))).unwrap();
    let payload = include_bytes!("p384-payload.json");
    let annotations = SignatureAnnotations { signature: Some(&signature), ..SignatureAnnotations::default() };
    let free = key(pem, Need::NotRequired, Need::NotRequired);
    let name = PublicKey::from_pem(pem).unwrap().fingerprint();
    let answer = told(simple_signing(payload, &annotations, &digest, &free, now()));
    assert_eq!(answer, format!("verified by {name}"));
}
