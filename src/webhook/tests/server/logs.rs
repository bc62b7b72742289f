//! What an operator reads.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use stockade_webhook::Limits;
use tracing::instrument::WithSubscriber as _;

use crate::support::{call, pod_review, post, server};

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The log lines of one request, as JSON without time.
async fn logged(name: &str, namespace: &str) -> Vec<Value> {
    let mut review = pod_review(name);
    review["request"]["namespace"] = json!(namespace);
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .without_time()
        .with_span_list(false)
        .with_max_level(tracing::Level::INFO)
        .with_writer(move || writer.clone())
        .finish();
    call(server(Limits::default()).admission(), post("/validate", review.to_string()))
        .with_subscriber(subscriber)
        .await;
    let bytes = captured.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

fn line(level: &str, message: &str, object: &str, namespace: &str) -> Value {
    json!({
        "level": level,
        "fields": {"message": message},
        "target": "stockade_webhook::handlers",
        "span": {
            "name": "admission", "verb": "validate", "uid": "7f0a", "operation": "CREATE", "kind": "Pod",
            "namespace": namespace, "object": object, "user": "ann",
        }
    })
}

#[tokio::test]
async fn a_refused_request_is_one_line_that_says_who_and_what() {
    assert_eq!(logged("deny", "web").await, [line("INFO", "request denied", "deny", "web")]);
    assert_eq!(logged("panic", "web").await, [line("ERROR", "request not judged after a panic", "panic", "web")]);
    assert_eq!(logged("web", "web").await, Vec::<Value>::new());
}

#[tokio::test]
async fn what_a_request_says_is_cut_and_escaped_in_the_log() {
    let namespace = format!("a\n{}", "ü".repeat(1000));
    let want = format!("a\n{}", "ü".repeat(251));
    assert_eq!(logged("deny", &namespace).await, [line("INFO", "request denied", "deny", &want)]);
}
