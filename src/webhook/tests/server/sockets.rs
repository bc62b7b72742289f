//! Real sockets on the loopback. Nothing here sleeps: each test waits for what the server does.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::{Request, StatusCode};
use http_body_util::Full;
use prometheus_client::registry::Registry;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use stockade_webhook::certs::{Authority, MintOptions, inspect};
use stockade_webhook::{Certificates, Limits, Metrics, Server};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Running, Scripted, allowed, brief, failure, handshake, pod_review, read_incoming, request};

/// Everything until the peer closes; a reset counts as that.
async fn to_end(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8(bytes).unwrap()
}

/// Splits a raw HTTP/1.1 response into its status line and its JSON body.
fn parse(raw: &str) -> (&str, Value) {
    let (head, body) = raw.split_once("\r\n\r\n").unwrap_or_default();
    (head.lines().next().unwrap_or_default(), serde_json::from_str(body).unwrap_or_default())
}

async fn wait_for_metric(running: &Running, line: &str) {
    loop {
        let (_, text) = running.get("/metrics").await;
        if text.lines().any(|l| l == line) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// On a runtime of one thread, which the review holds.
#[tokio::test]
async fn probes_are_answered_while_reviews_hold_every_thread() {
    let running = Running::start(brief()).await;
    let mut client = running.trust().http1(running.https).await.unwrap();
    let probing = request(&format!("probe-{}", running.http.port()));
    assert_eq!(read_incoming(client.send_request(probing).await.unwrap()).await, (StatusCode::OK, allowed()));
}

#[tokio::test]
async fn http1_and_http2_are_spoken_over_tls_12_and_13() {
    let running = Running::start(brief()).await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for protocol in [&b"h2"[..], b"http/1.1"] {
            use crate::support::Finish as _;
            let config = running.trust().versions(protocol, &[version]).with_no_client_auth_and(protocol);
            let stream = handshake(running.https, config).await.unwrap();
            let spoken = (stream.get_ref().1.protocol_version().unwrap(), stream.get_ref().1.alpn_protocol().unwrap());
            assert_eq!(spoken, (version.version, protocol));
        }
    }
    let mut http1 = running.trust().http1(running.https).await.unwrap();
    let mut http2 = running.trust().http2(running.https).await.unwrap();
    for _ in 0..3 {
        let first = read_incoming(http1.send_request(request("web")).await.unwrap()).await;
        let second = read_incoming(http2.send_request(request("web")).await.unwrap()).await;
        assert_eq!([first, second], [(StatusCode::OK, allowed()), (StatusCode::OK, allowed())]);
    }
    drop((http1, http2));
    assert_eq!(running.end().await.cut, 0);
}

#[tokio::test]
async fn plain_http_on_the_tls_port_is_told_so() {
    let running = Running::start(brief()).await;
    let mut stream = TcpStream::connect(running.https).await.unwrap();
    let body = pod_review("web").to_string();
    let head = format!("POST /validate HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    let raw = to_end(&mut stream).await;
    let (_, want) = failure(400, "BadRequest", "this port speaks TLS: call it with https://");
    assert_eq!(parse(&raw), ("HTTP/1.1 400 Bad Request", want));
    wait_for_metric(&running, r#"stockade_tls_handshake_errors_total{reason="plaintext"} 1"#).await;
}

#[tokio::test]
async fn a_half_open_handshake_is_closed_in_time() {
    let running = Running::start(Limits { handshake_timeout: Duration::from_millis(20), ..brief() }).await;
    // Silent, and stuck after the beginning of a ClientHello.
    for first in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut stream = TcpStream::connect(running.https).await.unwrap();
        stream.write_all(first).await.unwrap();
        assert_eq!(to_end(&mut stream).await, "");
    }
    wait_for_metric(&running, r#"stockade_tls_handshake_errors_total{reason="timeout"} 2"#).await;
    wait_for_metric(&running, "stockade_connections 0").await;
}

#[tokio::test]
async fn headers_that_do_not_end_are_cut() {
    let running = Running::start(Limits { header_timeout: Duration::from_millis(20), ..brief() }).await;
    let mut stream = running.trust().connect(running.https, b"http/1.1").await.unwrap();
    stream.write_all(b"POST /validate HTTP/1.1\r\nhost: x\r\nx-").await.unwrap();
    assert_eq!(to_end(&mut stream).await, "");
}

#[tokio::test]
async fn a_body_that_does_not_end_is_408() {
    let running = Running::start(Limits { body_timeout: Duration::from_millis(20), ..brief() }).await;
    let mut stream = running.trust().connect(running.https, b"http/1.1").await.unwrap();
    let head = "POST /validate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let raw = to_end(&mut stream).await;
    let (_, want) = failure(408, "Timeout", "the body was not complete within the time for it");
    assert_eq!(parse(&raw), ("HTTP/1.1 408 Request Timeout", want));
}

#[tokio::test]
async fn a_body_too_large_is_read_to_its_end_and_answered() {
    let running = Running::start(brief()).await;
    for protocol in ["h1", "h2"] {
        let request = Request::post("https://localhost/validate")
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Full::from(vec![b' '; (7 << 20) + 1]))
            .unwrap();
        let response = match protocol {
            "h1" => running.trust().http1(running.https).await.unwrap().send_request(request).await,
            _ => running.trust().http2(running.https).await.unwrap().send_request(request).await,
        };
        let message = "the body is larger than 7340032 bytes, more than any AdmissionReview of an API server";
        let want = failure(413, "RequestEntityTooLarge", message);
        assert_eq!(read_incoming(response.unwrap()).await, want, "{protocol}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let running = Running::start(Limits { idle_timeout: Duration::from_millis(300), ..brief() }).await;
    // Where the machine is slow it may be closed before it has brought its request.
    let mut http1 = running.trust().http1(running.https).await.unwrap();
    let _ = http1.send_request(request("web")).await;
    let mut http2 = running.trust().http2(running.https).await.unwrap();
    let _ = http2.send_request(request("web")).await;
    // Ready again only to find the connection closed.
    while http1.ready().await.is_ok() {
        tokio::task::yield_now().await;
    }
    while http2.ready().await.is_ok() {
        tokio::task::yield_now().await;
    }
    wait_for_metric(&running, "stockade_connections 0").await;
}

#[tokio::test]
async fn connections_over_the_bound_are_turned_away() {
    let running = Running::start(Limits { max_connections: 1, ..brief() }).await;
    let mut first = running.trust().http1(running.https).await.unwrap();
    first.send_request(request("web")).await.unwrap();
    let mut second = TcpStream::connect(running.https).await.unwrap();
    assert_eq!(to_end(&mut second).await, "");
    wait_for_metric(&running, r#"stockade_admission_shed_total{reason="connections"} 1"#).await;
    drop(first);
    wait_for_metric(&running, "stockade_connections 0").await;
    let mut third = running.trust().http1(running.https).await.unwrap();
    assert_eq!(third.send_request(request("web")).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn with_a_client_authority_only_its_clients_are_served() {
    let options = MintOptions { names: vec!["kube-apiserver".to_owned()], ..MintOptions::default() };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    let clients = Authority::mint(&options, now).unwrap();
    let strangers = Authority::mint(&options, now).unwrap();
    let running = Running::start_with(brief(), |dir| {
        let path = dir.join("clients.crt");
        std::fs::write(&path, &clients.pair().certificate).unwrap();
        Some(path)
    })
    .await;
    let config = |authority: Option<&Authority>| {
        let builder = running.trust().versions(b"http/1.1", rustls::ALL_VERSIONS);
        let Some(authority) = authority else { return builder.with_no_client_auth() };
        let pair = authority.issue_client("kube-apiserver", &options, now).unwrap();
        let chain = vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()];
        builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap()).unwrap()
    };
    let get = b"GET /validate HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let mut lines = Vec::new();
    for authority in [Some(&clients), Some(&strangers), None] {
        // Over TLS 1.3 the client hears of its refusal with the first read.
        let mut stream = handshake(running.https, config(authority)).await.unwrap();
        let _ = stream.write_all(get).await;
        lines.push(parse(&to_end(&mut stream).await).0.to_owned());
    }
    assert_eq!(lines, ["HTTP/1.1 405 Method Not Allowed", "", ""]);
    wait_for_metric(&running, r#"stockade_tls_handshake_errors_total{reason="failed"} 2"#).await;
}

#[tokio::test]
async fn a_certificate_that_is_published_serves_at_once() {
    let (publish, published) = tokio::sync::watch::channel(None);
    let certificates = Arc::new(Certificates::published(published, None));
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry, "1.2.3");
    let limits = Limits { certificate_poll: Duration::from_secs(3600), ..brief() };
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let builder = Server::builder(Arc::new(Scripted::new()), metrics, registry).limits(limits);
    let bound = builder.bind(any, any, Arc::clone(&certificates)).await.unwrap();
    let serving = tokio::spawn(bound.serve(std::future::pending()));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    let options = MintOptions::default();
    for _ in 0..2 {
        let pair = Authority::mint(&options, now).unwrap().issue(&options, now).unwrap();
        let want = inspect(pair.certificate.as_bytes()).unwrap().remove(0);
        publish.send_replace(Some(Arc::new(pair)));
        while certificates.facts().as_ref() != Some(&want) {
            tokio::task::yield_now().await;
        }
    }
    serving.abort();
}

#[tokio::test]
async fn bytes_that_are_neither_tls_nor_http_get_an_answer_and_no_more() {
    let running = Running::start(brief()).await;
    let mut stream = TcpStream::connect(running.https).await.unwrap();
    stream.write_all(&[0, 1, 2, 3]).await.unwrap();
    assert!(to_end(&mut stream).await.starts_with("HTTP/1.1 400 "));
    // And inside TLS.
    let mut stream = running.trust().connect(running.https, b"http/1.1").await.unwrap();
    stream.write_all(b"\x00\x01nonsense\r\n\r\n").await.unwrap();
    assert!(to_end(&mut stream).await.starts_with("HTTP/1.1 400 "));
    // The next caller is served.
    let mut http2 = running.trust().http2(running.https).await.unwrap();
    assert_eq!(http2.send_request(request("web")).await.unwrap().status(), StatusCode::OK);
}
