//! `/livez`, `/readyz` and `/metrics`.

use std::convert::Infallible;
use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::plain::{self, Door, MAX_PLAIN_CONNECTIONS};

/// What the text of [`metrics`] is; Prometheus 3 takes nothing that does not say so.
pub const OPENMETRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Whether the process does what it is there for; if not, why.
pub type Readiness = Result<(), String>;

/// What a process tells of itself.
#[derive(Debug)]
pub struct Operations {
    /// Its metrics.
    pub registry: Registry,
    /// Whether it is ready; `None` for one that no traffic is sent to, which has no `/readyz`.
    pub ready: Option<watch::Receiver<Readiness>>,
}

/// The metrics as answer; an empty 500 if one cannot be written.
#[must_use]
pub fn metrics(registry: &Registry) -> Response<String> {
    let mut encoded = String::with_capacity(16 << 10);
    if text::encode(&mut encoded, registry).is_err() {
        return answer(StatusCode::INTERNAL_SERVER_ERROR, String::new());
    }
    let mut response = Response::new(encoded);
    response.headers_mut().insert(CONTENT_TYPE, OPENMETRICS);
    response
}

fn answer(status: StatusCode, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

// === impl Operations ===

impl Operations {
    /// Answers for ever.
    pub async fn serve(self, listener: TcpListener) -> Infallible {
        let (operations, door) = (Arc::new(self), Door::new(listener, MAX_PLAIN_CONNECTIONS));
        loop {
            let (stream, place) = door.next().await;
            let operations = Arc::clone(&operations);
            let service = service_fn(move |request: Request<Incoming>| {
                let answer = operations.answer(&request);
                async { Ok::<_, Infallible>(answer) }
            });
            tokio::spawn(async move {
                if let Err(error) = plain::http1().serve_connection(TokioIo::new(stream), service).await {
                    tracing::debug!(error = &error as &dyn std::error::Error, "connection ended");
                }
                drop(place);
            });
        }
    }

    fn answer<B>(&self, request: &Request<B>) -> Response<String> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return answer(StatusCode::METHOD_NOT_ALLOWED, String::new());
        }
        match (request.uri().path(), &self.ready) {
            ("/livez", _) => answer(StatusCode::OK, "ok\n".to_owned()),
            ("/readyz", Some(ready)) => match &*ready.borrow() {
                Ok(()) => answer(StatusCode::OK, "ok\n".to_owned()),
                Err(why) => answer(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
            },
            ("/metrics", _) => metrics(&self.registry),
            _ => answer(StatusCode::NOT_FOUND, String::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::gauge::Gauge;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    fn operations(ready: Option<watch::Receiver<Readiness>>) -> Operations {
        let mut registry = Registry::default();
        registry.register("things", "Things", Gauge::<i64>::default());
        Operations { registry, ready }
    }

    #[test]
    fn health_and_metrics_are_answered_and_nothing_else() {
        let (tell, ready) = watch::channel(Err("not yet".to_owned()));
        let told = operations(Some(ready));
        let ask = |of: &Operations, method: &str, path: &str| {
            let request = Request::builder().method(method).uri(path).body(()).unwrap();
            let answer = of.answer(&request);
            (answer.status().as_u16(), answer.into_body())
        };
        assert_eq!(ask(&told, "GET", "/livez"), (200, "ok\n".to_owned()));
        assert_eq!(ask(&told, "GET", "/readyz"), (503, "not yet\n".to_owned()));
        tell.send(Ok(())).unwrap();
        assert_eq!(ask(&told, "GET", "/readyz"), (200, "ok\n".to_owned()));
        assert_eq!(ask(&told, "GET", "/metrics").1, "# HELP things Things.\n# TYPE things gauge\nthings 0\n# EOF\n");
        assert_eq!(ask(&told, "GET", "/"), (404, String::new()));
        assert_eq!(ask(&told, "POST", "/livez"), (405, String::new()));
        assert_eq!(ask(&operations(None), "GET", "/readyz"), (404, String::new()));
    }

    /// Status line, and one header by its name, of what a request with this many headers gets.
    async fn over_the_wire(path: &str, headers: usize) -> (String, Option<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let serving = tokio::spawn(operations(None).serve(listener));
        let headers = "a: b\r\n".repeat(headers);
        stream.write_all(format!("GET {path} HTTP/1.1\r\n{headers}\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        serving.abort();
        let mut lines = answer.lines();
        let status = lines.next().unwrap().to_owned();
        (status, lines.find_map(|line| line.strip_prefix("content-type: ")).map(str::to_owned))
    }

    #[tokio::test]
    async fn metrics_say_that_they_are_openmetrics_and_headers_are_bounded() {
        let ok = "HTTP/1.1 200 OK".to_owned();
        let openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8".to_owned();
        assert_eq!(over_the_wire("/metrics", plain::MAX_HEADERS).await, (ok.clone(), Some(openmetrics)));
        assert_eq!(over_the_wire("/livez", 0).await, (ok, None));
        let refused = "HTTP/1.1 431 Request Header Fields Too Large".to_owned();
        assert_eq!(over_the_wire("/livez", plain::MAX_HEADERS + 1).await, (refused, None));
    }
}
