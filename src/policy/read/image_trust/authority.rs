//! `authorities` of an ImagePolicy: who may have signed. Each has a name and exactly one of four ways to sign.
//!
//! ```yaml
//! authorities:
//! - name: release
//!   key:                                  # a key pair (cosign)
//!     data: |                             # or secretRef: {name, key}, of Stockade's own namespace
//!       -----BEGIN PUBLIC KEY-----
//!     hashAlgorithm: sha256               # sha256 (default), sha384, sha512
//! - name: ci
//!   keyless:                              # a short-lived certificate (Fulcio)
//!     identities:
//!     - issuer: https://token.actions.githubusercontent.com       # or issuerRegExp
//!       subjectRegExp: https://github.com/shop/.*                 # or subject; anchored at both ends, always
//!       claims: {sourceRepositoryRef: refs/heads/main}
//! - name: corp
//!   certificates: {roots: PEM, intermediates: PEM, identities: […]}   # a chain of one's own
//! - name: notary
//!   notation:                             # Notary Project
//!     trustStore: PEM
//!     trustedIdentities: ["x509.subject: C=DE, ST=Berlin, O=Shop"]   # or "*"
//!     revocation: Skip                    # must be written: it is not checked, and Required is refused
//!   transparencyLog: Required             # default for keyless; NotRequired for the others; none for notation
//!                                         # entries of cosign before version 2 (intoto 0.0.1) are not supported
//!   timestamp: NotRequired                # default; clocks with keys of ECDSA over P-256 and P-384 are supported
//!   trustedRoot: {data: JSON}             # or configMapRef: {name, key}; the public Sigstore's by default
//! ```

use std::sync::Arc;

use super::super::{Field, Members, Reader, names};
use super::{pem, read_name};
use crate::images::authority::{
    Authority, AuthorityKind, CLAIMS, Claim, HashAlgorithm, Identity, KeyAuthority, KeySource, MAX_IDENTITIES,
    MAX_IDENTITY_BYTES, MAX_TRUSTED_ROOT_BYTES, MemberRef, Need, TextMatch, TrustedIdentity, TrustedRoot,
};
use crate::tree::Content;

/// Ways to sign, as they are written.
const WAYS: [&str; 4] = ["key", "keyless", "certificates", "notation"];
/// What a Sigstore trusted root says it is.
const TRUSTED_ROOT_TYPE: &str = "application/vnd.dev.sigstore.trustedroot";
/// Attributes of a distinguished name that a trusted identity must have (Notary Project).
const NEEDED_ATTRIBUTES: [&str; 3] = ["C", "ST", "O"];

/// Reads one authority.
pub(super) fn read(reader: &mut Reader<'_>, item: &Field<'_>) -> Option<Authority> {
    let mut members = reader.members(item)?;
    let name = read_name(reader, &mut members, |_| false);
    let fields = WAYS.map(|way| members.get(way));
    let mut written = fields.iter().flatten();
    match (written.next(), written.next()) {
        (None, _) => reader.missing(item, "key", "one of key, keyless, certificates or notation must be specified"),
        (Some(_), Some(second)) => {
            reader.forbidden(second, "exactly one of key, keyless, certificates and notation: write two authorities");
        }
        _ => {}
    }
    let [key, keyless, certificates, notation] = fields;
    let kind = key
        .and_then(|f| read_key(reader, &f))
        .or_else(|| keyless.as_ref().and_then(|f| read_keyless(reader, f)))
        .or_else(|| certificates.and_then(|f| read_certificates(reader, &f)))
        .or_else(|| notation.as_ref().and_then(|f| read_notation(reader, f)));
    let [log, timestamp, root] = ["transparencyLog", "timestamp", "trustedRoot"].map(|name| members.get(name));
    for field in [&log, &timestamp, &root].into_iter().flatten().filter(|_| notation.is_some()) {
        reader.forbidden(field, "not beside notation, which has its own trust store");
    }
    let by_default = if keyless.is_some() { Need::Required } else { Need::NotRequired };
    let transparency_log = log.as_ref().and_then(|f| read_need(reader, f)).unwrap_or(by_default);
    let clock = timestamp.and_then(|f| read_need(reader, &f)).unwrap_or(Need::NotRequired);
    if let (Some(f), Need::NotRequired, Need::NotRequired) = (&log, transparency_log, clock)
        && keyless.is_some()
    {
        let detail =
            "a keyless signature needs a time at which its certificate was valid: require the log or a timestamp";
        reader.invalid(f, detail);
    }
    let trusted_root = match root {
        Some(f) => read_trusted_root(reader, &f),
        None => Some(TrustedRoot::PublicGood),
    };
    members.finish(reader);
    Some(Authority::new(name?, kind?, transparency_log, clock, trusted_root?))
}

fn read_need(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Need> {
    reader.choice(field, &[("Required", Need::Required), ("NotRequired", Need::NotRequired)])
}

fn read_key(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<AuthorityKind> {
    let mut members = reader.members(field)?;
    let (data, secret) = (members.get("data"), members.get("secretRef"));
    let hashes =
        [("sha256", HashAlgorithm::Sha256), ("sha384", HashAlgorithm::Sha384), ("sha512", HashAlgorithm::Sha512)];
    let hash = members.get("hashAlgorithm").and_then(|f| reader.choice(&f, &hashes)).unwrap_or_default();
    members.finish(reader);
    let source = match (data, secret) {
        (Some(f), None) => pem::public_key(reader, &f).map(KeySource::Inline),
        (None, Some(f)) => read_member_ref(reader, &f).map(KeySource::Secret),
        (None, None) => {
            reader.missing(field, "data", "one of data or secretRef must be specified");
            None
        }
        (Some(_), Some(f)) => {
            reader.forbidden(&f, "not beside data");
            None
        }
    };
    Some(AuthorityKind::Key(KeyAuthority { source: source?, hash }))
}

/// A name and a key of a Secret or ConfigMap.
fn read_member_ref(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<MemberRef> {
    let mut members = reader.members(field)?;
    let name = members.require(reader, "name", "").and_then(|f| {
        let text = reader.string(&f)?;
        for fault in names::dns_subdomain(text) {
            reader.invalid(&f, &fault);
        }
        Some(text.into())
    });
    let key = members.require(reader, "key", "").and_then(|f| {
        let text = reader.bounded_string(&f, 253)?;
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
            reader.invalid(&f, "must consist of alphanumeric characters, '-', '_' or '.'");
        }
        Some(text.into())
    });
    members.finish(reader);
    Some(MemberRef { name: name?, key: key? })
}

fn read_keyless(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<AuthorityKind> {
    let mut members = reader.members(field)?;
    let detail = "whose certificates: without it anybody's would do";
    let identities = members.require(reader, "identities", detail).map(|f| read_identities(reader, &f, true));
    members.finish(reader);
    Some(AuthorityKind::Keyless { identities: identities? })
}

fn read_certificates(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<AuthorityKind> {
    let mut members = reader.members(field)?;
    let roots = members.require(reader, "roots", "certificates in PEM").and_then(|f| pem::certificates(reader, &f));
    let intermediates = match members.get("intermediates") {
        Some(f) => pem::certificates(reader, &f),
        None => Some("".into()),
    };
    let identities = members.get("identities").map(|f| read_identities(reader, &f, false)).unwrap_or_default();
    members.finish(reader);
    Some(AuthorityKind::Certificates { roots: roots?, intermediates: intermediates?, identities })
}

fn read_identities(reader: &mut Reader<'_>, field: &Field<'_>, keyless: bool) -> Vec<Identity> {
    let items = reader.bounded_list(field, MAX_IDENTITIES);
    items.iter().filter_map(|item| read_identity(reader, item, keyless)).collect()
}

/// One identity. Of a keyless one both halves are needed: a subject says nothing without who vouches for it.
fn read_identity(reader: &mut Reader<'_>, item: &Field<'_>, keyless: bool) -> Option<Identity> {
    let mut members = reader.members(item)?;
    let before = reader.diagnostics.len();
    let issuer = read_match(reader, &mut members, ["issuer", "issuerRegExp"], keyless);
    let subject = read_match(reader, &mut members, ["subject", "subjectRegExp"], keyless);
    let claims = members.get("claims").map(|f| read_claims(reader, &f)).unwrap_or_default();
    if !keyless && issuer.is_none() && subject.is_none() && claims.is_empty() && reader.diagnostics.len() == before {
        reader.empty(item, "an identity names an issuer, a subject or claims");
    }
    members.finish(reader);
    Some(Identity { issuer, subject, claims })
}

/// A text or an expression, not both.
fn read_match(
    reader: &mut Reader<'_>,
    members: &mut Members<'_>,
    [exact_name, pattern_name]: [&'static str; 2],
    needed: bool,
) -> Option<TextMatch> {
    let (exact, pattern) = (members.get(exact_name), members.get(pattern_name));
    match (exact, pattern) {
        (Some(f), None) => {
            let text = reader.bounded_string(&f, MAX_IDENTITY_BYTES)?;
            if text.contains('*') {
                reader.invalid(&f, &format!("is compared as it is: write an expression into {pattern_name}"));
            }
            Some(TextMatch::Exact(text.into()))
        }
        (None, Some(f)) => {
            let text = reader.bounded_string(&f, MAX_IDENTITY_BYTES)?;
            match TextMatch::pattern(text) {
                Ok(pattern) => Some(pattern),
                Err(fault) => {
                    // The last line says what is wrong; those before draw it without our places.
                    let fault = fault.to_string();
                    let why = fault.lines().last().unwrap_or("").trim_start_matches("error: ").to_owned();
                    reader.invalid(&f, &format!("is no regular expression: {why}"));
                    None
                }
            }
        }
        (Some(_), Some(f)) => {
            reader.forbidden(&f, &format!("not beside {exact_name}"));
            None
        }
        (None, None) => {
            if needed {
                let detail = format!("one of {exact_name} or {pattern_name} must be specified");
                let parent = members.field().clone();
                reader.missing(&parent, exact_name, &detail);
            }
            None
        }
    }
}

fn read_claims(reader: &mut Reader<'_>, field: &Field<'_>) -> Vec<(&'static Claim, Box<str>)> {
    let Some(members) = reader.members(field) else { return Vec::new() };
    let Content::Mapping(entries) = &members.field().node.content else { return Vec::new() };
    let mut claims = Vec::new();
    for entry in entries {
        let value = Field { node: &entry.value, path: field.child_path(&entry.key) };
        match Claim::by_name(&entry.key) {
            Some(claim) => {
                let text = reader.bounded_string(&value, MAX_IDENTITY_BYTES);
                claims.extend(text.map(|text| (claim, text.into())));
            }
            None => {
                let known: Vec<_> = CLAIMS.iter().map(|c| c.name).collect();
                let message = format!("unknown claim {:?}: known are {}", entry.key, known.join(", "));
                reader.report_at(entry.key_span, &value.path, message);
            }
        }
    }
    claims
}

fn read_notation(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<AuthorityKind> {
    let mut members = reader.members(field)?;
    let store =
        members.require(reader, "trustStore", "certificates in PEM").and_then(|f| pem::certificates(reader, &f));
    let identities = members.require(reader, "trustedIdentities", "\"x509.subject: C=…, ST=…, O=…\", or \"*\"");
    let identities = identities.map(|f| read_trusted_identities(reader, &f));
    let detail = "Skip: whether a certificate was revoked is not checked, and a policy has to say that it knows";
    if let Some(f) = members.require(reader, "revocation", detail) {
        match reader.string(&f) {
            Some("Required") => reader.invalid(&f, "revocation of notation certificates is not supported: write Skip"),
            Some("Skip") | None => {}
            Some(_) => reader.unsupported(&f, &["Skip"]),
        }
    }
    members.finish(reader);
    Some(AuthorityKind::Notation { trust_store: store?, trusted_identities: identities? })
}

fn read_trusted_identities(reader: &mut Reader<'_>, field: &Field<'_>) -> Vec<TrustedIdentity> {
    let mut list = Vec::new();
    for item in reader.bounded_list(field, MAX_IDENTITIES) {
        let Some(text) = reader.bounded_string(&item, MAX_IDENTITY_BYTES) else { continue };
        match trusted_identity(text) {
            Ok(identity) => list.push(identity),
            Err(why) => reader.invalid(&item, why),
        }
    }
    if list.len() > 1 && list.contains(&TrustedIdentity::Any) {
        reader.report(field, "Invalid value: \"*\" must stand alone");
    }
    list
}

/// `*`, or attributes of a distinguished name (RFC 4514, without multi-valued parts).
fn trusted_identity(text: &str) -> Result<TrustedIdentity, &'static str> {
    if text == "*" {
        return Ok(TrustedIdentity::Any);
    }
    let Some(name) = text.strip_prefix("x509.subject:") else {
        return Err("must be \"*\" or begin with \"x509.subject:\"");
    };
    let mut attributes: Vec<(Box<str>, Box<str>)> = Vec::new();
    for part in split_unescaped(name) {
        let Some((key, value)) = part.split_once('=') else { return Err("must be attributes as C=DE, O=Shop") };
        let (key, value) = (key.trim().to_ascii_uppercase(), unescaped(value.trim()));
        let key = if key == "S" { "ST".to_owned() } else { key };
        if key.is_empty() || value.is_empty() || value.contains('=') && key.contains('+') {
            return Err("must be attributes as C=DE, O=Shop");
        }
        if attributes.iter().any(|(known, _)| **known == *key) {
            return Err("has an attribute twice");
        }
        attributes.push((key.into(), value.into()));
    }
    if !NEEDED_ATTRIBUTES.iter().all(|needed| attributes.iter().any(|(key, _)| **key == **needed)) {
        return Err("must have the attributes C, ST and O at least");
    }
    Ok(TrustedIdentity::Subject(attributes))
}

/// Parts between commas that no backslash stands before.
fn split_unescaped(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        if c == ',' && !escaped {
            parts.push(&text[start..at]);
            start = at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    parts.push(&text[start..]);
    parts
}

fn unescaped(text: &str) -> String {
    let mut escaped = false;
    let keep = |c: &char| {
        escaped = *c == '\\' && !escaped;
        !escaped
    };
    text.chars().filter(keep).collect()
}

fn read_trusted_root(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<TrustedRoot> {
    let mut members = reader.members(field)?;
    let (data, config_map) = (members.get("data"), members.get("configMapRef"));
    members.finish(reader);
    match (data, config_map) {
        (Some(f), None) => read_root_json(reader, &f).map(TrustedRoot::Inline),
        (None, Some(f)) => read_member_ref(reader, &f).map(TrustedRoot::ConfigMap),
        (None, None) => {
            reader.missing(field, "data", "one of data or configMapRef must be specified");
            None
        }
        (Some(_), Some(f)) => {
            reader.forbidden(&f, "not beside data");
            None
        }
    }
}

fn read_root_json(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Arc<str>> {
    let text = reader.bounded_string(field, MAX_TRUSTED_ROOT_BYTES)?;
    let media_type = serde_json::from_str::<serde_json::Value>(text)
        .ok()
        .and_then(|json| json.get("mediaType")?.as_str().map(|t| t.starts_with(TRUSTED_ROOT_TYPE)));
    if media_type != Some(true) {
        reader.report(
            field,
            format!("Invalid value: must be the JSON of a Sigstore trusted root ({TRUSTED_ROOT_TYPE}…)"),
        );
        return None;
    }
    Some(text.into())
}
