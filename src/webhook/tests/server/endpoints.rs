//! Endpoints without a port.

use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::stream;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use stockade_webhook::{Limits, Server};
use tower::Service as _;

use crate::support::{allowed, call, failure, pod_review, post, post_review, read, server};

async fn answer(request: Request<Body>) -> (StatusCode, Value) {
    read(call(server(Limits::default()).admission(), request).await).await
}

async fn metrics(server: &Server) -> String {
    let request = Request::get("/metrics").body(Body::empty()).unwrap();
    match read(call(server.operations(), request).await).await {
        (StatusCode::OK, Value::String(text)) => text,
        other => panic!("{other:?}"),
    }
}

async fn metric(server: &Server, name: &str) -> String {
    let text = metrics(server).await;
    text.lines().filter(|l| l.starts_with(name) && !l.ends_with(" 0")).collect::<Vec<_>>().join("\n")
}

/// A body that gives these bytes and then nothing, for ever.
fn stalled(first: &'static [u8]) -> Body {
    use futures_util::StreamExt as _;
    let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(first))]);
    Body::from_stream(first.chain(stream::pending()))
}

#[tokio::test]
async fn an_allowed_request_is_answered_with_its_uid() {
    let answers = [answer(post_review("/validate", "web")).await, answer(post_review("/mutate", "web")).await];
    assert_eq!(answers, [(StatusCode::OK, allowed()), (StatusCode::OK, allowed())]);
}

#[tokio::test]
async fn a_denied_request_carries_status_warnings_and_annotations() {
    let want = json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "response": {
            "uid": "7f0a",
            "allowed": false,
            "status": {"status": "Failure", "message": "no \"privileged\" Pods", "reason": "Invalid", "code": 422},
            "warnings": ["careful"],
            "auditAnnotations": {"why": "scripted"},
        }
    });
    assert_eq!(answer(post_review("/validate", "deny")).await, (StatusCode::OK, want));
}

#[tokio::test]
async fn a_mutation_is_a_json_patch_in_base64() {
    let want = json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "response": {
            "uid": "7f0a",
            "allowed": true,
            "patchType": "JSONPatch",
            "patch": "W3sib3AiOiJyZW1vdmUiLCJwYXRoIjoiL3NwZWMifV0=",
        }
    });
    assert_eq!(answer(post_review("/mutate", "mutate")).await, (StatusCode::OK, want));
}

#[tokio::test]
async fn a_panic_is_a_refusal_and_is_counted() {
    let server = server(Limits::default());
    let got = read(call(server.admission(), post_review("/validate", "panic")).await).await;
    let want = json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "response": {
            "uid": "7f0a",
            "allowed": false,
            "status": {
                "status": "Failure",
                "message": "the policy engine failed on this request, which is therefore refused; its log tells more",
                "reason": "InternalError",
                "code": 500,
            },
        }
    });
    assert_eq!(got, (StatusCode::OK, want));
    assert_eq!(
        metric(&server, "stockade_admission_requests_total").await,
        r#"stockade_admission_requests_total{verb="validate",decision="panicked"} 1"#
    );
}

/// An answer that refuses would be one that the registration's `failurePolicy: Ignore` does not turn.
#[tokio::test]
async fn what_is_asked_for_warnings_alone_is_not_refused_whatever_goes_wrong() {
    let panicked = answer(post_review("/warn", "panic")).await;
    assert_eq!(panicked, failure(500, "InternalError", "what comes of this request could not be told"));
    let mut review = pod_review("web");
    review["request"]["operation"] = json!("REPLACE");
    let [warned, judged] =
        [answer(post("/warn", review.to_string())).await, answer(post("/validate", review.to_string())).await];
    assert_eq!((warned.0, judged.0), (StatusCode::BAD_REQUEST, StatusCode::OK));
    assert_eq!(
        (&warned.1["message"], &warned.1["kind"]),
        (&judged.1["response"]["status"]["message"], &json!("Status"))
    );
}

#[tokio::test]
async fn after_a_panic_what_a_cluster_needs_to_run_is_admitted_with_a_warning() {
    let mut review = pod_review("panic");
    review["request"]["namespace"] = json!("kube-system");
    let warning = "the policy engine failed on this request, which was admitted without being judged, for a cluster needs \
                   such to run";
    let want = json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "response": {"uid": "7f0a", "allowed": true, "warnings": [warning]},
    });
    assert_eq!(answer(post("/mutate", review.to_string())).await, (StatusCode::OK, want));
}

#[tokio::test]
async fn what_is_not_a_post_of_json_to_a_known_path_is_named() {
    let review = || pod_review("web").to_string();
    let with = |r: http::request::Builder| r.body(Body::from(review())).unwrap();
    let validate = || Request::post("/validate");
    let json = "application/json";
    let got = [
        answer(with(Request::get("/validate"))).await,
        answer(with(Request::put("/mutate"))).await,
        answer(with(Request::post("/livez"))).await,
        answer(with(Request::get("/"))).await,
        answer(with(validate())).await,
        answer(with(validate().header("content-type", "text/plain"))).await,
        answer(with(validate().header("content-type", json).header("content-encoding", "gzip"))).await,
        answer(with(Request::post("/validate?timeout=soon").header("content-type", json))).await,
        answer(with(validate().header("content-type", "Application/JSON; charset=utf-8"))).await,
    ];
    let method = || failure(405, "MethodNotAllowed", "POST an AdmissionReview");
    let path = || {
        failure(
            404,
            "NotFound",
            "no such path: this port answers POST /validate, /mutate and /warn; /livez, /readyz and /metrics are on \
             the plain HTTP port",
        )
    };
    let media = |message| failure(415, "UnsupportedMediaType", message);
    let want = [
        method(),
        method(),
        path(),
        path(),
        media("the content type must be application/json"),
        media("the content type must be application/json"),
        media("the body must not be compressed"),
        failure(400, "BadRequest", "timeout=\"soon\" is not a duration such as 10s or 500ms"),
        (StatusCode::OK, allowed()),
    ];
    assert_eq!(got, want);
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_one() {
    let mut request = post_review("/validate", "web");
    *request.method_mut() = Method::DELETE;
    let response = call(server(Limits::default()).admission(), request).await;
    assert_eq!(response.headers()["allow"], "POST");
}

#[tokio::test]
async fn a_body_over_the_bound_is_413_declared_or_not() {
    let limits = Limits { max_body_bytes: 600, ..Limits::default() };
    let too_large = vec![b' '; 601];
    let streamed = Body::from_stream(stream::iter([Ok::<_, std::io::Error>(Bytes::from(too_large.clone()))]));
    let mut declared = post("/validate", too_large);
    declared.headers_mut().insert("content-length", "601".parse().unwrap());
    let service = server(limits).admission();
    let want = failure(
        413,
        "RequestEntityTooLarge",
        "the body is larger than 600 bytes, more than any AdmissionReview of an API server",
    );
    assert_eq!(read(call(service.clone(), declared).await).await, want);
    assert_eq!(read(call(service.clone(), post("/validate", streamed)).await).await, want);
    let fits = pod_review("web").to_string();
    assert!(fits.len() <= 600);
    assert_eq!(read(call(service, post("/validate", fits)).await).await, (StatusCode::OK, allowed()));
}

#[tokio::test]
async fn a_body_in_pieces_is_put_together() {
    let text = pod_review("web").to_string();
    let pieces: Vec<_> =
        text.as_bytes().chunks(7).map(|c| Ok::<_, std::io::Error>(Bytes::copy_from_slice(c))).collect();
    let got = answer(post("/validate", Body::from_stream(stream::iter(pieces)))).await;
    assert_eq!(got, (StatusCode::OK, allowed()));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_400() {
    let broken = [Ok(Bytes::from_static(b"{\"kind\":")), Err(std::io::Error::other("reset"))];
    let got = answer(post("/validate", Body::from_stream(stream::iter(broken)))).await;
    assert_eq!(got, failure(400, "BadRequest", "the body broke off"));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_408_at_the_earlier_of_its_bounds() {
    let began = tokio::time::Instant::now();
    let want = failure(408, "Timeout", "the body was not complete within the time for it");
    assert_eq!(answer(post("/validate?timeout=30s", stalled(b"{"))).await, want);
    assert_eq!(began.elapsed().as_secs(), 10);
    assert_eq!(answer(post("/validate?timeout=2s", stalled(b"{"))).await, want);
    assert_eq!(began.elapsed().as_millis().div_euclid(10), 1180);
}

#[tokio::test]
async fn more_requests_in_flight_than_allowed_are_shed_with_429() {
    let server = server(Limits { max_in_flight: 1, ..Limits::default() });
    let mut service = server.admission();
    let first = service.call(post("/validate", stalled(b"{")));
    let shed = call(service.clone(), post_review("/mutate", "web")).await;
    assert_eq!(shed.headers()["retry-after"], "1");
    let want = failure(429, "TooManyRequests", "too many requests at this moment; try again");
    assert_eq!(read(shed).await, want);
    assert_eq!(
        [
            metric(&server, "stockade_admission_requests").await,
            metric(&server, "stockade_admission_shed").await,
            metric(&server, "stockade_admission_in_flight").await,
        ],
        [
            r#"stockade_admission_requests_total{verb="mutate",decision="shed"} 1"#,
            r#"stockade_admission_shed_total{reason="in_flight"} 1"#,
            "stockade_admission_in_flight 1",
        ]
    );
    drop(first);
    assert_eq!(read(call(service, post_review("/validate", "web")).await).await, (StatusCode::OK, allowed()));
}

#[tokio::test]
async fn more_bytes_held_than_allowed_are_shed_with_429() {
    let server = server(Limits { max_buffered_bytes: 1000, ..Limits::default() });
    let mut service = server.admission();
    let mut first = pin!(service.call(post("/validate", stalled(&[b' '; 900]))));
    assert!(matches!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
    let (code, _) = read(call(service.clone(), post_review("/validate", "web")).await).await;
    assert_eq!(code, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(metric(&server, "stockade_admission_shed").await, r#"stockade_admission_shed_total{reason="memory"} 1"#);
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_time_is_over_before_its_turn_is_not_reviewed() {
    let server = server(Limits::default());
    let waiting = server.admission().call(post_review("/validate?timeout=1s", "panic"));
    tokio::time::advance(Duration::from_millis(901)).await;
    let Ok(response) = waiting.await;
    let want = failure(504, "Timeout", "the time for this request was over before its turn came");
    assert_eq!(read(response).await, want);
}

#[tokio::test]
async fn the_plain_port_tells_life_readiness_and_metrics() {
    let server = server(Limits::default());
    let get = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    call(server.admission(), post_review("/validate", "web")).await;
    let text = |s: &str| Value::String(s.to_owned());
    assert_eq!(read(call(server.operations(), get("/livez")).await).await, (StatusCode::OK, text("ok\n")));
    let ready = (StatusCode::OK, text("ready\npolicies: scripted\n"));
    assert_eq!(read(call(server.operations(), get("/readyz")).await).await, ready);
    assert_eq!(read(call(server.operations(), get("/validate")).await).await.0, StatusCode::NOT_FOUND);
    let metrics = metrics(&server).await;
    for line in [
        "stockade_build_info{version=\"1.2.3\"} 1",
        "stockade_admission_requests_total{verb=\"validate\",decision=\"allowed\"} 1",
        "stockade_admission_review_duration_seconds_count{verb=\"validate\"} 1",
        "stockade_admission_review_duration_seconds_bucket{le=\"+Inf\",verb=\"validate\"} 1",
        "stockade_certificate_expiry_timestamp_seconds 0",
        "# EOF",
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line} is not in\n{metrics}");
    }
}

#[tokio::test]
async fn what_has_to_be_looked_at_first_is_looked_at_and_reviewed_again() {
    assert_eq!(answer(post_review("/validate", "look")).await, (StatusCode::OK, allowed()));
}

#[tokio::test(start_paused = true)]
async fn who_looks_for_ever_is_not_answered_with_an_allow() {
    let server = server(Limits::default());
    let blind = call(server.admission(), post_review("/validate", "blind")).await;
    assert_eq!(blind.status(), StatusCode::GATEWAY_TIMEOUT);
    let shed = metric(&server, "stockade_admission_shed_total{reason=\"late\"}").await;
    assert_eq!(shed, "stockade_admission_shed_total{reason=\"late\"} 1");
}
