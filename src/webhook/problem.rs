//! HTTP errors as the API server's client shows them: a `Status` object whose message names the fault.

use axum::body::Body;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

/// `application/json`
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// `k8s.io/apimachinery` Status.
#[derive(Serialize)]
struct StatusBody<'a> {
    kind: &'static str,
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    status: &'static str,
    message: &'a str,
    reason: &'static str,
    code: u16,
}

/// The JSON text of a failure.
pub(crate) fn status_json(code: StatusCode, message: &str) -> Vec<u8> {
    let body = StatusBody {
        kind: "Status",
        api_version: "v1",
        status: "Failure",
        message,
        reason: reason(code),
        code: code.as_u16(),
    };
    serde_json::to_vec(&body).unwrap_or_default()
}

/// A failure as response.
pub(crate) fn problem(code: StatusCode, message: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(status_json(code, message)));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    match code {
        StatusCode::TOO_MANY_REQUESTS => {
            // The API server's client waits this many seconds and tries again within the webhook's timeout.
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        // The rest of the body is still to come: this connection is of no further use.
        StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE => {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        _ => {}
    }
    response
}

fn reason(code: StatusCode) -> &'static str {
    match code {
        StatusCode::BAD_REQUEST => "BadRequest",
        StatusCode::NOT_FOUND => "NotFound",
        StatusCode::METHOD_NOT_ALLOWED => "MethodNotAllowed",
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => "Timeout",
        StatusCode::PAYLOAD_TOO_LARGE => "RequestEntityTooLarge",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "UnsupportedMediaType",
        StatusCode::TOO_MANY_REQUESTS => "TooManyRequests",
        _ => "InternalError",
    }
}
