//! From an accepted socket to TLS, or to a helpful refusal.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::connection::Protocol;
use crate::metrics::{HandshakeError, Metrics};
use crate::problem::status_json;

/// First byte of a TLS connection: record type "handshake".
const TLS_HANDSHAKE: u8 = 0x16;

/// How long a peer that spoke plain HTTP may take to read why that is no use.
const FAREWELL: Duration = Duration::from_secs(1);

/// Shakes hands within `patience`. `None` when there is no TLS connection; that has been counted.
pub(crate) async fn accept(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    patience: Duration,
    metrics: &Metrics,
) -> Option<(TlsStream<TcpStream>, Protocol)> {
    let shaken = timeout(patience, async {
        let mut first = [0];
        match stream.peek(&mut first).await {
            // A port check: connected and gone without a word.
            Ok(0) => return None,
            Ok(_) if first[0] == TLS_HANDSHAKE => {}
            Ok(_) => {
                metrics.handshake_error(HandshakeError::Plaintext);
                tracing::debug!("plaintext on the TLS port");
                let _ = timeout(FAREWELL, refuse_plaintext(stream)).await;
                return None;
            }
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "connection lost before TLS");
                return None;
            }
        }
        match TlsAcceptor::from(config).accept(stream).await {
            Ok(stream) => Some(stream),
            Err(error) => {
                metrics.handshake_error(HandshakeError::Failed);
                tracing::debug!(error = &error as &dyn std::error::Error, "TLS handshake failed");
                None
            }
        }
    });
    let Ok(stream) = shaken.await else {
        metrics.handshake_error(HandshakeError::Timeout);
        tracing::debug!("TLS handshake timed out");
        return None;
    };
    let stream = stream?;
    let protocol = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        _ => Protocol::Http1,
    };
    Some((stream, protocol))
}

/// Answers as HTTP/1.1, and reads on for a moment so that the answer is not lost to a reset.
async fn refuse_plaintext(mut stream: TcpStream) -> std::io::Result<()> {
    let body = status_json(StatusCode::BAD_REQUEST, "this port speaks TLS: call it with https://");
    let head = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body).await?;
    stream.shutdown().await?;
    let mut sink = [0; 4096];
    while stream.read(&mut sink).await? > 0 {}
    Ok(())
}
