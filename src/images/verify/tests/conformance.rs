//! The bundles that Sigstore's clients are tested with: what must verify, and what must not, for its own reason.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use stockade_policy::images::authority::{
    HashAlgorithm, Identity, KeyAuthority, KeySource, Need, TextMatch, TrustedRoot,
};
use stockade_policy::images::{Authority, AuthorityKind, Digest};

use crate::verify::{Rejected, ResolvedAuthority, Texts, bundle};

/// Why each bundle that must fail does: a refusal for another reason would hide that the forgery is not seen.
const REASONS: [(&str, &str); 11] = [
    ("bundle-from-wrong-instance_fail", "by a certificate of an unknown authority"),
    ("bundle-with-root-cert_fail", "its certificate chain contains a root certificate"),
    ("dsse-mismatch-sig_fail", "its log entry is about another signature"),
    (
        "intoto-expired-certificate_fail",
        "it was signed at 2023-02-01T00:00:00Z, and its certificate was valid from 2030-01-01T00:00:00Z to",
    ),
    ("invalid-ct-key_fail", "no log of certificates that the trusted root names vouches for its certificate"),
    ("invalid-inclusion-proof_fail", "the proof of its log entry has no checkpoint"),
    ("managed-key-wrong-key_fail", "signed by the key TLMsSDfG3ajPsWge+z/vX5T/zluXnmvbkTkwLIV68Tk="),
    ("rekor2-checkpoint-missing-origin_fail", "Invalid checkpoint format: invalid tree size"),
    (
        "rekor2-timestamp-outside-trust-root-tsa-validity_fail",
        "it is of 2025-06-12T12:02:20Z, and the trusted root does not vouch for its timestamp authority then",
    ),
    ("rekor2-timestamp-untrusted-tsa-with-embedded-cert_fail", "no timestamp authority of the trusted root signed it"),
    ("signature-mismatch_fail", "its signature does not verify with the key of its certificate"),
];

#[test]
fn every_bundle_of_the_suite_is_judged_as_it_must_be_and_for_its_own_reason() {
    let Some(rows) = stockade_conformance::rows("sigstore/cases.jsonl") else { return };
    let mut faults = Vec::new();
    for row in &rows {
        let name = row["id"].as_str().unwrap_or_default().trim_start_matches("sigstore/");
        let got = verdict(row);
        let fault = match (row["expect"].as_str(), &got) {
            (Some("verify"), Ok(())) => None,
            (Some("fail"), Err(reason)) => {
                let known = REASONS.iter().find(|(case, _)| *case == name);
                known.is_none_or(|(_, expected)| !reason.contains(expected)).then(|| reason.clone())
            }
            _ => Some(format!("{got:?}")),
        };
        faults.extend(fault.map(|fault| format!("{name}: {fault}")));
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), rows.len(), faults.join("\n"));
}

fn verdict(row: &Value) -> Result<(), String> {
    let text = |member: &str| {
        stockade_conformance::text(row[member].as_str().expect("the row names a file")).expect("the suite is there")
    };
    let kind = match &row["key"] {
        Value::String(_) => {
            let source = KeySource::Inline(text("key").into());
            AuthorityKind::Key(KeyAuthority { source, hash: HashAlgorithm::default() })
        }
        _ => {
            let exact = |member: &str| Some(TextMatch::Exact(row[member].as_str().unwrap_or_default().into()));
            let identity = Identity { issuer: exact("issuer"), subject: exact("identity"), claims: Vec::new() };
            AuthorityKind::Keyless { identities: vec![identity] }
        }
    };
    let root = TrustedRoot::Inline(text("trusted_root").into());
    let authority = Arc::new(Authority::new("a".into(), kind, Need::Required, Need::NotRequired, root));
    let authority = ResolvedAuthority::new(&authority, Texts::default()).map_err(|error| error.to_string())?;
    let digest = format!("sha256:{}", row["artifact_sha256"].as_str().unwrap_or_default());
    let digest = Digest::parse(&digest).map_err(|error| error.to_string())?;
    bundle(text("bundle").as_bytes(), &digest, &authority, Timestamp::now())
        .map(|_| ())
        .map_err(|rejected: Rejected| rejected.to_string())
}
