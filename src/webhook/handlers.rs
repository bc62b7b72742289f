//! The endpoints. A handler bounds and decodes HTTP; the reviewer decides; nothing else is between.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::{get, post};
use futures_util::future::Either;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use stockade_process::operations;
use tokio::time::Instant;
use tower::Service;
use tracing::Instrument as _;

use crate::body;
use crate::metrics::{Decision, Shed};
use crate::problem::{JSON, problem};
use crate::refusal::Refusal;
use crate::review::{self, AdmissionResponse, Status};
use crate::reviewer::{BadReview, Looking, Outcome, Review, Reviewed, Verb};
use crate::shared::{Phase, Shared};
use crate::timeout;

/// When a request's headers were complete.
#[derive(Debug, Clone, Copy)]
struct Arrived(Instant);

type Answer = (Decision, Response<Body>);

/// The endpoints of the TLS port, with the bound of requests in flight around them.
#[derive(Clone)]
pub struct AdmissionService {
    router: Router,
    shared: Arc<Shared>,
}

/// The admission endpoints.
pub(crate) fn admission(shared: &Arc<Shared>) -> AdmissionService {
    let validate = |State(s): State<Arc<Shared>>, r: Request<Body>| admit(s, Verb::Validate, r);
    let mutate = |State(s): State<Arc<Shared>>, r: Request<Body>| admit(s, Verb::Mutate, r);
    let warn = |State(s): State<Arc<Shared>>, r: Request<Body>| admit(s, Verb::Warn, r);
    let router = Router::new()
        .route("/validate", post(validate).fallback(wrong_method))
        .route("/mutate", post(mutate).fallback(wrong_method))
        .route("/warn", post(warn).fallback(wrong_method))
        .fallback(unknown_admission_path)
        .with_state(Arc::clone(shared));
    AdmissionService { router, shared: Arc::clone(shared) }
}

/// The endpoints of the plain port.
pub(crate) fn operations(shared: &Arc<Shared>) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .fallback(unknown_operations_path)
        .with_state(Arc::clone(shared))
}

async fn admit(shared: Arc<Shared>, verb: Verb, request: Request<Body>) -> Response<Body> {
    let span = tracing::info_span!(
        "admission",
        verb = verb.as_str(),
        uid = tracing::field::Empty,
        operation = tracing::field::Empty,
        kind = tracing::field::Empty,
        namespace = tracing::field::Empty,
        // Not `name`: in JSON that is the span's own.
        object = tracing::field::Empty,
        user = tracing::field::Empty,
    );
    let answer = async {
        let (decision, response) = match receive(&shared, request).await {
            Ok((body, deadline)) => answer_in_time(&shared, verb, &body.bytes, deadline).await,
            Err(refusal) => refuse(&shared, &refusal),
        };
        shared.metrics.request(verb, decision);
        tell(decision, response.status());
        response
    };
    if span.is_disabled() { answer.await } else { answer.instrument(span).await }
}

/// One line a request, as loud as the decision is rare.
fn tell(decision: Decision, status: StatusCode) {
    match decision {
        Decision::Reviewed(Outcome::Allowed | Outcome::Mutated) => tracing::debug!("request allowed"),
        Decision::Reviewed(Outcome::Denied) => tracing::info!("request denied"),
        Decision::Reviewed(Outcome::Errored) => tracing::warn!("request refused after an error"),
        Decision::Malformed | Decision::Rejected => {
            tracing::warn!(status = status.as_u16(), "bad request refused");
        }
        // Under load one line a request would add to it; the counters tell.
        Decision::Shed => tracing::debug!("request shed"),
        Decision::Panicked => tracing::error!("request not judged after a panic"),
    }
}

/// Checks the headers and reads the body.
async fn receive(shared: &Shared, request: Request<Body>) -> Result<(body::Buffered, Instant), Refusal> {
    let (parts, body) = request.into_parts();
    check_content(&parts.headers)?;
    let budget = timeout::budget(parts.uri.query()).map_err(|text| Refusal::Timeout(text.to_owned()))?;
    let arrived = parts.extensions.get::<Arrived>().map_or_else(Instant::now, |a| a.0);
    let deadline = arrived + budget;
    let until = deadline.min(arrived + shared.limits.body_timeout);
    let body = body::read(&parts.headers, body, shared.limits.max_body_bytes, until, &shared.bodies).await?;
    Ok((body, deadline))
}

fn check_content(headers: &HeaderMap) -> Result<(), Refusal> {
    let is_json = |value: &HeaderValue| {
        let text = value.to_str().unwrap_or_default();
        text.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
    };
    if !headers.get(CONTENT_TYPE).is_some_and(is_json) {
        return Err(Refusal::ContentType);
    }
    if headers.get(CONTENT_ENCODING).is_some_and(|e| e != "identity") {
        return Err(Refusal::Compressed);
    }
    Ok(())
}

/// Has the request reviewed, again after what it needs was looked at.
async fn answer_in_time(shared: &Shared, verb: Verb, body: &[u8], deadline: Instant) -> Answer {
    let first = |body: &[u8]| shared.reviewer.review(verb, body, deadline.into_std());
    let mut step = decide(shared, verb, body, deadline, first);
    loop {
        let looking = match step {
            Step::Answer(answer) => return answer,
            Step::Look(looking) => looking,
        };
        let Ok(again) = tokio::time::timeout_at(deadline, looking).await else {
            return refuse(shared, &Refusal::Shed(Shed::Late));
        };
        step = decide(shared, verb, body, deadline, again);
    }
}

/// What becomes of a request next.
enum Step {
    Answer(Answer),
    Look(Looking),
}

impl From<Answer> for Step {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}

/// Has the request reviewed, here and now.
fn decide(
    shared: &Shared,
    verb: Verb,
    body: &[u8],
    deadline: Instant,
    review: impl FnOnce(&[u8]) -> Result<Review, BadReview>,
) -> Step {
    let started = Instant::now();
    if started >= deadline {
        return refuse(shared, &Refusal::Shed(Shed::Late)).into();
    }
    // What a panic leaves behind is dropped with the stack; the reviewer's shared state is immutable or its own care.
    let result = catch_unwind(AssertUnwindSafe(|| review(body)));
    let result = match result {
        Ok(Ok(Review::Later(looking))) => return Step::Look(looking),
        Ok(Ok(Review::Answered(reviewed))) => Ok(Ok(reviewed)),
        Ok(Err(bad)) => Ok(Err(bad)),
        Err(panic) => Err(panic),
    };
    shared.metrics.duration(verb, started.elapsed().as_secs_f64());
    let answer = match result {
        Ok(Ok(Reviewed { body, outcome })) => (Decision::Reviewed(outcome), json(body)),
        // What is asked for warnings alone is never refused: an HTTP error has the registration admit it.
        Ok(Err(BadReview { message, uid })) => match uid.filter(|_| verb != Verb::Warn) {
            None => (Decision::Malformed, problem(StatusCode::BAD_REQUEST, &message)),
            Some(uid) => {
                let status = Status { code: 400, reason: "BadRequest", message: &message };
                (Decision::Malformed, json(AdmissionResponse::denied(&uid, status).encode()))
            }
        },
        Err(_panic) if verb == Verb::Warn => {
            let message = "what comes of this request could not be told";
            (Decision::Panicked, problem(StatusCode::INTERNAL_SERVER_ERROR, message))
        }
        Err(_panic) => (Decision::Panicked, answer_after_panic(shared, body)),
    };
    answer.into()
}

/// What becomes of a request that nobody can judge.
fn answer_after_panic(shared: &Shared, body: &[u8]) -> Response<Body> {
    let admits = catch_unwind(AssertUnwindSafe(|| shared.reviewer.admits_unjudged(body))).unwrap_or(false);
    let message = "the policy engine failed on this request, which is therefore refused; its log tells more";
    match review::peek_uid(body) {
        Some(uid) if admits => {
            let warning = "the policy engine failed on this request, which was admitted without being judged, for a cluster \
                           needs such to run";
            json(AdmissionResponse { warnings: vec![warning], ..AdmissionResponse::allowed(&uid) }.encode())
        }
        Some(uid) => {
            let status = Status { code: 500, reason: "InternalError", message };
            json(AdmissionResponse::denied(&uid, status).encode())
        }
        None => problem(StatusCode::INTERNAL_SERVER_ERROR, message),
    }
}

fn json(body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

fn refuse(shared: &Shared, refusal: &Refusal) -> Answer {
    if let Refusal::Shed(why) = *refusal {
        shared.metrics.shed(why);
        return (Decision::Shed, refusal.response());
    }
    (Decision::Rejected, refusal.response())
}

async fn wrong_method() -> Response<Body> {
    problem(StatusCode::METHOD_NOT_ALLOWED, "POST an AdmissionReview")
}

async fn unknown_admission_path() -> Response<Body> {
    let message = "no such path: this port answers POST /validate, /mutate and /warn; /livez, /readyz and /metrics \
                   are on the plain HTTP port";
    problem(StatusCode::NOT_FOUND, message)
}

async fn unknown_operations_path() -> Response<Body> {
    let message = "no such path: this port answers GET /livez, /readyz and /metrics; /validate, /mutate and /warn \
                   are on the TLS port";
    problem(StatusCode::NOT_FOUND, message)
}

async fn readyz(State(shared): State<Arc<Shared>>) -> (StatusCode, String) {
    let readiness = shared.reviewer.readiness();
    let not_ready = match shared.lifecycle.phase() {
        Phase::Serving => readiness.not_ready.or_else(|| shared.no_certificate()),
        Phase::Draining | Phase::Closing => Some("draining".to_owned()),
    };
    let (code, mut text) = match not_ready {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
    };
    for line in readiness.details.iter().chain(&shared.certificate_detail()) {
        text.push_str(line);
        text.push('\n');
    }
    (code, text)
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response<Body> {
    operations::metrics(&shared.registry).map(Body::from)
}

// === impl AdmissionService ===

/// A place among the requests in flight.
struct Place(Arc<Shared>);

impl Place {
    fn take(shared: &Arc<Shared>) -> Option<Self> {
        let place = Self(Arc::clone(shared));
        let before = shared.metrics.in_flight.inc();
        (before < shared.limits.max_in_flight as i64).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.metrics.in_flight.dec();
    }
}

impl Service<Request<Body>> for AdmissionService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response<Body>, Infallible>>, InPlace>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    /// Takes the place here and not in the future, because over HTTP/2 the futures that wait to be polled are the
    /// queue that is to be bounded.
    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let Some(place) = Place::take(&self.shared) else {
            let (decision, response) = refuse(&self.shared, &Refusal::Shed(Shed::InFlight));
            match request.uri().path() {
                "/validate" => self.shared.metrics.request(Verb::Validate, decision),
                "/mutate" => self.shared.metrics.request(Verb::Mutate, decision),
                "/warn" => self.shared.metrics.request(Verb::Warn, decision),
                _ => {}
            }
            return Either::Left(ready(Ok(response)));
        };
        request.extensions_mut().insert(Arrived(Instant::now()));
        Either::Right(InPlace { response: self.router.call(request), _place: place })
    }
}

/// A response being made.
pub struct InPlace {
    response: axum::routing::future::RouteFuture<Infallible>,
    _place: Place,
}

impl Future for InPlace {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.response).poll(cx)
    }
}
