//! One page of a LIST: fetched whole, decoded once, its items judged where they lie.

use std::sync::Arc;
use std::time::Duration;

use bumpalo::Bump;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use kube::Client;
use kube::client::Body;
use kube::core::params::ListParams;
use kube::core::request::Request;
use stockade_cel::{Value, document};
use stockade_engine::audit::{Auditor, Existing};
use stockade_engine::request::{GroupVersionKind, GroupVersionResource};

use super::dependencies::Recording;
use super::kinds::Kind;
use super::marker::marker;
use super::results::{Object, Texts, Unit};
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

/// What judging needs beside a page; arenas and texts are used again from page to page.
#[derive(Default)]
pub(crate) struct Judge {
    page: Bump,
    scratch: Bump,
    pub(crate) texts: Texts,
}

impl Judge {
    /// Judges the items of a page that are in namespaces of the share. Blocks for some hundred milliseconds: not for an
    /// asynchronous thread.
    ///
    /// # Errors
    /// The page is no list.
    pub(crate) fn judge(
        &mut self,
        text: &[u8],
        kind: &Kind,
        auditor: &Auditor,
        facts: &LiveFacts,
        holds: impl Fn(&str) -> bool,
        now: i64,
    ) -> Result<Judged, PageError> {
        self.page.reset();
        let list = document::decode(text, &self.page, auditor.symbols()).map_err(PageError::NoList)?;
        let meta = |key| list.path(&["metadata", key]).and_then(Value::as_str).filter(|t| !t.is_empty());
        let mut judged = Judged {
            units: Vec::new(),
            markers: Vec::new(),
            token: meta("continue").map(str::to_owned),
            resource_version: meta("resourceVersion").unwrap_or_default().to_owned(),
        };
        let recording = Recording::new(facts);
        for item in list.get("items").and_then(Value::as_list).unwrap_or(&[]) {
            let existing = Existing {
                object: *item,
                kind: GroupVersionKind { group: &kind.group, version: &kind.version, kind: &kind.kind },
                resource: GroupVersionResource { group: &kind.group, version: &kind.version, resource: &kind.plural },
                namespaced: kind.namespaced,
            };
            let namespace = existing.namespace();
            if !holds(namespace) {
                continue;
            }
            if judged.units.last().is_none_or(|(n, _)| **n != *namespace) {
                judged.end_unit(&recording);
                judged.units.push((self.texts.share(namespace), Unit::default()));
            }
            let uid = item.path(&["metadata", "uid"]).and_then(Value::as_str).unwrap_or("");
            judged.markers.push((uid.into(), marker(*item)));
            self.scratch.reset();
            let judgement = auditor.judge(&existing, &recording, &self.scratch);
            let object = |texts: &mut Texts| Object {
                api_version: texts.share(&kind.api_version()),
                kind: texts.share(&kind.kind),
                name: texts.share(existing.name()),
                uid: texts.share(uid),
            };
            if let Some((_, unit)) = judged.units.last_mut() {
                unit.add(&judgement, object, &mut self.texts, now);
            }
        }
        judged.end_unit(&recording);
        Ok(judged)
    }
}

impl Judged {
    fn end_unit(&mut self, recording: &Recording<'_>) {
        if let Some((_, unit)) = self.units.last_mut() {
            unit.reads.extend(recording.take());
        }
    }
}
