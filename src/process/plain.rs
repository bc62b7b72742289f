//! HTTP/1.1 for few clients, one request a connection: who is let in, and how long they may take.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections of a port for probes and metrics at a time: a kubelet and some scrapers ask.
pub const MAX_PLAIN_CONNECTIONS: usize = 64;

/// Request line and headers. The API server sends about 300 bytes.
pub const MAX_HEADER_BYTES: usize = 16 << 10;

/// Header fields of one request.
pub const MAX_HEADERS: usize = 64;

/// From the first byte of a request to the end of its headers.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// After an accept that failed, which then is for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener with a bounded number of connections.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

/// HTTP/1.1 within the bounds above.
#[must_use]
pub fn http1() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).keep_alive(false);
    builder.max_headers(MAX_HEADERS).max_buf_size(MAX_HEADER_BYTES);
    builder
}

// === impl Door ===

impl Door {
    /// A door behind which there is room for so many.
    #[must_use]
    pub fn new(listener: TcpListener, places: usize) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(places)) }
    }

    /// The next connection, with its place, which is free again when it is dropped. Whoever finds none is cut off.
    pub async fn next(&self) -> (TcpStream, OwnedSemaphorePermit) {
        loop {
            let Ok((stream, _)) = self.listener.accept().await else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
                return (stream, place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn who_finds_no_place_is_cut_off_and_a_place_is_free_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let door = Door::new(listener, 1);
        let (_first, mut second) =
            (TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap());
        let (_held, place) = door.next().await;
        tokio::select! {
            _ = door.next() => panic!("there was one place"),
            cut = second.read_u8() => assert_eq!(cut.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof),
        }
        drop(place);
        let _third = TcpStream::connect(address).await.unwrap();
        drop(door.next().await);
    }
}
