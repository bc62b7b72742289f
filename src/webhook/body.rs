//! Bodies: bounded in size, time, and in what all of them hold together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use axum::body::Body;
use axum::body::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, EXPECT};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout, timeout_at};

use crate::limits::MAX_DISCARDED_BYTES;
use crate::metrics::Shed;
use crate::refusal::Refusal;

/// Bytes that all bodies may hold together.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    held: Arc<AtomicUsize>,
    limit: usize,
}

/// A part of a [`Budget`], given back when dropped.
struct Charge {
    budget: Budget,
    bytes: usize,
}

/// A whole body.
pub(crate) struct Buffered {
    pub(crate) bytes: Bytes,
    _charge: Charge,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Self {
        Self { held: Arc::default(), limit }
    }

    fn open(&self) -> Charge {
        Charge { budget: self.clone(), bytes: 0 }
    }
}

impl Charge {
    fn add(&mut self, bytes: usize) -> Result<(), Refusal> {
        let before = self.budget.held.fetch_add(bytes, Relaxed);
        self.bytes += bytes;
        if before + bytes > self.budget.limit { Err(Refusal::Shed(Shed::Memory)) } else { Ok(()) }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.bytes, Relaxed);
    }
}

/// Reads a body of at most `limit` bytes until `until`.
pub(crate) async fn read(
    headers: &HeaderMap,
    mut body: Body,
    limit: usize,
    until: Instant,
    budget: &Budget,
) -> Result<Buffered, Refusal> {
    let declared = declared(headers);
    if declared.is_some_and(|n| n > limit as u64) {
        // One that waits for `100 Continue` has sent nothing: it reads our answer at once.
        if !headers.contains_key(EXPECT) {
            discard(body, declared, until).await;
        }
        return Err(Refusal::TooLarge(limit));
    }
    let mut charge = budget.open();
    let mut first = Bytes::new();
    let mut rest: Vec<u8> = Vec::new();
    let mut length = 0;
    while !body.is_end_stream() {
        let frame = match timeout_at(until, body.frame()).await {
            Err(_) => return Err(Refusal::TimedOut),
            Ok(None) => break,
            Ok(Some(Err(_))) => return Err(Refusal::Broken),
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else { continue };
        length += data.len();
        if length > limit {
            discard(body, declared, until).await;
            return Err(Refusal::TooLarge(limit));
        }
        charge.add(data.len())?;
        // Most bodies are one frame, which is taken as it is.
        if first.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.reserve(declared.unwrap_or_default() as usize);
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&data);
        }
    }
    let bytes = if rest.is_empty() { first } else { Bytes::from(rest) };
    Ok(Buffered { bytes, _charge: charge })
}

fn declared(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads on and throws away, so that a client that writes first and reads later gets its answer.
async fn discard(mut body: Body, declared: Option<u64>, until: Instant) {
    if declared.is_some_and(|n| n > MAX_DISCARDED_BYTES) {
        return;
    }
    let drained = async {
        let mut left = MAX_DISCARDED_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, |d| d.len() as u64));
            if left == 0 {
                break;
            }
        }
    };
    let patience = until.saturating_duration_since(Instant::now()).min(Duration::from_secs(5));
    let _ = timeout(patience, drained).await;
}
