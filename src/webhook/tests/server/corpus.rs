//! Reviews that nobody here wrote: those an API server would send are decoded, the others name what they lack.

use std::fs;

use bumpalo::Bump;
use serde_json::Value;
use stockade_cel::Symbols;
use stockade_webhook::review::decode;

/// What the API server always sends.
fn lacks(review: &Value) -> Option<&'static str> {
    let request = &review["request"];
    let operation = request["operation"].as_str().unwrap_or_default();
    if request["resource"]["resource"].as_str().is_none() {
        Some("request.resource is missing")
    } else if !["CREATE", "UPDATE", "DELETE", "CONNECT"].contains(&operation) {
        Some("request.operation must be ")
    } else {
        None
    }
}

#[test]
fn collected_reviews_are_decoded_or_name_what_they_lack() {
    let Some(suites) = stockade_conformance::folder() else { return };
    let mut read = 0;
    for entry in fs::read_dir(suites.join("admission-review")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        let body = fs::read(&path).unwrap();
        let review: Value = serde_json::from_slice(&body).unwrap();
        let arena = Bump::new();
        let got = decode(&body, &arena, &Symbols::new());
        match (lacks(&review), got) {
            (None, Ok(request)) => assert_eq!(Some(request.uid), review["request"]["uid"].as_str()),
            (Some(lack), Err(e)) => assert!(e.message.starts_with(lack), "{}: {e}", path.display()),
            (lack, got) => panic!("{}: lacks {lack:?}, got {got:?}", path.display()),
        }
        read += 1;
    }
    assert!(read > 0);
}
