//! `/livez` and `/metrics` of a process that answers no reviews.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::handlers;
use crate::limits::{HEADER_TIMEOUT, MAX_HEADER_BYTES, MAX_HEADERS, MAX_PLAIN_CONNECTIONS};

/// After an accept that failed, which then is for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves both over plain HTTP/1.1, one request a connection, for ever.
///
/// # Errors
/// Only of the listener's own address.
pub async fn serve_plain(listener: TcpListener, registry: Registry) -> io::Result<Infallible> {
    tracing::info!(http = %listener.local_addr()?, "serving metrics");
    let router = handlers::plain(Arc::new(registry));
    let places = Arc::new(Semaphore::new(MAX_PLAIN_CONNECTIONS));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let router = router.clone();
        let service = tower::service_fn(move |request: Request<hyper::body::Incoming>| {
            let mut router = router.clone();
            async move {
                tower::Service::call(&mut router, request.map(Body::new)).await as Result<Response<Body>, Infallible>
            }
        });
        tokio::spawn(async move {
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).keep_alive(false);
            builder.max_headers(MAX_HEADERS).max_buf_size(MAX_HEADER_BYTES);
            let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
            if let Err(error) = connection.await {
                tracing::debug!(error = &error as &dyn std::error::Error, "connection ended");
            }
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn metrics_and_liveness_are_answered_and_nothing_else() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut registry = Registry::default();
        registry.register("things", "Things", prometheus_client::metrics::gauge::Gauge::<i64>::default());
        tokio::spawn(serve_plain(listener, registry));
        let mut answers = Vec::new();
        for path in ["/livez", "/metrics", "/validate"] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answers.push((answer[9..12].to_owned(), answer.contains("things 0")));
        }
        let want = [("200", false), ("200", true), ("404", false)];
        assert_eq!(answers, want.map(|(code, things)| (code.to_owned(), things)));
    }
}
