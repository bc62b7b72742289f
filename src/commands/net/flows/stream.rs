//! The stream of one agent.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use stockade_netpol::flows::{Filter, Line, MAX_LINE_BYTES};
use tokio::sync::mpsc;

/// Longest time for a connection to stand.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Longest silence: agents write a line every ten seconds.
const SILENCE: Duration = Duration::from_secs(30);

/// Asks agents. Clones share certificates.
#[derive(Clone)]
pub(super) struct Client {
    tls: ClientConfig,
    server_name: String,
    query: String,
}

/// What came of a stream.
pub(super) enum Said {
    /// It stands.
    Listening,
    /// A line.
    Line(Line),
    /// It cannot be used, or not any more.
    Failed(anyhow::Error),
}

// === impl Client ===

impl Client {
    /// With the certificate, key and authority of a folder.
    pub(super) fn new(folder: &Path, server_name: &str, filter: &Filter) -> Result<Self> {
        let certificates = |file: &str| -> Result<Vec<CertificateDer<'static>>> {
            let path = folder.join(file);
            let read = CertificateDer::pem_file_iter(&path).and_then(Iterator::collect);
            read.with_context(|| path.display().to_string())
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates("ca.crt")? {
            roots.add(certificate)?;
        }
        let path = folder.join("tls.key");
        let key = PrivateKeyDer::from_pem_file(&path).with_context(|| path.display().to_string())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(certificates("tls.crt")?, key)?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls, server_name: server_name.to_owned(), query: filter.query() })
    }

    /// Listens until the stream ends, or nobody takes what it says.
    pub(super) async fn listen(&self, address: SocketAddr, said: mpsc::Sender<(SocketAddr, Said)>) {
        if let Err(error) = self.try_listen(address, &said).await {
            // Who has enough does not mind.
            drop(said.send((address, Said::Failed(error))).await);
        }
    }

    async fn try_listen(&self, address: SocketAddr, said: &mpsc::Sender<(SocketAddr, Said)>) -> Result<()> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(self.tls.clone())
            .resolve(&self.server_name, address)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_WITHIN)
            .read_timeout(SILENCE)
            .build()?;
        let url = format!("https://{}:{}/flows?{}", self.server_name, address.port(), self.query);
        let mut response = client.get(url).send().await?;
        if !response.status().is_success() {
            bail!("the agent answers {}", response.status());
        }
        if said.send((address, Said::Listening)).await.is_err() {
            return Ok(());
        }
        let mut waiting: Vec<u8> = Vec::new();
        while let Some(bytes) = response.chunk().await? {
            for part in bytes.split_inclusive(|byte| *byte == b'\n') {
                waiting.extend_from_slice(part);
                if waiting.len() > MAX_LINE_BYTES + 1 {
                    bail!("the agent writes a line that is longer than any flow");
                }
                let Some(line) = waiting.strip_suffix(b"\n") else { continue };
                let line = Line::parse(str::from_utf8(line)?)?;
                waiting.clear();
                if said.send((address, Said::Line(line))).await.is_err() {
                    return Ok(());
                }
            }
        }
        bail!("the stream ended")
    }
}
