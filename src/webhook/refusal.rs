//! Why a request never reaches the reviewer.

use axum::body::Body;
use http::{Response, StatusCode};

use crate::metrics::Shed;
use crate::problem::problem;
use crate::review::bounded;

/// Why a request never reaches the reviewer. `Display` is what the caller reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the content type must be application/json")]
    ContentType,
    #[error("the body must not be compressed")]
    Compressed,
    /// The `timeout` of the query, as written.
    #[error("timeout={:?} is not a duration such as 10s or 500ms", bounded(.0))]
    Timeout(String),
    /// Larger than this many bytes.
    #[error("the body is larger than {0} bytes, more than any AdmissionReview of an API server")]
    TooLarge(usize),
    #[error("the body was not complete within the time for it")]
    TimedOut,
    #[error("the body broke off")]
    Broken,
    #[error("{}", load(.0))]
    Shed(Shed),
}

fn load(why: &Shed) -> &'static str {
    match why {
        Shed::Late => "the time for this request was over before its turn came",
        Shed::InFlight | Shed::Memory | Shed::Connections => "too many requests at this moment; try again",
    }
}

impl Refusal {
    /// As HTTP.
    pub(crate) fn response(&self) -> Response<Body> {
        let code = match self {
            Refusal::ContentType | Refusal::Compressed => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Refusal::Timeout(_) | Refusal::Broken => StatusCode::BAD_REQUEST,
            Refusal::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::TimedOut => StatusCode::REQUEST_TIMEOUT,
            Refusal::Shed(Shed::Late) => StatusCode::GATEWAY_TIMEOUT,
            Refusal::Shed(_) => StatusCode::TOO_MANY_REQUESTS,
        };
        problem(code, &self.to_string())
    }
}
