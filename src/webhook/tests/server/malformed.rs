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

/// What the engine says of a review of another kind or version.
fn no_review(api_version: &str, kind: &str) -> String {
    format!("expected apiVersion admission.k8s.io/v1 and kind AdmissionReview, not {api_version:?} and {kind:?}")
}

#[tokio::test]
async fn a_bad_envelope_is_refused_under_its_uid() {
    let v1 = "admission.k8s.io/v1";
    let cases = [
        ("/kind", Some(json!("Pod")), no_review(v1, "Pod")),
        ("/kind", None, no_review(v1, "")),
        ("/kind", Some(json!(7)), "kind must be a string, not a number".into()),
        ("/apiVersion", Some(json!("v1beta1")), no_review("v1beta1", "AdmissionReview")),
        ("/apiVersion", None, no_review("", "AdmissionReview")),
        (
            "/request/operation",
            Some(json!("create")),
            r#"request.operation must be CREATE, UPDATE, DELETE or CONNECT, not "create""#.into(),
        ),
        ("/request/operation", None, "request.operation is missing".into()),
        ("/request/kind", None, "request.kind is missing".into()),
        ("/request/kind/version", Some(json!(1)), "request.kind.version must be a string, not a number".into()),
        ("/request/resource", Some(json!("pods")), "request.resource must be an object or null, not a string".into()),
        ("/request/resource/resource", Some(json!("")), "request.resource.resource is missing".into()),
        ("/request/object", Some(json!("Pod")), "request.object must be an object or null, not a string".into()),
        ("/request/object", None, "request.object is missing, which CREATE needs".into()),
        ("/request/operation", Some(json!("UPDATE")), "request.oldObject is missing, which UPDATE needs".into()),
        ("/request/oldObject", Some(json!([])), "request.oldObject must be an object or null, not a list".into()),
        ("/request/dryRun", Some(json!("yes")), "request.dryRun must be a boolean, not a string".into()),
        (
            "/request/userInfo/groups",
            Some(json!([1])),
            "request.userInfo.groups must be a list of strings, not a number".into(),
        ),
        ("/request/userInfo", Some(json!(true)), "request.userInfo must be an object or null, not a boolean".into()),
    ];
    for (path, value, fault) in cases {
        assert_eq!(answer(with(path, value)).await, refusal(&fault), "{path}");
    }
}

#[tokio::test]
async fn an_envelope_without_usable_uid_is_http_400() {
    let cases = [
        (b"[]".to_vec(), "AdmissionReview must be an object, not a list".into()),
        (b"null".to_vec(), "AdmissionReview must be an object, not null".into()),
        (b"{}".to_vec(), no_review("", "")),
        (with("/request", None), "request is missing".into()),
        (with("/request", Some(json!([]))), "request must be an object, not a list".into()),
        (with("/request/uid", None), "request.uid is missing".into()),
        (with("/request/uid", Some(json!(""))), "request.uid is missing".into()),
        (with("/request/uid", Some(json!(12))), "request.uid must be a string, not a number".into()),
        (with("/request/uid", Some(json!("u".repeat(257)))), "request.uid has 257 bytes; at most 256 are taken".into()),
    ];
    for (body, fault) in cases {
        assert_eq!(answer(body).await, failure(400, "BadRequest", &fault));
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

#[tokio::test]
async fn a_review_cut_anywhere_is_never_allowed() {
    let whole = pod_review("web").to_string().into_bytes();
    for length in 0..whole.len() {
        let (code, value) = answer(whole[..length].to_vec()).await;
        assert_eq!((code, &value["kind"]), (StatusCode::BAD_REQUEST, &json!("Status")), "{length}");
    }
}

#[tokio::test]
async fn a_review_with_any_byte_broken_is_answered_and_never_a_fault_of_ours() {
    let whole = pod_review("web").to_string().into_bytes();
    for at in 0..whole.len() {
        for byte in [0, b'"', b'}', b'[', b'\\', b'9', 0xc3, 0xff] {
            let mut body = whole.clone();
            body[at] = byte;
            let (code, value) = answer(body).await;
            let answered = match code {
                StatusCode::OK => value["response"]["allowed"].is_boolean(),
                code => code == StatusCode::BAD_REQUEST,
            };
            assert!(answered, "byte {at} = {byte}: {code} {value}");
        }
    }
}
