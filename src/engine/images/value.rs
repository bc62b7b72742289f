//! What expressions see of an image: the variable `image` of an ImagePolicy, and the types of the library `images`.
//!
//! ```text
//! image = {reference, registry, repository, tag, digest,
//!          platforms: [{os, architecture, variant, created, config: {user, labels, entrypoint, cmd}}]}
//! ```
//! `tag` and `variant` are empty where there is none; `platforms` are there when some expression names `image`.

use stockade_cel::value::Timestamp;
use stockade_cel::{Value, document};
use stockade_policy::image_library as library;
use stockade_policy::images::ImageReference;

use super::{Answer, Evidence, Platform, Resolved, Signer, SignerIdentity, Statement};
use crate::facts::Into;
use crate::pod_template::ImagePlace;
use crate::request::Members;

/// The variable `image`.
pub(crate) fn image<'a>(evidence: &Evidence, into: Into<'a>) -> Value<'a> {
    let mut members = named(&evidence.reference, into);
    if let Resolved::Known(digest) = &evidence.digest {
        members.push("digest", text(digest.as_str(), into));
    }
    if let Some(Answer::Verified(all)) = &evidence.details {
        members.push("platforms", platforms(all, into));
    }
    members.finish()
}

/// What is known of an image of the library without a registry, by the names of its functions.
pub(crate) fn handle<'a>(reference: &ImageReference, place: Option<&ImagePlace<'a>>, into: Into<'a>) -> Value<'a> {
    let mut members = named(reference, into);
    if let Some(digest) = reference.digest() {
        members.push(library::DIGEST, text(digest, into));
    }
    members.push(library::CONTAINER, place.map_or(Value::Null, |place| place.item));
    let path = place.map(ImagePlace::path).unwrap_or_default();
    members.push(library::FIELD_PATH, text(&path, into));
    members.finish()
}

/// `platforms`
pub(crate) fn platforms<'a>(all: &[Platform], into: Into<'a>) -> Value<'a> {
    list(all.iter().map(|p| platform(p, into)), into)
}

/// `config` of a platform.
pub(crate) fn config<'a>(platform: &Platform, into: Into<'a>) -> Value<'a> {
    let labels = platform.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let texts = |texts: &[String]| list(texts.iter().map(|t| text(t, into)), into);
    let mut members = Members::new(into.arena, into.symbols);
    members.push("user", text(&platform.user, into));
    members.push("labels", text_map(labels, into));
    members.push("entrypoint", texts(&platform.entrypoint));
    members.push("cmd", texts(&platform.command));
    members.finish()
}

/// Who signed; `time` is there where it is known.
pub(crate) fn signer<'a>(signer: &Signer, into: Into<'a>) -> Value<'a> {
    let nobody = SignerIdentity::default();
    let identity = signer.identity.as_ref().unwrap_or(&nobody);
    let claims = identity.claims.iter().map(|(name, value)| (*name, value.as_str()));
    let mut members = Members::new(into.arena, into.symbols);
    members.push("format", Value::String(signer.format));
    members.push("issuer", text(&identity.issuer, into));
    members.push("subject", text(&identity.subject, into));
    members.push("claims", text_map(claims, into));
    members.push("key", text(signer.key.as_deref().unwrap_or(""), into));
    if let Some(seconds) = signer.time {
        members.push("time", Value::Timestamp(Timestamp::utc(seconds, 0)));
    }
    members.finish()
}

/// A signed statement.
///
/// # Errors
/// It is no JSON, or nested too deep.
pub(crate) fn attestation<'a>(statement: &Statement, into: Into<'a>) -> Result<Value<'a>, serde_json::Error> {
    let decoded = document::decode(into.arena.alloc_str(&statement.json).as_bytes(), into.arena, into.symbols)?;
    let mut members = Members::new(into.arena, into.symbols);
    members.push("predicateType", decoded.get("predicateType").unwrap_or(Value::String("")));
    members.push("predicate", decoded.get("predicate").unwrap_or(Value::Null));
    members.push("statement", decoded);
    members.push("signer", signer(&statement.signer, into));
    Ok(members.finish())
}

fn named<'a>(reference: &ImageReference, into: Into<'a>) -> Members<'a, 'a> {
    let mut members = Members::new(into.arena, into.symbols);
    members.push(library::REFERENCE, text(reference.as_str(), into));
    members.push(library::REGISTRY, text(reference.registry(), into));
    members.push(library::REPOSITORY, text(reference.repository(), into));
    members.push(library::TAG, text(reference.tag().unwrap_or(""), into));
    members
}

fn platform<'a>(platform: &Platform, into: Into<'a>) -> Value<'a> {
    let mut members = Members::new(into.arena, into.symbols);
    members.push("os", text(&platform.os, into));
    members.push("architecture", text(&platform.architecture, into));
    members.push("variant", text(&platform.variant, into));
    members.push("created", text(&platform.created, into));
    members.push("config", config(platform, into));
    members.finish()
}

fn text<'a>(text: &str, into: Into<'a>) -> Value<'a> {
    Value::String(into.arena.alloc_str(text))
}

fn text_map<'a, 't>(entries: impl Iterator<Item = (&'t str, &'t str)>, into: Into<'a>) -> Value<'a> {
    let mut members = Members::new(into.arena, into.symbols);
    for (key, value) in entries {
        members.push(into.arena.alloc_str(key), text(value, into));
    }
    members.finish()
}

fn list<'a>(values: impl Iterator<Item = Value<'a>>, into: Into<'a>) -> Value<'a> {
    let values = bumpalo::collections::Vec::from_iter_in(values, into.arena);
    Value::List(values.into_bump_slice())
}
