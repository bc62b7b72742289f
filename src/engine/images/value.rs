//! What expressions see of an image.
//!
//! ```text
//! {reference, registry, repository, tag, digest,
//!  platforms: [{os, architecture, variant, created, config: {user, labels, entrypoint, cmd}}]}
//! ```
//! `tag` and `variant` are empty where there is none; `platforms` are there when some expression names `image`.

use stockade_cel::Value;

use super::{Answer, Evidence, Platform, Resolved};
use crate::facts::Into;
use crate::request::Members;

/// The variable `image`.
pub(crate) fn image<'a>(evidence: &Evidence, into: Into<'a>) -> Value<'a> {
    let text = |text: &str| Value::String(into.arena.alloc_str(text));
    let reference = &evidence.reference;
    let mut members = Members::new(into.arena, into.symbols);
    members.push("reference", text(reference.as_str()));
    members.push("registry", text(reference.registry()));
    members.push("repository", text(reference.repository()));
    members.push("tag", text(reference.tag().unwrap_or("")));
    if let Resolved::Known(digest) = &evidence.digest {
        members.push("digest", text(digest.as_str()));
    }
    if let Some(Answer::Verified(platforms)) = &evidence.details {
        let list = platforms.iter().map(|p| platform(p, into));
        members.push("platforms", Value::List(into.arena.alloc_slice_fill_iter(list.collect::<Vec<_>>())));
    }
    members.finish()
}

fn platform<'a>(platform: &Platform, into: Into<'a>) -> Value<'a> {
    let text = |text: &str| Value::String(into.arena.alloc_str(text));
    let list = |texts: &[String]| {
        let values: Vec<_> = texts.iter().map(|t| text(t)).collect();
        Value::List(into.arena.alloc_slice_copy(&values))
    };
    let mut labels = Members::new(into.arena, into.symbols);
    for (key, value) in &platform.labels {
        labels.push(into.arena.alloc_str(key), text(value));
    }
    let mut config = Members::new(into.arena, into.symbols);
    config.push("user", text(&platform.user));
    config.push("labels", labels.finish());
    config.push("entrypoint", list(&platform.entrypoint));
    config.push("cmd", list(&platform.command));
    let mut members = Members::new(into.arena, into.symbols);
    members.push("os", text(&platform.os));
    members.push("architecture", text(&platform.architecture));
    members.push("variant", text(&platform.variant));
    members.push("created", text(&platform.created));
    members.push("config", config.finish());
    members.finish()
}
