//! Bodies that are no AdmissionReview: each gets a 4xx that names the fault, none passes.

use http::StatusCode;
use serde_json::{Value, json};
use stockade_webhook::Limits;

use crate::support::{call, failure, pod_review, post, read, server};

async fn answer(body: Vec<u8>) -> (StatusCode, Value) {
    read(call(server(Limits::default()).admission(), post("/validate", body)).await).await
}

/// The review of a good Pod with one member replaced (or removed, by `None`).
fn with(path: &str, value: Option<Value>) -> Vec<u8> {
    let mut review = pod_review("web");
    let (parent, name) = path.rsplit_once('/').unwrap();
    let parent = review.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value {
        Some(value) => parent.insert(name.to_owned(), value),
        None => parent.remove(name),
    };
    review.to_string().into_bytes()
}

/// A refusal as AdmissionReview.
fn refusal(message: &str) -> (StatusCode, Value) {
    let body = json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "response": {
            "uid": "7f0a",
            "allowed": false,
            "status": {"status": "Failure", "message": message, "reason": "BadRequest", "code": 400},
        }
    });
    (StatusCode::OK, body)
}

#[tokio::test]
async fn what_is_not_json_is_http_400_with_its_place() {
    let truncated = {
        let mut text = pod_review("web").to_string();
        text.truncate(text.len() - 3);
        text
    };
    let end = truncated.len();
    let cases: [(Vec<u8>, String); 6] = [
        (b"".into(), "EOF while parsing a value at line 1 column 0".into()),
        (b"{".into(), "EOF while parsing an object at line 1 column 1".into()),
        (b"yaml: true".into(), "expected value at line 1 column 1".into()),
        (b"{} {}".into(), "trailing characters at line 1 column 4".into()),
        (b"{\"kind\":\"\xff\xfe\"}".into(), "invalid unicode code point at line 1 column 10".into()),
        (truncated.into_bytes(), format!("EOF while parsing a value at line 1 column {end}")),
    ];
    for (body, fault) in cases {
        let want = failure(400, "BadRequest", &format!("the body is not a JSON document: {fault}"));
        assert_eq!(answer(body).await, want);
    }
}

#[tokio::test]
async fn a_bad_envelope_is_refused_under_its_uid() {
    let cases = [
        ("/kind", Some(json!("Pod")), r#"kind: want AdmissionReview, got "Pod""#),
        ("/kind", None, "kind: missing or empty"),
        ("/kind", Some(json!(7)), "kind: want a string, got a number"),
        ("/apiVersion", Some(json!("v1beta1")), r#"apiVersion: want admission.k8s.io/v1, got "v1beta1""#),
        (
            "/request/operation",
            Some(json!("create")),
            r#"request.operation: want CREATE, UPDATE, DELETE or CONNECT, got "create""#,
        ),
        ("/request/operation", None, "request.operation: missing or empty"),
        ("/request/kind", None, "request.kind: missing or empty"),
        ("/request/kind/version", Some(json!(1)), "request.kind.version: want a string, got a number"),
        ("/request/resource", Some(json!("pods")), "request.resource: want an object, got a string"),
        ("/request/resource/resource", Some(json!("")), "request.resource.resource: missing or empty"),
        ("/request/object", Some(json!("Pod")), "request.object: want an object, got a string"),
        ("/request/oldObject", Some(json!([])), "request.oldObject: want an object, got a list"),
        ("/request/dryRun", Some(json!("yes")), "request.dryRun: want true or false, got a string"),
        ("/request/userInfo/groups", Some(json!([1])), "request.userInfo.groups: want a list of strings, got a list"),
        (
            "/request/userInfo/extra",
            Some(json!({"a": "b"})),
            "request.userInfo.extra: want lists of strings, got a string",
        ),
        ("/request/userInfo", Some(json!(true)), "request.userInfo: want an object, got a boolean"),
    ];
    for (path, value, fault) in cases {
        assert_eq!(answer(with(path, value)).await, refusal(fault), "{path}");
    }
}

#[tokio::test]
async fn an_envelope_without_usable_uid_is_http_400() {
    let cases = [
        (b"[]".to_vec(), "the body: want an AdmissionReview object, got a list"),
        (b"null".to_vec(), "the body: want an AdmissionReview object, got null"),
        (b"{}".to_vec(), "kind: missing or empty"),
        (with("/request", None), "request: missing or empty"),
        (with("/request", Some(json!([]))), "request: want an object, got a list"),
        (with("/request/uid", None), "request.uid: missing or empty"),
        (with("/request/uid", Some(json!(""))), "request.uid: missing or empty"),
        (with("/request/uid", Some(json!(12))), "request.uid: want a string, got a number"),
        (with("/request/uid", Some(json!("u".repeat(257)))), "request.uid: 257 bytes, at most 256 are taken"),
    ];
    for (body, fault) in cases {
        assert_eq!(answer(body).await, failure(400, "BadRequest", fault));
    }
}

#[tokio::test]
async fn nesting_of_ten_thousand_is_refused_under_its_uid() {
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let body = pod_review("web").to_string().replace(r#""oldObject":null"#, &format!(r#""oldObject":{deep}"#));
    let (code, answer) = answer(body.into_bytes()).await;
    let message = answer["response"]["status"]["message"].as_str().unwrap().to_owned();
    assert!(
        message.starts_with("the body is not a JSON document: nested deeper than 512 levels at line 1"),
        "{message}"
    );
    assert_eq!((code, answer), refusal(&message));
}

#[tokio::test]
async fn a_key_given_twice_is_refused_wherever_it_is() {
    let text = pod_review("web").to_string();
    let in_object = text.replace(r#""object":{"#, r#""object":{"kind":"Pod","#);
    let (code, value) = answer(in_object.into_bytes()).await;
    let message = value["response"]["status"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains(r#"key "kind" occurs twice in one object"#), "{message}");
    assert_eq!((code, value), refusal(&message));
    // Two uids: neither is the request's, so there is no AdmissionReview to answer with.
    let (code, value) = answer(text.replace(r#""uid":"7f0a""#, r#""uid":"1","uid":"7f0a""#).into_bytes()).await;
    assert_eq!((code, &value["kind"]), (StatusCode::BAD_REQUEST, &json!("Status")));
}

#[tokio::test]
async fn a_refusal_that_quotes_the_request_stays_short_and_escaped() {
    let (_, value) = answer(with("/kind", Some(json!("\u{1b}[31m\n".repeat(10_000))))).await;
    let message = value["response"]["status"]["message"].as_str().unwrap();
    assert!(message.len() < 4096 && !message.contains(['\u{1b}', '\n']), "{message}");
}
