//! Bundles: every piece of evidence, and each of them forged.

use std::sync::Arc;

use stockade_mint::key::Kind;
use stockade_mint::log::Entry;
use stockade_mint::sigstore::{By, statement};
use stockade_mint::{Evidence, Forgery, Key, Scheme};
use stockade_policy::images::authority::{HashAlgorithm, Identity, KeyAuthority, KeySource, Need, TrustedRoot};
use stockade_policy::images::{Authority, AuthorityKind};

use super::{
    IMAGE, ISSUER, SIGSTORE, SUBJECT, assert_told, certificates, exact, image, image_text, key, keyless, leaf, now,
    told,
};
use crate::verify::{Rejected, ResolvedAuthority, Texts, bundle};

const BOTH: Evidence = Evidence { log: Some(Entry::V1), timestamp: true, forgery: None };
const STAMPED: Evidence = Evidence { log: None, timestamp: true, forgery: None };

const NOT_IN_LOG: &str = "its log entry is not in the log: its proof does not lead to the checkpoint";
const NO_LOG_SIGNED: &str = "no log of the trusted root signed the checkpoint of its log entry";

fn judged(by: By<'_>, evidence: Evidence, authority: &ResolvedAuthority) -> String {
    let json = SIGSTORE.bundle(by, IMAGE, evidence).to_string();
    told(bundle(json.as_bytes(), &image(), authority, now()))
}

fn stated(by: By<'_>, evidence: Evidence, authority: &ResolvedAuthority) -> String {
    let text = statement(&image_text(), "https://sigstore.dev/cosign/sign/v1", &serde_json::json!({}));
    let json = SIGSTORE.statement_bundle(by, &text, evidence).to_string();
    told(bundle(json.as_bytes(), &image(), authority, now()))
}

#[test]
fn what_an_identity_signed_verifies_in_either_log_as_signature_and_as_statement() {
    let (leaf, authority) = (leaf(), keyless());
    let by = By::Leaf(&leaf);
    let intoto = Evidence { log: Some(Entry::Intoto), ..Evidence::LOG };
    let mut rows = Vec::new();
    for evidence in [Evidence::LOG, Evidence::LOG_2, BOTH] {
        rows.push((format!("{evidence:?}"), judged(by, evidence, &authority), SUBJECT));
        rows.push((format!("statement {evidence:?}"), stated(by, evidence, &authority), SUBJECT));
    }
    rows.push(("in-toto".to_owned(), stated(by, intoto, &authority), SUBJECT));
    assert_told(rows);
}

#[test]
fn each_forgery_around_a_certificate_is_refused_for_its_own_reason() {
    let authority = keyless();
    let (signed, seconds) = (SIGSTORE.signed_at().as_second(), |at: i64| jiff::Timestamp::from_second(at).unwrap());
    let (from, until, late) = (seconds(signed - 5), seconds(signed + 595), seconds(signed + 1200));
    let expired =
        format!("it was signed at {late}, and its certificate was valid from {from} to {until}; sign the image again");
    let future = format!("its log entry is of {}, which is in the future", seconds(now().as_second() + 3600));
    let table = [
        (
            BOTH,
            Forgery::CertificateLog,
            "no log of certificates that the trusted root names vouches for its certificate",
        ),
        (
            BOTH,
            Forgery::NoCertificateLog,
            "no log of certificates that the trusted root names vouches for its certificate",
        ),
        (BOTH, Forgery::Usage, "its certificate is not for signing code"),
        (Evidence::LOG, Forgery::Expired, &*expired),
        (BOTH, Forgery::TimestampTime, &*expired),
        (BOTH, Forgery::Proof, NOT_IN_LOG),
        (BOTH, Forgery::Checkpoint, NO_LOG_SIGNED),
        (Evidence::LOG_2, Forgery::Checkpoint, NO_LOG_SIGNED),
        (Evidence::LOG_2, Forgery::Proof, NOT_IN_LOG),
        (Evidence::LOG_2, Forgery::Origin, "its bundle cannot be read: Invalid checkpoint format: invalid tree size"),
        (BOTH, Forgery::Promise, "the promise of its log entry is not the log's"),
        (BOTH, Forgery::PromisedTime, "the promise of its log entry is not the log's"),
        (BOTH, Forgery::EntrySignature, "its log entry is about another signature"),
        (Evidence::LOG_2, Forgery::EntrySignature, "its log entry is about another signature"),
        (BOTH, Forgery::EntryArtifact, "its log entry is about something else"),
        (BOTH, Forgery::EntrySigner, "its log entry is about a signature by somebody else"),
        (Evidence::LOG_2, Forgery::EntrySigner, "its log entry is about a signature by somebody else"),
        (BOTH, Forgery::FutureEntry, &*future),
        (BOTH, Forgery::Clock, "its timestamp does not hold: no timestamp authority of the trusted root signed it"),
        (BOTH, Forgery::TimestampSubject, "its timestamp does not hold: it is of another signature"),
        (BOTH, Forgery::Signature, "its signature does not verify with the key of its certificate"),
    ];
    let rows = table.map(|(evidence, forgery, wanted)| {
        let leaf = SIGSTORE.leaf(SUBJECT, ISSUER, &[], Some(forgery));
        let got = judged(By::Leaf(&leaf), evidence.forged(forgery), &authority);
        (format!("{forgery:?} {evidence:?}"), got, format!("invalid: {wanted}"))
    });
    for (case, got, wanted) in rows {
        // Where in the bundle it is says nothing here.
        assert_eq!(got.split(" at line ").next(), Some(&*wanted), "{case}");
    }
}

#[test]
fn a_certificate_needs_a_log_entry_and_somebody_who_vouches_for_its_time() {
    let (leaf, authority) = (leaf(), keyless());
    let by = By::Leaf(&leaf);
    let proof_alone = Evidence { log: Some(Entry::V2), ..Evidence::LOG };
    assert_told(vec![
        ("nothing".into(), judged(by, Evidence::NONE, &authority), "invalid: it has no log entry"),
        ("no log".into(), judged(by, STAMPED, &authority), "invalid: it has no log entry"),
        ("no time".into(), judged(by, proof_alone, &authority), "invalid: nobody vouches for the time"),
    ]);
}

/// The library verifies timestamps of ECDSA alone.
#[test]
fn a_timestamp_authority_with_an_rsa_key_is_told_as_not_supported() {
    let sigstore = stockade_mint::Sigstore::with_clock(now(), Kind::Rsa2048);
    let root = TrustedRoot::Inline(sigstore.trusted_root().into());
    let (pair, leaf) = (Key::p256(), sigstore.leaf(SUBJECT, ISSUER, &[], None));
    let told = |by, kind| {
        let authority = Arc::new(Authority::new("a".into(), kind, Need::NotRequired, Need::Required, root.clone()));
        let authority = ResolvedAuthority::new(&authority, Texts::default()).unwrap();
        let json = sigstore.bundle(by, IMAGE, STAMPED).to_string();
        told(bundle(json.as_bytes(), &image(), &authority, now()))
    };
    let identity = Identity { issuer: exact(ISSUER), subject: exact(SUBJECT), claims: Vec::new() };
    let source = KeySource::Inline(pair.public_pem().into());
    let by_key =
        told(By::Key(&pair, Scheme::Own), AuthorityKind::Key(KeyAuthority { source, hash: HashAlgorithm::Sha256 }));
    let by_leaf = told(By::Leaf(&leaf), AuthorityKind::Keyless { identities: vec![identity] });
    let wanted = "invalid: its timestamp does not hold: the timestamp authority of the trusted root has a key that \
                  timestamps are not verified with; it needs one of ECDSA over P-256 or P-384";
    assert_eq!((by_key.as_str(), by_leaf.as_str()), (wanted, wanted));
}

#[test]
fn every_kind_of_key_verifies_with_a_log_without_one_and_with_a_timestamp() {
    let kinds = [
        (Kind::P256, Scheme::Own),
        (Kind::P384, Scheme::Own),
        (Kind::P521, Scheme::Own),
        (Kind::Rsa2048, Scheme::Own),
        (Kind::Rsa3072, Scheme::Pss),
        (Kind::Ed25519, Scheme::Own),
    ];
    let mut rows = Vec::new();
    for (kind, scheme) in kinds {
        let pair = Key::new(kind);
        let by = By::Key(&pair, scheme);
        let pem = pair.public_pem();
        let case = |what: &str| format!("{kind:?} {scheme:?} {what}");
        let (free, logged) =
            (key(&pem, Need::NotRequired, Need::NotRequired), key(&pem, Need::Required, Need::Required));
        rows.push((case("alone"), stated(by, Evidence::NONE, &free), "verified by"));
        rows.push((case("log"), stated(by, BOTH, &logged), "verified by"));
        rows.push((case("log 2"), stated(by, Evidence::LOG_2, &logged), "verified by"));
        rows.push((
            case("forged"),
            stated(by, Evidence::NONE.forged(Forgery::Signature), &free),
            "invalid: its signature",
        ));
    }
    assert_told(rows);
}

#[test]
fn each_forgery_around_a_key_is_refused_for_its_own_reason() {
    let pair = Key::p256();
    let by = By::Key(&pair, Scheme::Own);
    let both = key(&pair.public_pem(), Need::Required, Need::Required);
    let table = [
        (BOTH, Forgery::Proof, "its log entry is not in the log"),
        (BOTH, Forgery::Checkpoint, "no log of the trusted root signed the checkpoint"),
        (Evidence::LOG_2, Forgery::Checkpoint, "no log of the trusted root signed the checkpoint"),
        (Evidence::LOG_2, Forgery::Proof, "its log entry is not in the log"),
        (Evidence::LOG_2, Forgery::Origin, "its bundle cannot be read: Invalid checkpoint format: invalid tree size"),
        (BOTH, Forgery::Promise, "the promise of its log entry is not the log's"),
        (BOTH, Forgery::PromisedTime, "the promise of its log entry is not the log's"),
        (BOTH, Forgery::EntrySignature, "its log entry is about another signature"),
        (Evidence::LOG_2, Forgery::EntrySignature, "its log entry is about another signature"),
        (BOTH, Forgery::EntryArtifact, "its log entry is about something else"),
        (Evidence::LOG_2, Forgery::EntryArtifact, "its log entry is about something else"),
        (BOTH, Forgery::EntrySigner, "its log entry is about a signature by somebody else"),
        (Evidence::LOG_2, Forgery::EntrySigner, "its log entry is about a signature by somebody else"),
        (BOTH, Forgery::FutureEntry, "which is in the future"),
        (BOTH, Forgery::Clock, "its timestamp does not hold"),
        (BOTH, Forgery::TimestampSubject, "its timestamp does not hold"),
        (BOTH, Forgery::Signature, "does not verify with the key that it names"),
    ];
    let mut rows = Vec::new();
    for (evidence, forgery, wanted) in table {
        rows.push((format!("{forgery:?}"), judged(by, evidence.forged(forgery), &both), wanted));
        rows.push((format!("statement, {forgery:?}"), stated(by, evidence.forged(forgery), &both), wanted));
    }
    rows.push(("no log".into(), judged(by, STAMPED, &both), "invalid: "));
    rows.push(("no timestamp".into(), judged(by, Evidence::LOG, &both), "invalid: it has no timestamp"));
    assert!(rows.iter().all(|(_, got, _)| got.starts_with("invalid: ")), "{rows:#?}");
    assert_told(rows);
}

#[test]
fn a_signature_by_another_key_or_by_nobody_in_sight_is_not_by_this_authority() {
    let (pair, other, leaf) = (Key::p256(), Key::p256(), leaf());
    let free = key(&pair.public_pem(), Need::NotRequired, Need::NotRequired);
    let hint = stockade_mint::base64(&other.id());
    let other = By::Key(&other, Scheme::Own);
    let strangers = stockade_mint::Sigstore::new(now());
    let stranger = strangers.leaf(SUBJECT, ISSUER, &[], None);
    let foreign = strangers.bundle(By::Leaf(&stranger), IMAGE, Evidence::LOG).to_string();
    assert_told(vec![
        (
            "another key".into(),
            judged(other, Evidence::NONE, &free),
            &*format!("not by this authority: signed by the key {hint}"),
        ),
        (
            "a certificate".into(),
            judged(By::Leaf(&leaf), Evidence::LOG, &free),
            "not by this authority: signed by https",
        ),
        ("a key".into(), judged(other, Evidence::LOG, &keyless()), "not by this authority: signed by the key"),
        (
            "another instance".into(),
            told(bundle(foreign.as_bytes(), &image(), &keyless(), now())),
            "by a certificate of an unknown authority",
        ),
    ]);
}

#[test]
fn what_was_signed_after_now_does_not_verify_yet() {
    let (pair, leaf) = (Key::p256(), leaf());
    let logged = key(&pair.public_pem(), Need::Required, Need::NotRequired);
    let before = SIGSTORE.signed_at() - jiff::SignedDuration::from_secs(1);
    let judged = |by, authority: &ResolvedAuthority| {
        let json = SIGSTORE.bundle(by, IMAGE, Evidence::LOG).to_string();
        told(bundle(json.as_bytes(), &image(), authority, before))
    };
    assert_told(vec![
        ("identity".into(), judged(By::Leaf(&leaf), &keyless()), "invalid: it was signed at"),
        ("key".into(), judged(By::Key(&pair, Scheme::Own), &logged), "which is in the future"),
    ]);
}

#[test]
fn a_chain_of_own_roots_holds_now_or_when_it_was_signed() {
    let days = SIGSTORE.plain_leaf("release@shop.example", jiff::SignedDuration::from_hours(48));
    let minutes = SIGSTORE.plain_leaf("release@shop.example", jiff::SignedDuration::from_mins(10));
    let [free, logged, stamped] = [
        (Need::NotRequired, Need::NotRequired),
        (Need::Required, Need::NotRequired),
        (Need::NotRequired, Need::Required),
    ]
    .map(|(log, timestamp)| certificates(Vec::new(), log, timestamp));
    let name = "verified by release@shop.example";
    assert_told(vec![
        ("valid now".into(), judged(By::Leaf(&days), Evidence::NONE, &free), name),
        (
            "expired, nobody vouches".into(),
            judged(By::Leaf(&minutes), Evidence::NONE, &free),
            "invalid: its certificate chain does not hold: the certificate was valid until",
        ),
        (
            "expired, evidence not asked for".into(),
            judged(By::Leaf(&minutes), BOTH, &free),
            "the certificate was valid until",
        ),
        ("expired, the log saw it".into(), judged(By::Leaf(&minutes), Evidence::LOG, &logged), name),
        ("expired, a clock saw it".into(), stated(By::Leaf(&minutes), STAMPED, &stamped), name),
        (
            "expired when the clock saw it".into(),
            judged(By::Leaf(&minutes), STAMPED.forged(Forgery::TimestampTime), &stamped),
            "the certificate was valid until",
        ),
        (
            "forged".into(),
            judged(By::Leaf(&days), Evidence::NONE.forged(Forgery::Signature), &free),
            "invalid: its signature does not verify",
        ),
        (
            "entry of another".into(),
            judged(By::Leaf(&minutes), Evidence::LOG.forged(Forgery::EntrySigner), &logged),
            "by somebody else",
        ),
    ]);
}

#[test]
fn a_bundle_that_names_another_image_is_no_signature_of_this_one() {
    let (pair, authority) = (Key::p256(), keyless());
    let free = key(&pair.public_pem(), Need::NotRequired, Need::NotRequired);
    let leaf = leaf();
    let by_key = SIGSTORE.bundle(By::Key(&pair, Scheme::Own), b"another", Evidence::NONE).to_string();
    let by_leaf = SIGSTORE.bundle(By::Leaf(&leaf), b"another", Evidence::LOG).to_string();
    let names_another = Err(Rejected::Invalid("its bundle names another image".to_owned()));
    assert_eq!(bundle(by_key.as_bytes(), &image(), &free, now()), names_another);
    assert_eq!(bundle(by_leaf.as_bytes(), &image(), &authority, now()), names_another);
}

#[test]
fn a_statement_about_another_image_is_no_statement_about_this_one() {
    let (leaf, authority) = (leaf(), keyless());
    let other = format!("sha256:{}", "ab".repeat(32));
    let text = statement(&other, "https://slsa.dev/provenance/v1", &serde_json::json!({}));
    let json = SIGSTORE.statement_bundle(By::Leaf(&leaf), &text, Evidence::LOG).to_string();
    let answer = bundle(json.as_bytes(), &image(), &authority, now());
    assert_eq!(answer, Err(Rejected::Invalid("its statement is about another image".to_owned())));
}

#[test]
fn an_attestation_brings_its_statement_and_is_no_signature() {
    let (leaf, authority) = (leaf(), keyless());
    let predicate = serde_json::json!({"buildDefinition": {"buildType": "x"}});
    let text = statement(&image_text(), "https://slsa.dev/provenance/v1", &predicate);
    let json = SIGSTORE.statement_bundle(By::Leaf(&leaf), &text, Evidence::LOG).to_string();
    let verified = bundle(json.as_bytes(), &image(), &authority, now()).unwrap();
    assert!(!verified.is_signature());
    let stated = verified.statement.unwrap();
    assert_eq!((stated.predicate_type.as_str(), &*stated.json), ("https://slsa.dev/provenance/v1", text.as_str()));
    assert_eq!(verified.signer.time, Some(SIGSTORE.signed_at().as_second()));
}
