//! The two ports and the server's life: accept, drain, end.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures_util::FutureExt as _;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use crate::body::Budget;
use crate::certs::{Certificates, Folder, MintOptions, unix_now};
use crate::connection::{self, Protocol};
use crate::handlers::{self, AdmissionService};
use crate::handshake;
use crate::metrics::{Metrics, Shed};
use crate::reviewer::Reviewer;
use crate::shared::{Lifecycle, Limits, Shared};

/// What a server is made of. Made by [`Server::builder`].
pub struct Builder {
    reviewer: Arc<dyn Reviewer>,
    metrics: Metrics,
    registry: Arc<Registry>,
    limits: Limits,
    renewal: Option<(Folder, MintOptions)>,
}

/// A server that is not bound to ports: its endpoints can be called without any.
pub struct Server {
    shared: Arc<Shared>,
    renewal: Option<(Folder, MintOptions)>,
}

/// A server with its ports open, not yet accepting.
pub struct Bound {
    server: Server,
    https: TcpListener,
    http: TcpListener,
    certificates: Arc<Certificates>,
}

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Connections that were still open when the time to drain was over, and were cut.
    pub cut: usize,
}

// === impl Builder ===

impl Builder {
    /// Replaces bounds and times.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Renews the certificates of a folder that was minted here, while serving, when they are due.
    #[must_use]
    pub fn renew(mut self, folder: Folder, options: MintOptions) -> Self {
        self.renewal = Some((folder, options));
        self
    }

    /// A server without ports.
    pub fn build(self) -> Server {
        self.assemble(None)
    }

    /// Opens the ports.
    ///
    /// # Errors
    /// A port cannot be opened.
    pub async fn bind(self, https: SocketAddr, http: SocketAddr, certificates: Arc<Certificates>) -> io::Result<Bound> {
        let https = TcpListener::bind(https).await?;
        let http = TcpListener::bind(http).await?;
        if let Some(facts) = certificates.facts() {
            self.metrics.certificate_expiry.set(facts.not_after);
        }
        let server = self.assemble(Some(Arc::clone(&certificates)));
        Ok(Bound { server, https, http, certificates })
    }

    fn assemble(self, certificates: Option<Arc<Certificates>>) -> Server {
        let shared = Shared {
            reviewer: self.reviewer,
            metrics: self.metrics,
            registry: self.registry,
            certificates,
            limits: self.limits,
            bodies: Budget::new(self.limits.max_buffered_bytes),
            lifecycle: Lifecycle::default(),
        };
        Server { shared: Arc::new(shared), renewal: self.renewal }
    }
}

// === impl Server ===

impl Server {
    /// Begins a server. `metrics` were registered in `registry` ([`Metrics::register`]), which is what `/metrics`
    /// shows; whoever has metrics of their own registers them there first.
    pub fn builder(reviewer: Arc<dyn Reviewer>, metrics: Metrics, registry: Registry) -> Builder {
        Builder { reviewer, metrics, registry: Arc::new(registry), limits: Limits::default(), renewal: None }
    }

    /// The endpoints of the TLS port.
    pub fn admission(&self) -> AdmissionService {
        handlers::admission(&self.shared)
    }

    /// The endpoints of the plain port.
    pub fn operations(&self) -> Router {
        handlers::operations(&self.shared)
    }
}

// === impl Bound ===

impl Bound {
    /// Where the TLS port is.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn https_addr(&self) -> io::Result<SocketAddr> {
        self.https.local_addr()
    }

    /// Where the plain port is.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn http_addr(&self) -> io::Result<SocketAddr> {
        self.http.local_addr()
    }

    /// Serves until `shutdown` is ready, then drains.
    ///
    /// `/readyz` says 503 at once and the port still accepts for `drain_delay`; then the port is closed, HTTP/2
    /// connections are told to go away, HTTP/1.1 connections end with their next answer or after `drain_linger`, and
    /// what is still open after `drain_timeout` is cut. Returns when nothing is open any more.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send) -> Ended {
        let Bound { server: Server { shared, renewal }, https, http, certificates } = self;
        let lifecycle = &shared.lifecycle;
        let background = tokio_util::sync::CancellationToken::new();
        let _stop_background = background.clone().drop_guard();
        spawn_until(&background, watch(Arc::clone(&shared), Arc::clone(&certificates), renewal));
        if let Err(error) = spawn_plain(http, Arc::clone(&shared), background.clone()) {
            tracing::error!(error = &error as &dyn std::error::Error, "the plain port is not served");
        }

        let connections = TaskTracker::new();
        let admission = handlers::admission(&shared);
        let accept = |(stream, _): (TcpStream, SocketAddr)| {
            let Some(open) = Open::take(&shared.metrics.connections, shared.limits.max_connections) else {
                shared.metrics.shed(Shed::Connections);
                return;
            };
            let Some(config) = certificates.config() else { return };
            let (shared, service) = (Arc::clone(&shared), admission.clone());
            let cut = shared.lifecycle.cut.clone();
            connections.spawn(async move {
                let _open = open;
                let _ = stream.set_nodelay(true);
                let serve = async {
                    let patience = shared.limits.handshake_timeout;
                    if let Some((stream, protocol)) = handshake::accept(stream, config, patience, &shared.metrics).await
                    {
                        connection::serve(stream, protocol, service, Arc::clone(&shared)).await;
                    }
                };
                cut.run_until_cancelled(serve).await;
            });
        };
        let draining = async {
            shutdown.await;
            lifecycle.drain();
            tracing::info!("draining: not ready, still accepting");
            tokio::time::sleep(shared.limits.drain_delay).await;
        };
        tokio::select! {
            biased;
            () = draining => {}
            () = accept_forever(&https, &accept) => {}
        }
        // What the system has already accepted for us would be reset by closing the port.
        while let Some(Ok(accepted)) = https.accept().now_or_never() {
            accept(accepted);
        }
        drop(https);
        lifecycle.close();
        connections.close();
        tracing::info!(open = connections.len(), "closing: finishing what is open");
        let mut cut = 0;
        if tokio::time::timeout(shared.limits.drain_timeout, connections.wait()).await.is_err() {
            cut = connections.len();
            tracing::warn!(cut, "connections cut at the end of the drain");
            lifecycle.cut.cancel();
            connections.wait().await;
        }
        Ended { cut }
    }
}

/// Hands over each connection. Errors of accept are the system's (out of descriptors) or the peer's (gone already).
async fn accept_forever(listener: &TcpListener, accept: &impl Fn((TcpStream, SocketAddr))) {
    /// For the system to recover; new connections wait in the backlog.
    const PAUSE: Duration = Duration::from_millis(50);
    loop {
        match listener.accept().await {
            Ok(accepted) => accept(accepted),
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "accept failed");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn spawn_until(token: &tokio_util::sync::CancellationToken, task: impl Future<Output = ()> + Send + 'static) {
    let token = token.clone();
    tokio::spawn(async move { token.run_until_cancelled(task).await });
}

/// Serves the plain port on a thread of its own: a review holds its thread for as long as it computes, and a probe
/// that had to wait for reviews would have the process restarted just when there is most to do.
fn spawn_plain(
    listener: TcpListener,
    shared: Arc<Shared>,
    until: tokio_util::sync::CancellationToken,
) -> io::Result<()> {
    let listener = listener.into_std()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let serve = async move {
        match TcpListener::from_std(listener) {
            Ok(listener) => {
                until.run_until_cancelled(plain(listener, shared, until.clone())).await;
            }
            Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "the plain port is not served"),
        }
    };
    std::thread::Builder::new().name("operations".to_owned()).spawn(move || runtime.block_on(serve))?;
    Ok(())
}

/// The plain port.
async fn plain(listener: TcpListener, shared: Arc<Shared>, until: tokio_util::sync::CancellationToken) {
    let router = handlers::operations(&shared);
    let accept = |(stream, _): (TcpStream, SocketAddr)| {
        let Some(open) = Open::take(&shared.metrics.plain_connections, crate::limits::MAX_PLAIN_CONNECTIONS) else {
            return;
        };
        let (shared, router) = (Arc::clone(&shared), router.clone());
        spawn_until(&until, async move {
            let _open = open;
            connection::serve(stream, Protocol::Http1, router, shared).await;
        });
    };
    accept_forever(&listener, &accept).await;
}

/// Looks at the certificate again and again, at once when another is published, and renews those that were minted here.
async fn watch(shared: Arc<Shared>, certificates: Arc<Certificates>, renewal: Option<(Folder, MintOptions)>) {
    /// Looks between two checks whether renewal is due: once a minute, also when it keeps failing.
    const RENEWAL_EVERY: u64 = 60;
    let renewal = Arc::new(renewal);
    let mut publisher = certificates.publisher();
    let mut looks = 0_u64;
    loop {
        let published = async {
            let Some(publisher) = &mut publisher else { return std::future::pending().await };
            if publisher.changed().await.is_err() {
                std::future::pending().await
            }
        };
        tokio::select! {
            () = published => {}
            () = tokio::time::sleep(shared.limits.certificate_poll) => {}
        }
        let (shared, certificates, renewal) = (Arc::clone(&shared), Arc::clone(&certificates), Arc::clone(&renewal));
        let work = move || {
            if let Some((folder, options)) = renewal.as_ref()
                && looks.is_multiple_of(RENEWAL_EVERY)
                && folder.due(unix_now())
                && let Err(error) = folder.rotate(options)
            {
                tracing::error!(error = &error as &dyn std::error::Error, "certificate not renewed");
            }
            certificates.refresh_and_tell(&shared.metrics);
        };
        // Files may be on a slow disk. A panic in there is told by the runtime; the next look is made all the same.
        let _ = tokio::task::spawn_blocking(work).await;
        looks += 1;
    }
}

/// One of a bounded number of connections.
struct Open(Gauge);

impl Open {
    fn take(gauge: &Gauge, limit: usize) -> Option<Self> {
        let open = Self(gauge.clone());
        (gauge.inc() < limit as i64).then_some(open)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
