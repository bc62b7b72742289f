//! Signatures of the Notary Project in their JWS envelope, by its specification
//! (<https://github.com/notaryproject/specifications/tree/main/specs>): the signature, critical headers, certificate
//! chain, trusted identities, expiry, and the artifact.
//!
//! Strict where the specification leaves room. Revocation is not checked: a policy that asks for it does not compile.
//! A timestamp beside the signature is not read, so certificates must be valid now. Envelopes of a signing authority
//! claim their own time; as a trust store of the type `ca` must not vouch for that, their certificates must be valid at
//! that time and now. COSE envelopes and verification plugins are not supported.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::Deserialize;
use stockade_policy::images::AuthorityKind;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::authority::Trusted;
use super::bundle::identity_of;
use super::certificate::Certificate;
use super::chain::{MAX_CERTIFICATES, Roots};
use super::identity::is_trusted;
use super::keys::Kind;
use super::{Digest, Found, MAX_SIGNED, NOTATION, Rejected, ResolvedAuthority, Signer, Verified};

/// The artifact that an envelope must be about, as the registry describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedDescriptor<'a> {
    /// Media type of the manifest or index.
    pub media_type: &'a str,
    /// Its digest.
    pub digest: &'a Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// RFC 7515, 7.2.2, with no member but these.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    payload: String,
    protected: String,
    header: Unprotected,
    signature: String,
}

/// Of the unsigned headers only the certificates are read.
#[derive(Deserialize)]
struct Unprotected {
    x5c: Vec<String>,
}

/// The signed headers. Unknown ones are left alone unless they are critical.
#[derive(Deserialize)]
struct Protected {
    alg: String,
    cty: String,
    crit: Vec<String>,
    #[serde(rename = "io.cncf.notary.signingScheme")]
    scheme: String,
    #[serde(rename = "io.cncf.notary.signingTime")]
    signing_time: Option<Timestamp>,
    #[serde(rename = "io.cncf.notary.authenticSigningTime")]
    authentic_signing_time: Option<Timestamp>,
    #[serde(rename = "io.cncf.notary.expiry")]
    expiry: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    target_artifact: Target,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    media_type: String,
    digest: String,
    size: u64,
}

const PAYLOAD: &str = "application/vnd.cncf.notary.payload.v1+json";
const SCHEME: &str = "io.cncf.notary.signingScheme";
const AUTHENTIC_TIME: &str = "io.cncf.notary.authenticSigningTime";
const EXPIRY: &str = "io.cncf.notary.expiry";

/// Verifies an envelope for an authority.
pub(super) fn verify(
    envelope: &[u8],
    subject: &SignedDescriptor<'_>,
    authority: &ResolvedAuthority,
    now: Timestamp,
) -> Result<Verified, Rejected> {
    let (Trusted::Notation(store), AuthorityKind::Notation { trusted_identities, .. }) =
        (&authority.trusted, &authority.authority.kind)
    else {
        return Err(Rejected::NotByThisAuthority(Found::Format(NOTATION)));
    };
    let envelope = read(envelope)?;
    let chain = chain(&envelope.header.x5c)?;
    let (leaf, above) = chain.split_first().ok_or_else(|| Rejected::invalid("its envelope has no certificate"))?;
    if !store.may_have_issued(leaf, above) {
        return Err(Rejected::NotByThisAuthority(Found::Unvouched(identity_of(leaf))));
    }
    let protected: Protected = parsed("protected headers", &part("protected headers", &envelope.protected)?)?;
    check_signature(&envelope, &protected, leaf)?;
    let claimed = check_headers(&protected, now)?;
    for at in [Some(now), claimed].into_iter().flatten() {
        check_chain(store, leaf, above, at)?;
    }
    check_target(&parsed("payload", &part("payload", &envelope.payload)?)?, subject)?;
    if !trusted_identities.iter().any(|trusted| is_trusted(trusted, leaf)) {
        return Err(Rejected::NotByThisAuthority(Found::Identity(identity_of(leaf))));
    }
    let time = claimed.map(Timestamp::as_second);
    let signer = Signer { format: NOTATION, identity: Some(identity_of(leaf)), key: None, time };
    Ok(Verified { signer, statement: None })
}

/// Reads the envelope, and tells COSE from garbage.
fn read(envelope: &[u8]) -> Result<Envelope, Rejected> {
    if envelope.len() > MAX_SIGNED {
        return Err(Rejected::invalid(format!("its envelope is longer than {MAX_SIGNED} bytes")));
    }
    // COSE_Sign1_Tagged begins with CBOR's tag 18.
    if envelope.first() == Some(&0xd2) {
        return Err(Rejected::invalid(
            "its envelope is COSE, which is not supported; sign with the envelope format jws",
        ));
    }
    parsed("envelope", envelope)
}

/// The certificates of the envelope, the signing one first, each issued by the next.
fn chain(x5c: &[String]) -> Result<Vec<Certificate>, Rejected> {
    if x5c.len() > MAX_CERTIFICATES {
        return Err(Rejected::invalid(format!("its envelope has more than {MAX_CERTIFICATES} certificates")));
    }
    let read = |base64: &String| {
        let der =
            STANDARD.decode(base64).map_err(|_| Rejected::invalid("a certificate of its envelope is not base64"))?;
        Certificate::from_der(&der).map_err(|error| Rejected::invalid(error.to_string()))
    };
    let chain: Vec<Certificate> = x5c.iter().map(read).collect::<Result<_, _>>()?;
    if chain.windows(2).any(|pair| pair[0].issuer_name != pair[1].subject_name) {
        return Err(Rejected::invalid("the certificates of its envelope are not a chain"));
    }
    match chain.last() {
        Some(last) if !last.is_root() => {
            Err(Rejected::invalid("the certificates of its envelope do not end at a root"))
        }
        _ => Ok(chain),
    }
}

/// Checks the signature, and that the algorithm that the headers name is the one of the key: else who holds the envelope
/// could choose it.
fn check_signature(envelope: &Envelope, protected: &Protected, leaf: &Certificate) -> Result<(), Rejected> {
    let expected = match leaf.key.kind() {
        Kind::P256 => "ES256",
        Kind::P384 => "ES384",
        Kind::P521 => "ES512",
        Kind::Rsa { bits: 2048 } => "PS256",
        Kind::Rsa { bits: 3072 } => "PS384",
        Kind::Rsa { bits: 4096 } => "PS512",
        Kind::Rsa { .. } | Kind::Ed25519 => {
            return Err(Rejected::invalid("its key is of a kind that envelopes cannot be signed with"));
        }
    };
    if protected.alg != expected {
        return Err(Rejected::invalid(format!(
            "its algorithm is {:?}, and its key signs with {expected}",
            protected.alg
        )));
    }
    let input = format!("{}.{}", envelope.protected, envelope.payload);
    if leaf.key.verifies_jws(input.as_bytes(), &part("signature", &envelope.signature)?) {
        return Ok(());
    }
    Err(Rejected::invalid("its signature does not verify with the key of its certificate"))
}

/// Checks the signed headers, and returns the time that a signing authority claims.
fn check_headers(protected: &Protected, now: Timestamp) -> Result<Option<Timestamp>, Rejected> {
    if protected.cty != PAYLOAD {
        return Err(Rejected::invalid(format!("its payload is of the type {:?}", protected.cty)));
    }
    if let Some(unknown) = protected.crit.iter().find(|name| ![SCHEME, AUTHENTIC_TIME, EXPIRY].contains(&name.as_str()))
    {
        return Err(Rejected::invalid(format!("its critical header {unknown:?} is not supported")));
    }
    let is_critical = |name: &str| protected.crit.iter().any(|critical| critical == name);
    let claimed = match (protected.scheme.as_str(), protected.signing_time, protected.authentic_signing_time) {
        ("notary.x509", Some(_), None) => None,
        ("notary.x509.signingAuthority", None, Some(time)) if is_critical(AUTHENTIC_TIME) => Some(time),
        ("notary.x509" | "notary.x509.signingAuthority", ..) => {
            return Err(Rejected::invalid("its signing time is missing or not the one of its signing scheme"));
        }
        (scheme, ..) => return Err(Rejected::invalid(format!("its signing scheme {scheme:?} is not supported"))),
    };
    if !is_critical(SCHEME) || (protected.expiry.is_some() && !is_critical(EXPIRY)) {
        return Err(Rejected::invalid("a header that must be critical is not"));
    }
    match (protected.expiry, claimed) {
        (Some(expiry), _) if expiry <= now => Err(Rejected::invalid(format!("it expired at {expiry}"))),
        (_, Some(time)) if time > now => {
            Err(Rejected::invalid(format!("it was signed at {time}, which is in the future")))
        }
        _ => Ok(claimed),
    }
}

/// Checks chain and leaf; every certificate must be valid, also those that the envelope brings up to its root.
fn check_chain(store: &Roots, leaf: &Certificate, above: &[Certificate], at: Timestamp) -> Result<(), Rejected> {
    let does_not_hold = |reason: &str| Rejected::invalid(format!("its certificate chain does not hold: {reason}"));
    store.verify(leaf, above, at).map_err(|reason| does_not_hold(&reason))?;
    if let Some(expired) = above.iter().find(|certificate| at < certificate.not_before || certificate.not_after < at) {
        return Err(does_not_hold(&format!("the certificate {:?} is not valid at {at}", expired.name)));
    }
    if !above.last().is_none_or(|root| store.contain(root)) {
        return Err(does_not_hold("it ends at a root that is not in the trust store"));
    }
    check_leaf(leaf).map_err(does_not_hold)
}

/// "Certificate requirements" of the specification for leaves.
fn check_leaf(leaf: &Certificate) -> Result<(), &'static str> {
    let unreadable = |_| "it cannot be read";
    let (_, parsed) = X509Certificate::from_der(&leaf.der).map_err(|_| "it cannot be read")?;
    if parsed.basic_constraints().map_err(unreadable)?.is_some_and(|constraints| constraints.value.ca) {
        return Err("the signing certificate is an authority's");
    }
    let usage = parsed.key_usage().map_err(unreadable)?;
    let usage = usage.filter(|usage| usage.critical).ok_or("the signing certificate has no critical key usage")?;
    // Beside digitalSignature only nonRepudiation may be there.
    if !usage.value.digital_signature() || usage.value.flags & !0b11 != 0 {
        return Err("the key of the signing certificate is not for signatures alone");
    }
    let Some(extended) = parsed.extended_key_usage().map_err(unreadable)? else { return Ok(()) };
    let value = extended.value;
    if value.any || value.server_auth || value.client_auth || value.email_protection || value.time_stamping {
        return Err("the signing certificate is for more than signing code");
    }
    Ok(())
}

fn check_target(payload: &Payload, subject: &SignedDescriptor<'_>) -> Result<(), Rejected> {
    let target = &payload.target_artifact;
    if target.digest != subject.digest.as_str() {
        return Err(Rejected::invalid("it is about another image"));
    }
    if target.media_type != subject.media_type || target.size != subject.size {
        return Err(Rejected::invalid("it describes the image with another type or size"));
    }
    Ok(())
}

fn part(what: &str, base64: &str) -> Result<Vec<u8>, Rejected> {
    URL_SAFE_NO_PAD.decode(base64).map_err(|_| Rejected::invalid(format!("its {what} is not base64url")))
}

fn parsed<'a, T: Deserialize<'a>>(what: &str, json: &'a [u8]) -> Result<T, Rejected> {
    serde_json::from_slice(json).map_err(|error| Rejected::invalid(format!("its {what} cannot be read: {error}")))
}
