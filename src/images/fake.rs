//! A registry on loopback that does whatever a test wants, down to half an answer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use stockade_policy::images::{Digest, RegistrySettings};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::registry::content::sha256;

/// Longest head of a request.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// A request that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// By name in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// What is answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) fault: Fault,
    /// Nothing comes until it is open.
    pub(crate) gate: Option<watch::Receiver<bool>>,
}

/// What goes wrong on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Nothing ever comes.
    Hang,
    /// The head comes, and half of the body; then nothing.
    HangInBody,
    /// The connection ends in the middle of the body.
    Cut,
    /// The connection ends at once.
    Reset,
    /// A body without an announced length that goes on for as long as somebody reads, but at most for this many bytes.
    Endless(usize),
}

pub(crate) struct FakeRegistry {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    _tasks: JoinSet<()>,
}

// === impl Answer ===

impl Answer {
    pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.into(), fault: Fault::None, gate: None }
    }

    pub(crate) fn status(status: u16) -> Self {
        Self { status, ..Self::ok("") }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn fault(self, fault: Fault) -> Self {
        Self { fault, ..self }
    }
}

// === impl FakeRegistry ===

impl FakeRegistry {
    pub(crate) async fn start(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_behind(None, answer).await
    }

    /// Behind TLS, if some.
    pub(crate) async fn start_behind(
        tls: Option<Arc<ServerConfig>>,
        answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let acceptor = tls.map(TlsAcceptor::from);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, answer) = (Arc::new(Mutex::new(Vec::new())), Arc::new(answer));
        let mut tasks = JoinSet::new();
        let log = seen.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (log, answer, acceptor) = (log.clone(), answer.clone(), acceptor.clone());
                connections.spawn(async move {
                    let _ = match acceptor {
                        Some(acceptor) => serve(acceptor.accept(stream).await?, &log, &*answer).await,
                        None => serve(stream, &log, &*answer).await,
                    };
                    std::io::Result::Ok(())
                });
            }
        });
        Self { address, seen, _tasks: tasks }
    }

    /// As references have it.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// Settings with which it can be asked.
    pub(crate) fn settings(&self) -> RegistrySettings {
        RegistrySettings {
            host: self.host().into(),
            mirrors: Vec::new(),
            ca_bundle: None,
            plain_http: true,
            allow_private_addresses: true,
        }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// `GET /v2/…`, in order.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|s| format!("{} {}", s.method, s.target)).collect()
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    log: &Mutex<Vec<Seen>>,
    answer: &(dyn Fn(&Seen) -> Answer + Sync),
) -> std::io::Result<()> {
    let Some(seen) = request(&mut stream).await? else { return Ok(()) };
    log.lock().unwrap().push(seen.clone());
    let mut answer = answer(&seen);
    if let Some(gate) = &mut answer.gate {
        let _ = gate.wait_for(|open| *open).await;
    }
    match answer.fault {
        Fault::Hang => return std::future::pending().await,
        Fault::Reset => return Ok(()),
        _ => {}
    }
    let mut head = format!("HTTP/1.1 {} x\r\nconnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let has_length = answer.headers.iter().any(|(name, _)| *name == "content-length");
    if !has_length && !matches!(answer.fault, Fault::Endless(_)) {
        head.push_str(&format!("content-length: {}\r\n", answer.body.len()));
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).await?;
    if seen.method == "HEAD" {
        return stream.shutdown().await;
    }
    match answer.fault {
        Fault::HangInBody | Fault::Cut => {
            stream.write_all(&answer.body[..answer.body.len() / 2]).await?;
            stream.flush().await?;
            if answer.fault == Fault::HangInBody {
                return std::future::pending().await;
            }
        }
        Fault::Endless(limit) => {
            for _ in 0..limit / 65_536 {
                stream.write_all(&[b' '; 65_536]).await?;
            }
        }
        _ => stream.write_all(&answer.body).await?,
    }
    stream.shutdown().await
}

async fn request(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Option<Seen>> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break end;
        }
        // A TLS handshake is no request.
        if bytes.first() == Some(&0x16) || bytes.len() > MAX_HEAD_BYTES || stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let (method, target) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
    let header = |line: &str| line.split_once(':').map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned()));
    let headers: BTreeMap<String, String> = lines.filter_map(header).collect();
    let length = headers.get("content-length").map_or(0, |l| l.parse().unwrap());
    while bytes.len() < end + 4 + length {
        stream.read_buf(&mut bytes).await?;
    }
    let body = String::from_utf8_lossy(&bytes[end + 4..]).into_owned();
    Ok(Some(Seen { method, target, headers, body }))
}

/// The digest of content.
pub(crate) fn digest(content: impl AsRef<[u8]>) -> Digest {
    Digest::parse(&sha256(content.as_ref())).unwrap()
}

/// A descriptor of content.
pub(crate) fn descriptor(media_type: &str, content: impl AsRef<[u8]>) -> serde_json::Value {
    let content = content.as_ref();
    serde_json::json!({"mediaType": media_type, "digest": sha256(content), "size": content.len()})
}
