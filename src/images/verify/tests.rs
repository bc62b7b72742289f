//! Forgeries, by what they forge. Everything is minted by [`stockade_mint`]; the suite of other people's bundles is in
//! [`conformance`].

mod authorities;
mod bundles;
mod bytes;
mod conformance;
mod cosign;
mod identities;
mod notation;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use stockade_mint::{Leaf, Sigstore};
use stockade_policy::images::authority::{
    HashAlgorithm, Identity, KeyAuthority, KeySource, Need, TextMatch, TrustedRoot,
};
use stockade_policy::images::{Authority, AuthorityKind, Digest};

use super::{Rejected, ResolvedAuthority, SignatureAnnotations, Texts, Verified};

/// What is signed.
const IMAGE: &[u8] = b"a manifest";
const SUBJECT: &str = "https://github.com/shop/web/.github/workflows/release.yml@refs/tags/v1";
const ISSUER: &str = "https://token.actions.githubusercontent.com";

/// One instance for all tests.
static SIGSTORE: LazyLock<Sigstore> = LazyLock::new(|| Sigstore::new(now()));

/// The instant of this run: the library compares with the clock too.
fn now() -> Timestamp {
    static NOW: LazyLock<Timestamp> = LazyLock::new(Timestamp::now);
    *NOW
}

fn image() -> Digest {
    Digest::parse(&image_text()).unwrap()
}

fn image_text() -> String {
    format!("sha256:{}", stockade_mint::hex(&stockade_mint::sha256(IMAGE)))
}

fn leaf() -> Leaf {
    SIGSTORE.leaf(SUBJECT, ISSUER, &[], None)
}

fn exact(text: &str) -> Option<TextMatch> {
    Some(TextMatch::Exact(text.into()))
}

fn authority(kind: AuthorityKind, log: Need, timestamp: Need) -> ResolvedAuthority {
    let root = TrustedRoot::Inline(SIGSTORE.trusted_root().into());
    let authority = Arc::new(Authority::new("a".into(), kind, log, timestamp, root));
    ResolvedAuthority::new(&authority, Texts::default()).unwrap()
}

/// Whoever has a key.
fn key(pem: &str, log: Need, timestamp: Need) -> ResolvedAuthority {
    let source = KeySource::Inline(pem.into());
    authority(AuthorityKind::Key(KeyAuthority { source, hash: HashAlgorithm::Sha256 }), log, timestamp)
}

/// The one identity, whose signatures must be in the log.
fn keyless() -> ResolvedAuthority {
    let identity = Identity { issuer: exact(ISSUER), subject: exact(SUBJECT), claims: Vec::new() };
    authority(AuthorityKind::Keyless { identities: vec![identity] }, Need::Required, Need::NotRequired)
}

/// Certificates of the instance's root as a company's own would be.
fn certificates(identities: Vec<Identity>, log: Need, timestamp: Need) -> ResolvedAuthority {
    let kind = AuthorityKind::Certificates {
        roots: SIGSTORE.root.pem().into(),
        intermediates: SIGSTORE.intermediate_pem().into(),
        identities,
    };
    authority(kind, log, timestamp)
}

fn beside(annotations: &BTreeMap<String, String>) -> SignatureAnnotations<'_> {
    SignatureAnnotations::of(|name| annotations.get(name).map(String::as_str))
}

/// `verified by …`, `not by this authority: …` or `invalid: …`.
fn told(answer: Result<Verified, Rejected>) -> String {
    match answer {
        Ok(Verified { signer, .. }) => {
            let name = signer.identity.map(|i| i.subject).or(signer.key.map(|key| key.to_string()));
            format!("verified by {}", name.unwrap_or_default())
        }
        Err(rejected @ Rejected::NotByThisAuthority(_)) => format!("not by this authority: {rejected}"),
        Err(rejected @ Rejected::Invalid(_)) => format!("invalid: {rejected}"),
    }
}

/// Fails with all rows whose answer does not contain what it must.
#[track_caller]
fn assert_told(rows: Vec<(String, String, &str)>) {
    let faults: Vec<String> = rows
        .into_iter()
        .filter(|(_, got, wanted)| !got.contains(wanted))
        .map(|(case, got, wanted)| format!("{case}: wanted {wanted:?}, got {got:?}"))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
