//! The request half: decoded once, checked by the engine, strings borrowed from the body.

use bumpalo::Bump;
use serde::Deserialize;
use stockade_cel::{Symbols, Value, document};
use stockade_engine::Request;

use crate::limits::{MAX_LOGGED_CHARS, MAX_UID_BYTES};
use crate::reviewer::BadReview;

/// Decodes and checks a body.
///
/// # Errors
/// Anything that [`document::decode`] refuses (malformed or truncated JSON, invalid UTF-8, duplicate keys, nesting);
/// anything that [`Request::from_review`] refuses (a wrong kind or version; a missing request, uid or object; a
/// member of the wrong type); a uid too long to be one.
pub fn decode<'a>(body: &'a [u8], arena: &'a Bump, symbols: &Symbols) -> Result<Request<'a>, BadReview> {
    let review = document::decode(body, arena, symbols)
        .map_err(|e| BadReview { message: format!("the body is not a JSON document: {e}"), uid: peek_uid(body) })?;
    let request = Request::from_review(review).map_err(|fault| {
        let uid = review.path(&["request", "uid"]).and_then(Value::as_str).filter(|uid| is_usable(uid));
        BadReview { message: fault.to_string(), uid: uid.map(str::to_owned) }
    })?;
    if !is_usable(request.uid) {
        let message = format!("request.uid has {} bytes; at most {MAX_UID_BYTES} are taken", request.uid.len());
        return Err(BadReview { message, uid: None });
    }
    Ok(request)
}

/// The uid of a body that cannot be decoded otherwise, or whose review panicked: reads nothing but the way to it,
/// without recursion.
pub fn peek_uid(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Review {
        request: Uid,
    }
    #[derive(Deserialize)]
    struct Uid {
        uid: String,
    }
    serde_json::from_slice::<Review>(body).ok().map(|r| r.request.uid).filter(|uid| is_usable(uid))
}

fn is_usable(uid: &str) -> bool {
    !uid.is_empty() && uid.len() <= MAX_UID_BYTES
}

/// Records who and what in the request's span. Texts are cut; the subscriber escapes them.
pub fn record(request: &Request<'_>, span: &tracing::Span) {
    if span.is_disabled() {
        return;
    }
    span.record("uid", bounded(request.uid));
    span.record("operation", request.operation.name());
    span.record("kind", bounded(request.kind.kind));
    span.record("namespace", bounded(request.namespace));
    span.record("object", bounded(request.name));
    span.record("user", bounded(request.user_info.get("username").and_then(Value::as_str).unwrap_or_default()));
}

/// The first [`MAX_LOGGED_CHARS`] characters.
pub(crate) fn bounded(text: &str) -> &str {
    text.char_indices().nth(MAX_LOGGED_CHARS).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uid_is_found_in_a_body_that_cannot_be_decoded() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let cases = [
            (format!(r#"{{"x":{deep},"request":{{"object":{deep},"uid":"u"}}}}"#), Some("u")),
            (r#"{"request":{"uid":""}}"#.to_owned(), None),
            (r#"{"request":{"uid":"u"},"request":{"uid":"v"}}"#.to_owned(), None),
            (r#"{"request":{"uid":"u"}"#.to_owned(), None),
        ];
        let got: Vec<_> = cases.iter().map(|(body, _)| peek_uid(body.as_bytes())).collect();
        let want: Vec<_> = cases.iter().map(|(_, uid)| uid.map(str::to_owned)).collect();
        assert_eq!(got, want);
    }

    #[test]
    fn an_arena_is_reused_and_dropped_when_large_or_after_a_panic() {
        use crate::review::with_arena;
        with_arena(|a| a.alloc_slice_fill_copy(100_000, 0u8).len());
        let kept = with_arena(|a| a.allocated_bytes());
        with_arena(|a| a.alloc_slice_fill_copy(4 << 20, 0u8).len());
        let fresh = with_arena(|a| a.allocated_bytes());
        let panicked = std::panic::catch_unwind(|| with_arena(|_| panic!("scripted")));
        assert_eq!((kept >= 100_000, fresh, panicked.is_err()), (true, 0, true));
    }
}
