//! Shutdown and certificate swaps while requests keep coming.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::StatusCode;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use stockade_webhook::{Ended, Limits, MintOptions};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Notify;

use crate::support::{Running, Trust, brief, get, request};

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Sender {
    async fn ready(&mut self) -> bool {
        match self {
            Sender::Http1(s) => s.ready().await.is_ok(),
            Sender::Http2(s) => s.ready().await.is_ok(),
        }
    }

    async fn send(&mut self) -> hyper::Result<http::Response<Incoming>> {
        match self {
            Sender::Http1(s) => s.send_request(request("web")).await,
            Sender::Http2(s) => s.send_request(request("web")).await,
        }
    }
}

/// What a caller saw until nobody listened any more.
#[derive(Debug, Default)]
struct Seen {
    answered: AtomicUsize,
    failures: Mutex<Vec<String>>,
    connected: AtomicUsize,
    progress: Notify,
}

impl Seen {
    fn failures(&self) -> Vec<String> {
        self.failures.lock().unwrap().clone()
    }
}

/// One request after the other on a kept connection, reconnecting when it is closed, until connecting fails.
async fn keep_calling(trust: Trust, to: std::net::SocketAddr, http2: bool, seen: Arc<Seen>) {
    loop {
        let connected = match http2 {
            true => trust.http2(to).await.map(Sender::Http2),
            false => trust.http1(to).await.map(Sender::Http1),
        };
        let Ok(mut sender) = connected else { return };
        seen.connected.fetch_add(1, SeqCst);
        while sender.ready().await {
            match sender.send().await {
                Ok(response) if response.status() == StatusCode::OK => {
                    response.into_body().collect().await.unwrap();
                    seen.answered.fetch_add(1, SeqCst);
                    seen.progress.notify_waiters();
                }
                // Told to go elsewhere before the request was taken: a client sends it again, as Go's does.
                Err(e) if e.is_canceled() || is_go_away(&e) => break,
                failure => {
                    seen.failures.lock().unwrap().push(format!("{failure:?}"));
                    break;
                }
            }
        }
    }
}

/// The stream was refused by a GOAWAY without error: by protocol it was not processed.
fn is_go_away(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|e| e.downcast_ref::<h2::Error>());
    source.is_some_and(|e| e.is_go_away() && e.reason() == Some(h2::Reason::NO_ERROR))
}

/// However long a caller is kept from running, its connection is not taken for an idle one; it ends with its next answer.
fn patient() -> Limits {
    Limits { drain_linger: Duration::from_secs(30), ..brief() }
}

async fn answered(seen: &Seen, at_least: usize) {
    while seen.answered.load(SeqCst) < at_least {
        seen.progress.notified().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_under_load_fails_no_request() {
    for http2 in [false, true] {
        let running = Running::start(Limits { drain_delay: Duration::from_millis(20), ..patient() }).await;
        let seen = Arc::new(Seen::default());
        let callers: Vec<_> = (0..8)
            .map(|_| tokio::spawn(keep_calling(running.trust(), running.https, http2, Arc::clone(&seen))))
            .collect();
        answered(&seen, 100).await;
        let (task, dir) = running.stop();
        for caller in callers {
            caller.await.unwrap();
        }
        assert_eq!((task.await.unwrap(), seen.failures()), (Ended { cut: 0 }, vec![]), "http2: {http2}");
        drop(dir);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_swapped_under_load_fail_no_request_and_drop_no_connection() {
    let running = Running::start(patient()).await;
    let seen = Arc::new(Seen::default());
    let callers: Vec<_> = [false, false, true, true]
        .map(|http2| tokio::spawn(keep_calling(running.trust(), running.https, http2, Arc::clone(&seen))))
        .into();
    for _ in 0..5 {
        answered(&seen, seen.answered.load(SeqCst) + 20).await;
        let before = running.certificates.facts();
        running.folder.rotate(&MintOptions::default()).unwrap();
        while running.certificates.facts() == before {
            tokio::task::yield_now().await;
        }
        // A new handshake sees the new certificate and trusts it by the old authority.
        running.trust().http2(running.https).await.unwrap();
    }
    answered(&seen, seen.answered.load(SeqCst) + 20).await;
    assert_eq!((seen.connected.load(SeqCst), seen.failures()), (4, vec![]));
    let (task, dir) = running.stop();
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!((task.await.unwrap(), seen.failures()), (Ended { cut: 0 }, vec![]));
    drop(dir);
}

#[tokio::test]
async fn a_draining_server_is_not_ready_and_still_accepts() {
    let running = Running::start(Limits { drain_delay: Duration::from_secs(3600), ..brief() }).await;
    let (https, http, trust) = (running.https, running.http, running.trust());
    let (status, text) = running.get("/readyz").await;
    assert_eq!((status, text.lines().next()), (StatusCode::OK, Some("ready")));
    let (task, _dir) = running.stop();
    loop {
        let (status, text) = get(http, "/readyz").await;
        if status == StatusCode::SERVICE_UNAVAILABLE {
            assert!(
                text.starts_with("not ready: draining\npolicies: scripted\ncertificate: CN=stockade webhook, "),
                "{text}"
            );
            break;
        }
        tokio::task::yield_now().await;
    }
    let mut late = trust.http1(https).await.unwrap();
    assert_eq!(late.send_request(request("web")).await.unwrap().status(), StatusCode::OK);
    task.abort();
}

#[tokio::test]
async fn what_does_not_end_is_cut_and_counted() {
    let running = Running::start(Limits { drain_timeout: Duration::from_millis(20), ..brief() }).await;
    let mut stream = running.trust().connect(running.https, b"http/1.1").await.unwrap();
    let head = "POST /validate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    loop {
        let (_, text) = running.get("/metrics").await;
        if text.lines().any(|l| l == "stockade_admission_in_flight 1") {
            break;
        }
    }
    assert_eq!(running.end().await, Ended { cut: 1 });
}
