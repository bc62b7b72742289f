use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Request, Response};
use kube::client::Body;
use serde_json::{Value as Json, json};

use super::*;

/// An API server that allows `get`, cannot say about `fail`, never answers `hang`, and counts the questions.
fn reviews(asked: &Arc<AtomicUsize>) -> AccessReviews {
    let asked = Arc::clone(asked);
    let service = tower::service_fn(move |request: Request<Body>| {
        let asked = Arc::clone(&asked);
        async move {
            asked.fetch_add(1, Ordering::Relaxed);
            let review: Json = serde_json::from_slice(&request.into_body().collect_bytes().await.unwrap()).unwrap();
            let verb = review.pointer("/spec/resourceAttributes/verb").and_then(Json::as_str).unwrap_or("").to_owned();
            if verb == "hang" {
                std::future::pending::<()>().await;
            }
            let (code, answer) = match verb.as_str() {
                "fail" => (500, json!({"kind": "Status", "status": "Failure", "message": "etcd", "code": 500})),
                "half" => (201, json!({"spec": {}, "status": {"allowed": false, "evaluationError": "no role"}})),
                verb => {
                    (201, json!({"spec": {}, "status": {"allowed": verb == "get", "reason": review["spec"]["user"]}}))
                }
            };
            let body = Body::from(serde_json::to_vec(&answer).unwrap());
            Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap())
        }
    });
    AccessReviews::new(Client::new(service, "default"), Handle::current(), &mut Registry::default())
}

fn question(verb: &str) -> Attributes {
    Attributes { user: "alice".to_owned(), verb: verb.to_owned(), resource: "pods".to_owned(), ..Attributes::default() }
}

fn answer(allowed: bool) -> Decision {
    Decision { allowed, reason: "alice".to_owned(), error: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_asked_for_once_and_kept_for_seconds() {
    let asked = Arc::default();
    let reviews = reviews(&asked);
    let answers = ["get", "get", "delete", "delete"].map(|verb| reviews.authorize(&question(verb)));
    assert_eq!(answers, [answer(true), answer(true), answer(false), answer(false)]);
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    reviews.answers.lock().unwrap().values_mut().for_each(|known| known.until = Instant::now());
    assert_eq!(reviews.authorize(&question("get")), answer(true));
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_answered_is_an_error_and_asked_again() {
    let asked = Arc::default();
    let reviews = reviews(&asked);
    for verb in ["fail", "fail", "half", "half"] {
        let decision = reviews.authorize(&question(verb));
        assert!(!decision.allowed && decision.error.is_some(), "{verb}: {decision:?}");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 4);
    assert!(reviews.answers.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_waits_no_longer_than_its_deadline() {
    let asked = Arc::default();
    let reviews = reviews(&asked);
    let deadline = Instant::now() + Duration::from_millis(10);
    let decision = reviews.authorize_by(&question("hang"), Some(deadline));
    let error = "the API server did not answer an authorization question in time".to_owned();
    assert_eq!(decision, Decision { allowed: false, reason: String::new(), error: Some(error) });
    let now = Instant::now();
    let seconds = |seconds| Duration::from_secs(seconds);
    let waits = [None, Some(now), Some(now + seconds(1)), Some(now + seconds(60))].map(|d| wait_until(d, now));
    assert_eq!(waits, [TIMEOUT, seconds(0), seconds(1), TIMEOUT]);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_questions_than_the_bound_are_errors_at_once() {
    let asked = Arc::default();
    let reviews = reviews(&asked);
    let all = reviews.asking.acquire_many(MAX_ASKING as u32).await.unwrap();
    let error = "more than 32 authorization questions wait for the API server".to_owned();
    let busy = Decision { allowed: false, reason: String::new(), error: Some(error) };
    assert_eq!(reviews.authorize(&question("get")), busy);
    drop(all);
    assert_eq!(reviews.authorize(&question("get")), answer(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_remembered_is_bounded() {
    let asked = Arc::default();
    let reviews = reviews(&asked);
    let numbered = |n: usize| Attributes { name: n.to_string(), ..question("get") };
    for n in 0..=MAX_REMEMBERED {
        reviews.remember(&numbered(n), &answer(true));
    }
    assert_eq!(reviews.answers.lock().unwrap().len(), 1);
    let long = Attributes { name: "n".repeat(MAX_REMEMBERED_BYTES), ..question("get") };
    reviews.remember(&long, &answer(true));
    assert_eq!(reviews.remembered(&long), None);
}

#[test]
fn a_question_names_all_that_the_policy_said() {
    let attributes = Attributes {
        groups: vec!["g".to_owned()],
        extra: vec![("k".to_owned(), vec!["v".to_owned()])],
        uid: "u".to_owned(),
        group: "apps".to_owned(),
        namespace: "n".to_owned(),
        label_selector: "a=b".to_owned(),
        ..question("list")
    };
    let json = serde_json::to_value(review(&attributes)).unwrap();
    assert_eq!(
        json["spec"],
        json!({"user": "alice", "uid": "u", "groups": ["g"], "extra": {"k": ["v"]}, "resourceAttributes": {
            "verb": "list", "group": "apps", "version": "*", "resource": "pods", "namespace": "n",
            "labelSelector": {"rawSelector": "a=b"}}})
    );
    let path = Attributes { path: "/healthz".to_owned(), ..question("get") };
    let json = serde_json::to_value(review(&path)).unwrap();
    assert_eq!(json["spec"]["nonResourceAttributes"], json!({"path": "/healthz", "verb": "get"}));
    assert_eq!(json["spec"]["resourceAttributes"], Json::Null);
}
