//! `GET /flows` over TLS: flows as lines of JSON, for whoever has a certificate.
//!
//! What is asked for is a [`Filter`] in the query. A client that reads too slowly loses lines and is told how many; a
//! line that tells of none comes now and then, so that who has gone is noticed.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use stockade_netpol::flows::{Filter, Line};
use stockade_process::plain::{Door, HEADER_TIMEOUT, http1};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;

use super::live::Listener;
use super::{Heard, Live};

/// Most clients at a time: people who look, and what collects flows.
pub const MAX_CLIENTS: usize = 8;
/// Longest time for a handshake.
const BEGIN_WITHIN: Duration = Duration::from_secs(5);
/// Pause after which a line is written that tells of none.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Longest stream. Whoever wants more asks again, since when it ended.
const MAX_STREAM: Duration = Duration::from_secs(3600);

/// Who may listen, and to what.
#[derive(Debug, Clone)]
pub struct Streams {
    /// Folder with `tls.crt`, `tls.key`, and `ca.crt`: who has a certificate by that may listen. Read at each connection,
    /// so that new ones count at once.
    pub tls: PathBuf,
    /// Flows.
    pub live: Live,
}

/// Why nobody can be let in.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that cannot be used.
    #[error("{file}: {error}")]
    File {
        /// Its name in the folder.
        file: &'static str,
        /// Why.
        error: pem::Error,
    },
    /// Certificates and key that do not do together.
    #[error("{0}")]
    Certificate(#[from] rustls::Error),
    /// An authority that cannot be asked.
    #[error("ca.crt: {0}")]
    Authority(#[from] rustls::server::VerifierBuilderError),
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

// === impl Streams ===

impl Streams {
    /// Whether certificates and key can be used now.
    ///
    /// # Errors
    /// They cannot.
    pub fn check(&self) -> Result<(), TlsError> {
        acceptor(&self.tls).map(drop)
    }

    /// Lets clients listen, for ever.
    pub async fn serve(self, listener: TcpListener) -> Infallible {
        let door = Door::new(listener, MAX_CLIENTS);
        loop {
            let (stream, place) = door.next().await;
            let acceptor = match acceptor(&self.tls) {
                Ok(acceptor) => acceptor,
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "flows cannot be streamed");
                    continue;
                }
            };
            // The whole of a connection is bounded: who stops reading keeps no place for ever.
            let connection = connection(stream, acceptor, self.live.clone(), place);
            tokio::spawn(timeout(MAX_STREAM + BEGIN_WITHIN + HEADER_TIMEOUT, connection));
        }
    }
}

fn acceptor(folder: &Path) -> Result<TlsAcceptor, TlsError> {
    let certificates = |file: &'static str| {
        let read = CertificateDer::pem_file_iter(folder.join(file)).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        read.map_err(|error| TlsError::File { file, error })
    };
    let provider = Arc::new(default_provider());
    let mut roots = RootCertStore::empty();
    for certificate in certificates("ca.crt")? {
        roots.add(certificate)?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider)).build()?;
    let key = PrivateKeyDer::from_pem_file(folder.join("tls.key"));
    let key = key.map_err(|error| TlsError::File { file: "tls.key", error })?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates("tls.crt")?, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, live: Live, place: OwnedSemaphorePermit) {
    let Ok(Ok(stream)) = timeout(BEGIN_WITHIN, acceptor.accept(stream)).await else { return };
    let service = service_fn(|request: Request<hyper::body::Incoming>| {
        let answer = answer(&request, &live);
        async { Ok::<_, Infallible>(answer) }
    });
    if let Err(error) = http1().serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(error = &error as &dyn std::error::Error, "stream of flows ended");
    }
    drop(place);
}

fn answer<B>(request: &Request<B>, live: &Live) -> Response<Body> {
    let refused = |status: StatusCode, body: String| {
        let mut response = Response::new(Full::new(Bytes::from(body)).boxed_unsync());
        *response.status_mut() = status;
        response
    };
    if request.method() != Method::GET {
        return refused(StatusCode::METHOD_NOT_ALLOWED, String::new());
    }
    if request.uri().path() != "/flows" {
        return refused(StatusCode::NOT_FOUND, String::new());
    }
    let filter = match Filter::parse(request.uri().query().unwrap_or_default()) {
        Ok(filter) => filter,
        Err(error) => return refused(StatusCode::BAD_REQUEST, format!("{error}\n")),
    };
    let feed = Feed { listener: live.listen(filter.since.is_some()), filter, until: Instant::now() + MAX_STREAM };
    let lines = stream::unfold(feed, |mut feed| async move {
        let line = feed.next().await?;
        Some((Ok(Frame::data(Bytes::from(line))), feed))
    });
    let mut response = Response::new(StreamBody::new(lines).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/jsonl"));
    response
}

/// What one client hears.
struct Feed {
    listener: Listener,
    filter: Filter,
    until: Instant,
}

// === impl Feed ===

impl Feed {
    /// The next line with its end.
    async fn next(&mut self) -> Option<String> {
        let silence = Instant::now() + HEARTBEAT;
        loop {
            tokio::select! {
                biased;
                () = sleep_until(self.until) => return None,
                heard = self.listener.next() => match heard? {
                    Heard::Flow(told) if self.filter.means(&told.flow) => return Some(format!("{}\n", told.line)),
                    Heard::Flow(_) => {}
                    Heard::Missed(count) => return Some(Line::missed(count) + "\n"),
                },
                () = sleep_until(silence) => return Some(Line::missed(0) + "\n"),
            }
        }
    }
}

#[cfg(test)]
mod tests;
