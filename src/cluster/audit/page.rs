//! One page of a LIST: fetched whole, decoded once, its items judged where they lie.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bumpalo::Bump;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use kube::Client;
use kube::client::Body;
use kube::core::params::ListParams;
use kube::core::request::Request;
use stockade_cel::{Value, document};
use stockade_engine::audit::Auditor;
use stockade_engine::images::{MAX_WANTED, Wanted, WithImages};
use stockade_images::InHand;

use super::dependencies::Recording;
use super::kinds::Kind;
use super::marker::marker;
use super::results::{Object, Texts, Unit};
use super::share::Share;
use crate::facts::LiveFacts;

/// Objects of a page: what controllers ask for, about 4 MB of Pods.
pub(crate) const PAGE_OBJECTS: u32 = 500;
/// Longest page. Larger ones are asked for again with fewer objects; a single object is 1.5 MB at most in etcd.
const MAX_PAGE_BYTES: usize = 64 << 20;
/// Longest wait for a page.
const PAGE_TIMEOUT: Duration = Duration::from_secs(60);

/// Where a page begins.
#[derive(Debug, Clone)]
pub(crate) struct Position {
    /// All objects of the kind, or those of one namespace.
    pub(crate) namespace: Option<Arc<str>>,
    /// From the page before.
    pub(crate) token: Option<String>,
    /// Most objects.
    pub(crate) limit: u32,
}

/// What a page held.
pub(crate) struct Judged {
    /// One unit after the other, in the order of the page; the namespace of two units may be the same.
    pub(crate) units: Vec<(Arc<str>, Unit)>,
    /// Identity and marker of each object in the share.
    pub(crate) markers: Vec<(Arc<str>, u64)>,
    /// Where the next page begins; none after the last one.
    pub(crate) token: Option<String>,
    /// Of the whole list.
    pub(crate) resource_version: String,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PageError {
    /// The list began too long ago: it has to begin anew.
    #[error("the list has expired")]
    Expired,
    /// This process may not list it, or the resource is gone.
    #[error("the resource cannot be listed: {code}")]
    Denied {
        /// 403, 404 or 405.
        code: u16,
    },
    /// Longer than the bound.
    #[error("the page is longer than {MAX_PAGE_BYTES} bytes")]
    TooLong,
    /// The API server did not answer.
    #[error("no answer within {PAGE_TIMEOUT:?}")]
    Late,
    /// Something else, which may pass.
    #[error("request: {0}")]
    Request(#[source] kube::Error),
    /// The connection broke.
    #[error("body: {0}")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What came is no list.
    #[error("no list: {0}")]
    NoList(#[source] serde_json::Error),
    /// An object of the page ended the judge.
    #[error("judging: {0}")]
    Judge(#[source] tokio::task::JoinError),
}

/// Fetches a page.
///
/// # Errors
/// See [`PageError`].
pub(crate) async fn fetch(client: &Client, kind: &Kind, position: &Position) -> Result<Vec<u8>, PageError> {
    match tokio::time::timeout(PAGE_TIMEOUT, request(client, kind, position)).await {
        Ok(answer) => answer,
        Err(_) => Err(PageError::Late),
    }
}

async fn request(client: &Client, kind: &Kind, position: &Position) -> Result<Vec<u8>, PageError> {
    let mut params = ListParams::default().limit(position.limit);
    if let Some(token) = &position.token {
        params = params.continue_token(token);
    }
    let url = kind.url(position.namespace.as_deref());
    let built = Request::new(url).list(&params).map_err(|e| PageError::Request(kube::Error::BuildRequest(e)))?;
    let answer = client.send(built.map(Body::from)).await.map_err(PageError::Request)?;
    match answer.status().as_u16() {
        200 => {}
        410 => return Err(PageError::Expired),
        code @ (403..=405) => return Err(PageError::Denied { code }),
        code => {
            let status = kube::core::Status::failure("", "").with_code(code);
            return Err(PageError::Request(kube::Error::Api(Box::new(status))));
        }
    }
    match Limited::new(answer.into_body(), MAX_PAGE_BYTES).collect().await {
        Ok(body) => Ok(body.to_bytes().into()),
        Err(error) if error.is::<LengthLimitError>() => Err(PageError::TooLong),
        Err(error) => Err(PageError::Body(error)),
    }
}

/// A page that was fetched, and by what its objects are judged.
pub(crate) struct Page {
    /// As it came.
    pub(crate) text: Vec<u8>,
    pub(crate) kind: Arc<Kind>,
    pub(crate) auditor: Arc<Auditor>,
    pub(crate) facts: LiveFacts,
    /// Which namespaces are judged.
    pub(crate) share: Arc<Share>,
    /// Seconds since 1970.
    pub(crate) now: i64,
}

/// Objects of a page that were judged, and those that cannot be before images of theirs are looked at.
pub(crate) struct Round {
    pub(crate) judged: Judged,
    /// Places on the page of those that are left.
    pub(crate) left: Vec<usize>,
    /// What they want, each once; of the last ones it may be missing.
    pub(crate) wanted: Vec<Wanted>,
    /// How much of that the first of them wants.
    pub(crate) of_first: usize,
}

/// What judging needs beside a page; arenas and texts are used again from page to page.
#[derive(Default)]
pub(crate) struct Judge {
    page: Bump,
    scratch: Bump,
    pub(crate) texts: Texts,
}

impl Judge {
    /// Judges items of a page that are in namespaces of the share: all, or those `left` by a round before. Blocks for some
    /// hundred milliseconds: not for an asynchronous thread.
    ///
    /// # Errors
    /// The page is no list.
    pub(crate) fn judge(
        &mut self,
        page: &Page,
        images: &InHand,
        left: Option<&BTreeSet<usize>>,
    ) -> Result<Round, PageError> {
        self.page.reset();
        let auditor = &*page.auditor;
        let list = document::decode(&page.text, &self.page, auditor.symbols()).map_err(PageError::NoList)?;
        let meta = |key| list.path(&["metadata", key]).and_then(Value::as_str).filter(|t| !t.is_empty());
        let mut round = Round {
            judged: Judged {
                units: Vec::new(),
                markers: Vec::new(),
                token: meta("continue").map(str::to_owned),
                resource_version: meta("resourceVersion").unwrap_or_default().to_owned(),
            },
            left: Vec::new(),
            wanted: Vec::new(),
            of_first: 0,
        };
        let facts = WithImages { facts: &page.facts, images };
        let recording = Recording::new(&facts);
        let items = list.get("items").and_then(Value::as_list).unwrap_or(&[]).iter().enumerate();
        for (place, item) in items.filter(|(place, _)| left.is_none_or(|left| left.contains(place))) {
            let existing = page.kind.existing(*item);
            let namespace = existing.namespace();
            if !page.share.holds(namespace) {
                continue;
            }
            let uid = item.path(&["metadata", "uid"]).and_then(Value::as_str).unwrap_or("");
            if left.is_none() {
                round.judged.markers.push((uid.into(), marker(*item)));
            }
            if round.wanted.len() >= MAX_WANTED {
                round.left.push(place);
                continue;
            }
            if round.judged.units.last().is_none_or(|(n, _)| **n != *namespace) {
                round.judged.end_unit(&recording);
                round.judged.units.push((self.texts.share(namespace), Unit::default()));
            }
            self.scratch.reset();
            let judgement = auditor.judge(&existing, &recording, &self.scratch);
            let is_unavailable = images.take_told_unavailable();
            if !judgement.wanted.is_empty() {
                round.leave(place, judgement.wanted);
                continue;
            }
            let object = |texts: &mut Texts| Object {
                api_version: texts.share(&page.kind.api_version()),
                kind: texts.share(&page.kind.kind),
                name: texts.share(existing.name()),
                uid: texts.share(uid),
            };
            if let Some((_, unit)) = round.judged.units.last_mut() {
                unit.add(&judgement, object, &mut self.texts, page.now);
                unit.unavailable |= is_unavailable;
            }
        }
        round.judged.end_unit(&recording);
        Ok(round)
    }
}

// === impl Round ===

impl Round {
    /// Leaves an object until what it wants was looked at.
    fn leave(&mut self, place: usize, wanted: Vec<Wanted>) {
        for wanted in wanted {
            if !self.wanted.contains(&wanted) {
                self.wanted.push(wanted);
            }
        }
        if self.left.is_empty() {
            self.of_first = self.wanted.len();
        }
        self.left.push(place);
    }
}

// === impl Judged ===

impl Judged {
    fn end_unit(&mut self, recording: &Recording<'_>) {
        if let Some((_, unit)) = self.units.last_mut() {
            unit.reads.extend(recording.take());
        }
    }
}
