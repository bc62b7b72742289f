//! Envelopes of the Notary Project.

use jiff::SignedDuration;
use serde_json::{Value, json};
use stockade_mint::Notary;
use stockade_mint::key::Kind;
use stockade_policy::images::AuthorityKind;
use stockade_policy::images::authority::{Need, TrustedIdentity};

use super::{assert_told, authority, image, image_text, keyless, now, told};
use crate::verify::{ResolvedAuthority, SignedDescriptor, notation};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const EXPIRY: &str = "io.cncf.notary.expiry";
const SCHEME: &str = "io.cncf.notary.signingScheme";
const AUTHENTIC: &str = "io.cncf.notary.authenticSigningTime";

fn notary(kind: Kind) -> Notary {
    Notary::new(now(), kind, SignedDuration::from_hours(48))
}

fn trusting(notary: &Notary, identity: TrustedIdentity) -> ResolvedAuthority {
    let trust_store = notary.trust_store().into();
    let kind = AuthorityKind::Notation { trust_store, trusted_identities: vec![identity] };
    authority(kind, Need::NotRequired, Need::NotRequired)
}

fn judged(envelope: &Value, authority: &ResolvedAuthority) -> String {
    let subject = SignedDescriptor { media_type: INDEX, digest: &image(), size: 10 };
    told(notation(envelope.to_string().as_bytes(), &subject, authority, now()))
}

fn subject(attributes: &[(&str, &str)]) -> TrustedIdentity {
    TrustedIdentity::Subject(attributes.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
}

#[test]
fn every_algorithm_of_the_specification_verifies() {
    let rows = [Kind::P256, Kind::P384, Kind::P521, Kind::Rsa2048, Kind::Rsa3072].map(|kind| {
        let notary = notary(kind);
        let envelope = notary.sign(&notary.headers(), INDEX, &image_text(), 10);
        (format!("{kind:?}"), judged(&envelope, &trusting(&notary, TrustedIdentity::Any)), "verified by C=DE")
    });
    assert_told(rows.into());
}

#[test]
fn a_certificate_may_be_its_own_root_if_it_is_in_the_trust_store() {
    let [one, other] = [(); 2].map(|()| Notary::alone(now(), SignedDuration::from_hours(48)));
    let envelope = one.sign(&one.headers(), INDEX, &image_text(), 10);
    let [mine, foreign] = [&one, &other].map(|notary| judged(&envelope, &trusting(notary, TrustedIdentity::Any)));
    assert_told(vec![
        ("mine".into(), mine, "verified by C=DE"),
        ("foreign".into(), foreign, "invalid: its certificate"),
    ]);
}

#[test]
fn signed_headers_are_held_to_the_specification() {
    let notary = notary(Kind::P256);
    let any = trusting(&notary, TrustedIdentity::Any);
    let hour = SignedDuration::from_hours(1);
    let (past, future) = ((now() - hour).to_string(), (now() + hour).to_string());
    let long_ago = (now() - SignedDuration::from_hours(100)).to_string();
    let table = [
        (vec![(EXPIRY, json!(future)), ("crit", json!([SCHEME, EXPIRY]))], "verified"),
        (vec![(EXPIRY, json!(past)), ("crit", json!([SCHEME, EXPIRY]))], "invalid: it expired at"),
        (vec![(EXPIRY, json!(future))], "invalid: a header that must be critical is not"),
        (vec![("crit", json!([]))], "invalid: a header that must be critical is not"),
        (vec![("crit", json!([SCHEME, "io.cncf.notary.verificationPlugin"]))], "verificationPlugin\" is not supported"),
        (vec![(SCHEME, json!("notary.x510"))], "invalid: its signing scheme \"notary.x510\" is not supported"),
        (vec![("alg", json!("ES384"))], "invalid: its algorithm is \"ES384\", and its key signs with ES256"),
        (vec![("alg", json!("none"))], "invalid: its algorithm is \"none\""),
        (vec![("cty", json!("text/plain"))], "invalid: its payload is of the type"),
        (vec![(AUTHENTIC, json!(past))], "invalid: its signing time is missing or not the one"),
        (vec![("io.cncf.notary.signingTime", Value::Null)], "invalid: its signing time is missing"),
        (authority_at(&past), "verified"),
        (authority_at(&future), "which is in the future"),
        // Before the certificate: a time of the signer's own choice must not revive what has expired either.
        (authority_at(&long_ago), "invalid: its certificate chain does not hold"),
    ];
    let rows = table.map(|(changes, wanted)| {
        let mut headers = notary.headers();
        for (name, value) in &changes {
            headers[*name] = value.clone();
        }
        let envelope = notary.sign(&headers, INDEX, &image_text(), 10);
        (format!("{changes:?}"), judged(&envelope, &any), wanted)
    });
    assert_told(rows.into());
}

fn authority_at(time: &str) -> Vec<(&'static str, Value)> {
    vec![
        (SCHEME, json!("notary.x509.signingAuthority")),
        (AUTHENTIC, json!(time)),
        ("io.cncf.notary.signingTime", Value::Null),
        ("crit", json!([SCHEME, AUTHENTIC])),
    ]
}

#[test]
fn an_expired_certificate_does_not_verify_whatever_time_its_envelope_claims() {
    let notary = Notary::new(now(), Kind::P256, SignedDuration::from_hours(12));
    let any = trusting(&notary, TrustedIdentity::Any);
    let envelope = notary.sign(&notary.headers(), INDEX, &image_text(), 10);
    let mut headers = notary.headers();
    for (name, value) in authority_at(&(now() - SignedDuration::from_hours(20)).to_string()) {
        headers[name] = value;
    }
    let claimed = notary.sign(&headers, INDEX, &image_text(), 10);
    assert_told(vec![
        (
            "now".into(),
            judged(&envelope, &any),
            "invalid: its certificate chain does not hold: the certificate was valid",
        ),
        ("claimed".into(), judged(&claimed, &any), "invalid: its certificate chain does not hold: the certificate was"),
    ]);
}

#[test]
fn trusted_identities_are_attributes_of_the_subject() {
    let notary = notary(Kind::P256);
    let envelope = notary.sign(&notary.headers(), INDEX, &image_text(), 10);
    let judged = |attributes: &[(&str, &str)]| judged(&envelope, &trusting(&notary, subject(attributes)));
    let shop = [("C", "DE"), ("ST", "Berlin"), ("O", "Shop")];
    assert_told(vec![
        ("some".into(), judged(&shop), "verified"),
        ("all".into(), judged(&[shop[0], shop[1], shop[2], ("CN", "signer")]), "verified"),
        (
            "another name".into(),
            judged(&[shop[0], shop[1], shop[2], ("CN", "else")]),
            "not by this authority: signed by C=DE",
        ),
        ("part of a value".into(), judged(&[shop[0], shop[1], ("O", "Sho")]), "not by this authority"),
        ("absent".into(), judged(&[shop[0], shop[1], shop[2], ("OU", "Shop")]), "not by this authority"),
        ("unknown".into(), judged(&[shop[0], shop[1], shop[2], ("X", "Shop")]), "not by this authority"),
    ]);
}

#[test]
fn the_envelope_must_be_about_the_image_and_by_its_own_chain() {
    let (notary, other) = (notary(Kind::P256), notary(Kind::P256));
    let any = trusting(&notary, TrustedIdentity::Any);
    let headers = notary.headers();
    let sign = |media_type: &str, digest: &str, size| notary.sign(&headers, media_type, digest, size);
    let good = sign(INDEX, &image_text(), 10);
    let changed = |member: &str, value: Value| {
        let mut envelope = good.clone();
        envelope[member] = value;
        envelope
    };
    let foreign = other.sign(&other.headers(), INDEX, &image_text(), 10);
    let chain = good["header"]["x5c"].clone();
    let mixed = json!({"x5c": [chain[0], foreign["header"]["x5c"][1]]});
    let cut = json!({"x5c": [chain[0]]});
    let turned = json!({"x5c": [chain[1], chain[0]]});
    assert_told(vec![
        ("good".into(), judged(&good, &any), "verified"),
        (
            "another image".into(),
            judged(&sign(INDEX, &format!("sha256:{}", "ab".repeat(32)), 10), &any),
            "about another image",
        ),
        ("another type".into(), judged(&sign("text/plain", &image_text(), 10), &any), "with another type or size"),
        ("another size".into(), judged(&sign(INDEX, &image_text(), 11), &any), "with another type or size"),
        ("another root".into(), judged(&foreign, &any), "not by this authority: signed by C=DE"),
        (
            "another's chain".into(),
            judged(&changed("header", mixed), &any),
            "invalid: its certificate chain does not hold",
        ),
        ("half a chain".into(), judged(&changed("header", cut), &any), "do not end at a root"),
        ("turned chain".into(), judged(&changed("header", turned), &any), "are not a chain"),
        ("no chain".into(), judged(&changed("header", json!({"x5c": []})), &any), "no certificate"),
        (
            "another signature".into(),
            judged(&changed("signature", foreign["signature"].clone()), &any),
            "does not verify",
        ),
        ("another member".into(), judged(&changed("signatures", json!([])), &any), "unknown field"),
        (
            "for Sigstore's".into(),
            judged(&good, &keyless()),
            "not by this authority: signed by the Notary Project's tools",
        ),
    ]);
    let subject = SignedDescriptor { media_type: INDEX, digest: &image(), size: 10 };
    let cose = told(notation(&[0xd2, 0x84, 0x58], &subject, &any, now()));
    assert!(cose.contains("COSE, which is not supported"), "{cose}");
}
