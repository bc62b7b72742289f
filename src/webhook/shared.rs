//! What every connection and handler sees.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::body::Budget;
use crate::certs::Certificates;
use crate::limits;
use crate::metrics::Metrics;
use crate::reviewer::Reviewer;

/// State of one server.
pub(crate) struct Shared {
    pub(crate) reviewer: Arc<dyn Reviewer>,
    pub(crate) metrics: Metrics,
    pub(crate) registry: Arc<Registry>,
    pub(crate) certificates: Option<Arc<Certificates>>,
    pub(crate) limits: Limits,
    pub(crate) bodies: Budget,
    pub(crate) lifecycle: Lifecycle,
}

/// Bounds and times; the defaults are the constants of [`crate::limits`], which say why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one body.
    pub max_body_bytes: usize,
    /// Bytes of all bodies held.
    pub max_buffered_bytes: usize,
    /// Requests accepted and not yet answered.
    pub max_in_flight: usize,
    /// Connections of the TLS port.
    pub max_connections: usize,
    /// From accept to finished handshake.
    pub handshake_timeout: Duration,
    /// From the first byte of a request to the end of its headers.
    pub header_timeout: Duration,
    /// From the end of the headers to the end of the body.
    pub body_timeout: Duration,
    /// A connection without request.
    pub idle_timeout: Duration,
    /// After the shutdown signal: `/readyz` says 503, connections are still accepted.
    pub drain_delay: Duration,
    /// After that: idle HTTP/1.1 connections may still bring a request.
    pub drain_linger: Duration,
    /// After `drain_delay`: what is still open is cut.
    pub drain_timeout: Duration,
    /// How often certificate files are read.
    pub certificate_poll: Duration,
}

/// Where the server is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Serving,
    /// Not ready, still accepting.
    Draining,
    /// Accepting no more; connections end with their requests.
    Closing,
}

#[derive(Debug, Default)]
pub(crate) struct Lifecycle {
    phase: AtomicU8,
    /// Cancelled on entering [`Phase::Closing`].
    pub(crate) closing: CancellationToken,
    /// Cancelled when what is still open is cut.
    pub(crate) cut: CancellationToken,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body_bytes: limits::MAX_BODY_BYTES,
            max_buffered_bytes: limits::MAX_BUFFERED_BYTES,
            max_in_flight: limits::MAX_IN_FLIGHT,
            max_connections: limits::MAX_CONNECTIONS,
            handshake_timeout: limits::HANDSHAKE_TIMEOUT,
            header_timeout: limits::HEADER_TIMEOUT,
            body_timeout: limits::BODY_TIMEOUT,
            idle_timeout: limits::IDLE_TIMEOUT,
            drain_delay: limits::DRAIN_DELAY,
            drain_linger: limits::DRAIN_LINGER,
            drain_timeout: limits::DRAIN_TIMEOUT,
            certificate_poll: limits::CERTIFICATE_POLL,
        }
    }
}

impl Shared {
    /// Why there is nothing to serve with; none when there is, or when there are no connections.
    pub(crate) fn no_certificate(&self) -> Option<String> {
        let missing = self.certificates.as_ref().is_some_and(|c| c.facts().is_none());
        missing.then(|| "there is no certificate yet".to_owned())
    }

    /// Line of `/readyz` about the serving certificate.
    pub(crate) fn certificate_detail(&self) -> Vec<String> {
        self.certificates.iter().flat_map(|c| c.details()).collect()
    }
}

impl Lifecycle {
    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(SeqCst) {
            0 => Phase::Serving,
            1 => Phase::Draining,
            _ => Phase::Closing,
        }
    }

    pub(crate) fn drain(&self) {
        self.phase.store(1, SeqCst);
    }

    pub(crate) fn close(&self) {
        self.phase.store(2, SeqCst);
        self.closing.cancel();
    }
}
