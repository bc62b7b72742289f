//! One byte is changed, anywhere: what is answered is a refusal, or the very same answer, where the byte is one that
//! nobody signed and that decides nothing (a hint, an unused copy).

use std::collections::BTreeMap;

use stockade_mint::key::Kind;
use stockade_mint::sigstore::{By, statement};
use stockade_mint::{Evidence, Key, Notary, Scheme};
use stockade_policy::images::AuthorityKind;
use stockade_policy::images::authority::{Need, TrustedIdentity};

use super::{SIGSTORE, authority, beside, image, image_text, key, keyless, leaf, now};
use crate::verify::{Rejected, SignedDescriptor, Verified, bundle, notation, simple_signing};

/// Each byte is changed so: letters and digits become others.
const CHANGE: u8 = 0x01;

/// Changes every byte, and returns how many changes did not lead to a refusal; none may lead to another answer.
#[track_caller]
fn survivors(bytes: &[u8], judged: impl Fn(&[u8]) -> Result<Verified, Rejected>) -> usize {
    let expected = judged(bytes).unwrap();
    let mut survivors = 0;
    for at in 0..bytes.len() {
        let mut changed = bytes.to_vec();
        changed[at] ^= CHANGE;
        if let Ok(verified) = judged(&changed) {
            assert_eq!(verified, expected, "byte {at} of {}", String::from_utf8_lossy(bytes));
            survivors += 1;
        }
    }
    survivors
}

#[test]
fn of_a_payload_and_its_signature_every_byte_counts() {
    let pair = Key::p256();
    let free = key(&pair.public_pem(), Need::NotRequired, Need::NotRequired);
    let (payload, annotations) = SIGSTORE.simple_signing(By::Key(&pair, Scheme::Own), &image_text(), Evidence::NONE);
    let of_payload =
        survivors(&payload, |payload| simple_signing(payload, &beside(&annotations), &image(), &free, now()));
    let signature = annotations["dev.cosignproject.cosign/signature"].clone();
    let of_signature = survivors(signature.as_bytes(), |signature| {
        let signature = String::from_utf8_lossy(signature).into_owned();
        let annotations = BTreeMap::from([("dev.cosignproject.cosign/signature".to_owned(), signature)]);
        simple_signing(&payload, &beside(&annotations), &image(), &free, now())
    });
    assert_eq!((of_payload, of_signature), (0, 0));
}

#[test]
fn of_an_envelope_with_a_key_every_byte_counts_but_the_hint_of_the_key() {
    let pair = Key::p256();
    let free = key(&pair.public_pem(), Need::NotRequired, Need::NotRequired);
    let text = statement(&image_text(), "https://slsa.dev/provenance/v1", &serde_json::json!({}));
    let json = SIGSTORE.statement_bundle(By::Key(&pair, Scheme::Own), &text, Evidence::NONE);
    let hint = json["verificationMaterial"]["publicKey"]["hint"].as_str().unwrap().len() + "hint".len();
    let survivors = survivors(json.to_string().as_bytes(), |json| bundle(json, &image(), &free, now()));
    assert!(survivors <= hint + 1, "{survivors}");
}

#[test]
fn of_a_bundle_with_a_certificate_every_byte_counts_but_the_name_beside_the_signature_of_the_checkpoint() {
    let (leaf, authority) = (leaf(), keyless());
    let text = statement(&image_text(), "https://slsa.dev/provenance/v1", &serde_json::json!({}));
    let json = SIGSTORE.statement_bundle(By::Leaf(&leaf), &text, Evidence::LOG).to_string();
    let survivors = survivors(json.as_bytes(), |json| bundle(json, &image(), &authority, now()));
    assert!(survivors <= "\u{2014} rekor.test.local".len(), "{survivors}");
}

#[test]
fn of_a_notation_envelope_every_byte_counts_but_who_made_it() {
    let notary = Notary::new(now(), Kind::P256, jiff::SignedDuration::from_hours(48));
    let trust_store = notary.trust_store().into();
    let kind = AuthorityKind::Notation { trust_store, trusted_identities: vec![TrustedIdentity::Any] };
    let authority = authority(kind, Need::NotRequired, Need::NotRequired);
    let envelope = notary.sign(&notary.headers(), "text/plain", &image_text(), 10).to_string();
    let agent = "io.cncf.notary.signingAgentmint".len();
    let survivors = survivors(envelope.as_bytes(), |envelope| {
        let subject = SignedDescriptor { media_type: "text/plain", digest: &image(), size: 10 };
        notation(envelope, &subject, &authority, now())
    });
    assert!(survivors <= agent, "{survivors}");
}
