//! A reviewer with a scripted mind, servers on free ports, and clients.

use std::convert::Infallible;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prometheus_client::registry::Registry;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use stockade_cel::Symbols;
use stockade_webhook::review::{self, AdmissionResponse, Status};
use stockade_webhook::{
    Again, BadReview, Certificates, Ended, Folder, Limits, Metrics, MintOptions, Outcome, Readiness, Review, Reviewed,
    Reviewer, Server, Verb,
};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Decides by the object's name: `deny`, `panic`, `mutate`, else allow. `probe-PORT` allows when `/livez` on that port
/// answers while the review holds its thread. `panic` is admitted in `kube-system`. `look` wants something looked at
/// first, `blind` what nobody finds.
pub(crate) struct Scripted {
    symbols: Symbols,
    has_looked: bool,
}

impl Scripted {
    pub(crate) fn new() -> Self {
        listen();
        Self { symbols: Symbols::new(), has_looked: false }
    }
}

impl Reviewer for Scripted {
    fn review(&self, _: Verb, body: &[u8], _: Instant) -> Result<Review, BadReview> {
        review::with_arena(|arena| {
            let request = review::decode(body, arena, &self.symbols)?;
            review::record(&request, &tracing::Span::current());
            let mut response = AdmissionResponse::allowed(request.uid);
            let outcome = match request.name {
                "panic" => panic!("scripted"),
                "deny" => {
                    let status = Status { code: 422, reason: "Invalid", message: "no \"privileged\" Pods" };
                    response = AdmissionResponse::denied(request.uid, status);
                    response.warnings = vec!["careful", "careful", ""];
                    response.audit_annotations = vec![("why", "scripted")];
                    Outcome::Denied
                }
                "blind" => return Ok(Review::Later(Box::pin(std::future::pending()))),
                "look" if !self.has_looked => {
                    let me = Self { has_looked: true, ..Self::new() };
                    let again = move |body: &[u8]| me.review(Verb::Validate, body, Instant::now());
                    return Ok(Review::Later(Box::pin(async move { Box::new(again) as Again })));
                }
                "mutate" => {
                    response.patch = Some(br#"[{"op":"remove","path":"/spec"}]"#);
                    Outcome::Mutated
                }
                name => match name.strip_prefix("probe-").map(probe) {
                    None | Some(Ok(())) => Outcome::Allowed,
                    Some(Err(error)) => panic!("{error}"),
                },
            };
            Ok(Reviewed { body: response.encode(), outcome }.into())
        })
    }

    fn admits_unjudged(&self, body: &[u8]) -> bool {
        let namespace = |request: stockade_engine::Request<'_>| request.namespace == "kube-system";
        review::with_arena(|arena| review::decode(body, arena, &self.symbols).is_ok_and(namespace))
    }

    fn readiness(&self) -> Readiness {
        Readiness::ready().detail("policies: scripted")
    }
}

/// Asks `/livez` without the runtime's help.
fn probe(port: &str) -> std::io::Result<()> {
    let port = port.parse().map_err(std::io::Error::other)?;
    let mut stream = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 200 ") { Ok(()) } else { Err(std::io::Error::other(answer)) }
}

/// Somebody who hears every event, in every thread. Where nobody listens, an event that is met for the first time while
/// another test begins to listen is taken for one that nobody ever wants, and that test misses it.
fn listen() {
    static LISTENER: std::sync::Once = std::sync::Once::new();
    LISTENER.call_once(|| {
        let sink = tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).with_writer(std::io::sink).finish();
        tracing::subscriber::set_global_default(sink).unwrap();
    });
}

/// A server without ports.
pub(crate) fn server(limits: Limits) -> Server {
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry, "1.2.3");
    Server::builder(Arc::new(Scripted::new()), metrics, registry).limits(limits).build()
}

/// A review of a Pod of this name.
pub(crate) fn pod_review(name: &str) -> Value {
    json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "7f0a",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "name": name,
            "namespace": "web",
            "operation": "CREATE",
            "userInfo": {"username": "ann", "groups": ["system:authenticated"]},
            "object": {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name}},
            "oldObject": null,
            "dryRun": false,
        }
    })
}

/// A POST of JSON.
pub(crate) fn post(path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path).header("content-type", "application/json").body(body.into()).unwrap()
}

/// A POST of a review.
pub(crate) fn post_review(path: &str, name: &str) -> Request<Body> {
    post(path, pod_review(name).to_string())
}

/// Status and whole body as JSON, or as text when it is none.
pub(crate) async fn read(response: Response<Body>) -> (StatusCode, Value) {
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
    (parts.status, serde_json::from_slice(&bytes).unwrap_or_else(|_| text()))
}

/// Calls a service once.
pub(crate) async fn call<S>(service: S, request: Request<Body>) -> Response<Body>
where
    S: tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let Ok(response) = tower::ServiceExt::oneshot(service, request).await;
    response
}

/// The allow of a review.
pub(crate) fn allowed() -> Value {
    json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": {"uid": "7f0a", "allowed": true}
    })
}

/// A `Status` failure.
pub(crate) fn failure(code: u16, reason: &str, message: &str) -> (StatusCode, Value) {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason, "code": code
    });
    (StatusCode::from_u16(code).unwrap(), body)
}

/// A running server on free ports.
pub(crate) struct Running {
    pub(crate) https: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) certificates: Arc<Certificates>,
    pub(crate) folder: Folder,
    pub(crate) dir: TempDir,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Ended>,
}

impl Running {
    /// With freshly minted certificates.
    pub(crate) async fn start(limits: Limits) -> Self {
        Self::start_with(limits, |_| None).await
    }

    /// With an authority for clients, made in the certificate folder.
    pub(crate) async fn start_with(
        limits: Limits,
        client_ca: impl FnOnce(&Path) -> Option<std::path::PathBuf>,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        folder.ensure(&MintOptions::default()).unwrap();
        let certificates = Arc::new(Certificates::load(&folder, client_ca(dir.path())).unwrap());
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry, "1.2.3");
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let bound = Server::builder(Arc::new(Scripted::new()), metrics, registry)
            .limits(limits)
            .bind(any, any, Arc::clone(&certificates))
            .await
            .unwrap();
        let (https, http) = (bound.https_addr().unwrap(), bound.http_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(bound.serve(async {
            let _ = stopped.await;
        }));
        Self { https, http, certificates, folder, dir, stop, task }
    }

    /// Asks for shutdown; the task ends when the server has.
    pub(crate) fn stop(self) -> (JoinHandle<Ended>, TempDir) {
        self.stop.send(()).unwrap();
        (self.task, self.dir)
    }

    /// Ends the server and says how it went.
    pub(crate) async fn end(self) -> Ended {
        let (task, _dir) = self.stop();
        task.await.unwrap()
    }

    /// What callers trust.
    pub(crate) fn trust(&self) -> Trust {
        Trust { authority: self.folder.authority() }
    }

    /// GET on the plain port.
    pub(crate) async fn get(&self, path: &str) -> (StatusCode, String) {
        get(self.http, path).await
    }
}

/// GET on a plain port.
pub(crate) async fn get(http: SocketAddr, path: &str) -> (StatusCode, String) {
    let stream = TcpStream::connect(http).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get(path).header("host", "x").body(Full::<Bytes>::default()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(bytes.into()).unwrap())
}

/// A file of authorities.
#[derive(Clone)]
pub(crate) struct Trust {
    pub(crate) authority: std::path::PathBuf,
}

impl Trust {
    /// A client's configuration.
    pub(crate) fn config(&self, protocol: &[u8]) -> rustls::ClientConfig {
        self.versions(protocol, rustls::ALL_VERSIONS).with_no_client_auth_and(protocol)
    }

    /// A client's configuration of these TLS versions, before client authentication.
    pub(crate) fn versions(
        &self,
        _protocol: &[u8],
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> rustls::ConfigBuilder<rustls::ClientConfig, rustls::client::WantsClientCert> {
        let mut roots = rustls::RootCertStore::empty();
        for authority in CertificateDer::pem_file_iter(&self.authority).unwrap() {
            roots.add(authority.unwrap()).unwrap();
        }
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
    }

    /// A TLS connection that offers one protocol.
    pub(crate) async fn connect(&self, to: SocketAddr, protocol: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
        handshake(to, self.config(protocol)).await
    }

    /// An HTTP/1.1 client.
    pub(crate) async fn http1(&self, to: SocketAddr) -> std::io::Result<http1::SendRequest<Full<Bytes>>> {
        let stream = self.connect(to, b"http/1.1").await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Ok(sender)
    }

    /// An HTTP/2 client.
    pub(crate) async fn http2(&self, to: SocketAddr) -> std::io::Result<http2::SendRequest<Full<Bytes>>> {
        let stream = self.connect(to, b"h2").await?;
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Ok(sender)
    }
}

/// Finishes a client configuration.
pub(crate) trait Finish {
    fn with_no_client_auth_and(self, protocol: &[u8]) -> rustls::ClientConfig;
}

impl Finish for rustls::ConfigBuilder<rustls::ClientConfig, rustls::client::WantsClientCert> {
    fn with_no_client_auth_and(self, protocol: &[u8]) -> rustls::ClientConfig {
        let mut config = self.with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        config
    }
}

/// A TLS connection to the loopback.
pub(crate) async fn handshake(to: SocketAddr, config: rustls::ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(to).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// A review as a client over a socket sends it.
pub(crate) fn request(name: &str) -> Request<Full<Bytes>> {
    Request::post("https://localhost/validate?timeout=10s")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Full::from(pod_review(name).to_string()))
        .unwrap()
}

/// Status and JSON of a response that came over a socket.
pub(crate) async fn read_incoming(response: Response<hyper::body::Incoming>) -> (StatusCode, Value) {
    read(response.map(Body::new)).await
}

/// Times short enough for tests.
pub(crate) fn brief() -> Limits {
    Limits {
        drain_delay: Duration::ZERO,
        drain_linger: Duration::from_millis(50),
        certificate_poll: Duration::from_millis(10),
        ..Limits::default()
    }
}
