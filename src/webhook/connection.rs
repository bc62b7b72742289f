//! One connection: HTTP/1.1 or HTTP/2 over any stream, with the times and the ending that hyper leaves to its user.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, Version};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tower::Service;

use crate::limits::{MAX_HEADER_BYTES, MAX_HEADERS, MAX_STREAMS};
use crate::shared::{Phase, Shared};

/// Which protocol the handshake agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// Serves one connection to its end.
pub(crate) async fn serve<I, S>(io: I, protocol: Protocol, service: S, shared: Arc<Shared>)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let activity = Arc::new(Activity::new());
    let io = TokioIo::new(Watched { io, activity: Arc::clone(&activity) });
    let entry = Entry { service, shared: Arc::clone(&shared), activity: Arc::clone(&activity) };
    let result = match protocol {
        Protocol::Http1 => {
            let mut builder = http1::Builder::new();
            // The driver below keeps the time; hyper's own timer cannot tell an idle connection from a slow header.
            builder.header_read_timeout(None).max_headers(MAX_HEADERS).max_buf_size(MAX_HEADER_BYTES.max(64 << 10));
            drive(builder.serve_connection(io, entry), protocol, &activity, &shared).await
        }
        Protocol::Http2 => {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder
                .timer(TokioTimer::new())
                .max_concurrent_streams(MAX_STREAMS)
                .max_header_list_size(MAX_HEADER_BYTES as u32);
            drive(builder.serve_connection(io, entry), protocol, &activity, &shared).await
        }
    };
    if let Err(error) = result {
        tracing::debug!(error = &error as &dyn std::error::Error, "connection ended");
    }
}

/// A connection that can be asked to end after what it is doing.
trait Graceful: Future<Output = hyper::Result<()>> {
    fn end(self: Pin<&mut Self>);
}

/// Polls the connection and ends it when it is idle too long, too slow, or the server closes.
async fn drive<C: Graceful>(
    connection: C,
    protocol: Protocol,
    activity: &Activity,
    shared: &Shared,
) -> hyper::Result<()> {
    let limits = &shared.limits;
    let mut connection = pin!(connection);
    let mut closing = pin!(shared.lifecycle.closing.cancelled());
    let mut is_closing = false;
    // Looked at now and then instead of armed anew for each request: a bound may be exceeded by a quarter.
    let step = (limits.header_timeout.min(limits.idle_timeout) / 4).max(Duration::from_millis(1));
    let mut look = pin!(tokio::time::sleep(step));
    loop {
        tokio::select! {
            biased;
            result = connection.as_mut() => return result,
            () = closing.as_mut(), if !is_closing => {
                is_closing = true;
                // An idle HTTP/1.1 connection may have a request on its way, which ending it now would lose;
                // HTTP/2 announces its end without losing any.
                if protocol == Protocol::Http2 || activity.is_busy() {
                    connection.as_mut().end();
                } else {
                    look.as_mut().reset(Instant::now() + limits.drain_linger);
                }
            }
            () = look.as_mut() => {
                match activity.look(protocol, limits.header_timeout, limits.idle_timeout) {
                    Look::Slow => {
                        tracing::debug!("connection cut: headers too slow");
                        return Ok(());
                    }
                    Look::Stuck => {
                        tracing::debug!("connection cut: did not end");
                        return Ok(());
                    }
                    Look::Idle => connection.as_mut().end(),
                    Look::Live if is_closing => connection.as_mut().end(),
                    Look::Live => {}
                }
                look.as_mut().reset(Instant::now() + step);
            }
        }
    }
}

impl<I, S> Graceful for http1::Connection<TokioIo<I>, Entry<S>>
where
    I: AsyncRead + AsyncWrite + Unpin + 'static,
    Self: Future<Output = hyper::Result<()>>,
    Entry<S>: hyper::service::HttpService<Incoming, ResBody = Body>,
    <Entry<S> as hyper::service::HttpService<Incoming>>::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S> Graceful for http2::Connection<TokioIo<I>, Entry<S>, TokioExecutor>
where
    I: AsyncRead + AsyncWrite + Unpin + 'static,
    Self: Future<Output = hyper::Result<()>>,
    Entry<S>: hyper::service::HttpService<Incoming, ResBody = Body>,
    <Entry<S> as hyper::service::HttpService<Incoming>>::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    <Entry<S> as hyper::service::HttpService<Incoming>>::Future: Send + 'static,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

// === Activity ===

/// What a connection is doing, in milliseconds since it began; 0 is never.
#[derive(Debug)]
struct Activity {
    began: Instant,
    requests: AtomicUsize,
    /// When the last request ended.
    rested: AtomicU64,
    /// When the first byte came that no request accounts for yet.
    head: AtomicU64,
    /// When it was asked to end for being idle.
    ended: AtomicU64,
}

/// State of a connection.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    Live,
    /// No request for too long.
    Idle,
    /// Idle, asked to end, and still there: its peer does not read.
    Stuck,
    /// A request's headers take too long.
    Slow,
}

impl Activity {
    fn new() -> Self {
        let (requests, rested, head, ended) = Default::default();
        Self { began: Instant::now(), requests, rested, head, ended }
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_millis() as u64 + 1
    }

    fn is_busy(&self) -> bool {
        self.requests.load(Relaxed) > 0
    }

    fn bytes_came(&self) {
        if self.head.load(Relaxed) == 0 && !self.is_busy() {
            self.head.store(self.now(), Relaxed);
        }
    }

    fn request_began(&self) {
        self.requests.fetch_add(1, Relaxed);
        self.head.store(0, Relaxed);
    }

    fn request_ended(&self) {
        self.rested.store(self.now(), Relaxed);
        self.requests.fetch_sub(1, Relaxed);
    }

    fn look(&self, protocol: Protocol, header_timeout: Duration, idle_timeout: Duration) -> Look {
        if self.is_busy() {
            return Look::Live;
        }
        let now = self.now();
        let over = |since: u64, bound: Duration| now.saturating_sub(since) > bound.as_millis() as u64;
        let (head, ended) = (self.head.load(Relaxed), self.ended.load(Relaxed));
        // Over HTTP/2 bytes come without a request: pings and settings.
        if protocol == Protocol::Http1 && head != 0 && over(head, header_timeout) {
            return Look::Slow;
        }
        if ended != 0 {
            return if over(ended, header_timeout) { Look::Stuck } else { Look::Live };
        }
        if over(self.rested.load(Relaxed), idle_timeout) {
            self.ended.store(now, Relaxed);
            return Look::Idle;
        }
        Look::Live
    }
}

/// A request being answered.
struct Busy(Arc<Activity>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.request_ended();
    }
}

// === Entry ===

/// The service of one connection.
struct Entry<S> {
    service: S,
    shared: Arc<Shared>,
    activity: Arc<Activity>,
}

impl<S> hyper::service::Service<Request<Incoming>> for Entry<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.activity.request_began();
        let busy = Busy(Arc::clone(&self.activity));
        let http1 = request.version() <= Version::HTTP_11;
        // Called at once, so that the service counts requests as they come and not as they are polled.
        let answer = self.service.clone().call(request.map(Body::new));
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let mut response = answer.await?;
            if http1 && shared.lifecycle.phase() == Phase::Closing {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            drop(busy);
            Ok(response)
        })
    }
}

// === Watched ===

/// A stream that notes when bytes come.
struct Watched<I> {
    io: I,
    activity: Arc<Activity>,
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.activity.bytes_came();
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
}
