//! `/livez`, `/readyz` and `/metrics`.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// Connections at a time: a kubelet and some scrapers ask, one request a connection.
const MAX_CONNECTIONS: usize = 64;
/// Longest time for a request's headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a request's headers.
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// After an accept that failed, which then is for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Whether the kernel holds what policies ask for; if not, why.
pub type Readiness = Result<(), String>;

/// Answers for ever.
pub async fn serve(listener: TcpListener, registry: Registry, ready: watch::Receiver<Readiness>) -> Infallible {
    let (registry, places) = (Arc::new(registry), Arc::new(Semaphore::new(MAX_CONNECTIONS)));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let (registry, ready) = (Arc::clone(&registry), ready.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let answer = answer(&request, &registry, &ready);
            async { Ok::<_, Infallible>(answer) }
        });
        tokio::spawn(async move {
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).keep_alive(false);
            builder.max_buf_size(MAX_HEADER_BYTES);
            if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
                tracing::debug!(error = &error as &dyn std::error::Error, "connection ended");
            }
            drop(place);
        });
    }
}

/// The listener.
///
/// # Errors
/// The address is taken.
pub async fn bind(address: std::net::SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

fn answer<B>(request: &Request<B>, registry: &Registry, ready: &watch::Receiver<Readiness>) -> Response<String> {
    let with = |status: StatusCode, body: String| {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        response
    };
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return with(StatusCode::METHOD_NOT_ALLOWED, String::new());
    }
    match request.uri().path() {
        "/livez" => with(StatusCode::OK, "ok\n".to_owned()),
        "/readyz" => match &*ready.borrow() {
            Ok(()) => with(StatusCode::OK, "ok\n".to_owned()),
            Err(why) => with(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        },
        "/metrics" => {
            let mut encoded = String::new();
            match text::encode(&mut encoded, registry) {
                Ok(()) => with(StatusCode::OK, encoded),
                Err(_) => with(StatusCode::INTERNAL_SERVER_ERROR, String::new()),
            }
        }
        _ => with(StatusCode::NOT_FOUND, String::new()),
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::gauge::Gauge;

    use super::*;

    #[test]
    fn health_and_metrics_are_answered_and_nothing_else() {
        let mut registry = Registry::default();
        registry.register("things", "Things", Gauge::<i64>::default());
        let (tell, ready) = watch::channel(Err("not yet".to_owned()));
        let ask = |method: &str, path: &str| {
            let request = Request::builder().method(method).uri(path).body(()).unwrap();
            let answer = answer(&request, &registry, &ready);
            (answer.status().as_u16(), answer.into_body())
        };
        assert_eq!(ask("GET", "/livez"), (200, "ok\n".to_owned()));
        assert_eq!(ask("GET", "/readyz"), (503, "not yet\n".to_owned()));
        tell.send(Ok(())).unwrap();
        assert_eq!(ask("GET", "/readyz"), (200, "ok\n".to_owned()));
        assert!(ask("GET", "/metrics").1.contains("things 0"));
        assert_eq!(ask("GET", "/").0, 404);
        assert_eq!(ask("POST", "/livez").0, 405);
    }
}
