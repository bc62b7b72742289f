//! The certificate being served. Swapped whole when its source changes; connections keep what they began with.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use rustls::ServerConfig;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use tokio::sync::watch;

use super::inspect::{certificates, facts};
use super::mint::Pair;
use super::store::{Folder, read};
use super::{CertError, CertificateFacts, unix_now};
use crate::metrics::Metrics;

/// A certificate, its key and optionally the authorities of clients.
pub struct Certificates {
    sources: Sources,
    /// None until the first is published.
    current: ArcSwapOption<Loaded>,
    /// What the watch saw last; never touched by a request.
    seen: Mutex<Seen>,
    refused: ArcSwap<Option<String>>,
    swapped: watch::Sender<()>,
}

#[derive(Debug)]
struct Sources {
    serving: Serving,
    client_ca: Option<PathBuf>,
}

/// Where the certificate and its key come from.
#[derive(Debug)]
enum Serving {
    Files { certificate: PathBuf, key: PathBuf },
    Memory(watch::Receiver<Option<Arc<Pair>>>),
}

/// The sources' content.
#[derive(PartialEq, Eq)]
struct Material {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

struct Loaded {
    config: Arc<ServerConfig>,
    facts: CertificateFacts,
}

#[derive(Default)]
struct Seen {
    in_force: Option<Material>,
    /// Content that was refused, or the text of an error that kept it from being read, and whether that was told.
    refused: Option<(Result<Material, String>, bool)>,
}

/// What a look at the sources brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refresh {
    /// As before.
    Unchanged,
    /// The new certificate serves from the next handshake on.
    Swapped(CertificateFacts),
    /// What is new cannot be used and the old certificate goes on serving. Given once for each content, after it was
    /// seen twice: two files cannot be replaced in one step, so the first sight may be of half a change.
    Refused(String),
}

impl Certificates {
    /// Loads `tls.crt` and `tls.key` of a folder. With `client_ca`, clients must show a certificate that one of the
    /// authorities in that file signed.
    ///
    /// # Errors
    /// A file that cannot be read, is not PEM, does not match, or is out of its time.
    pub fn load(folder: &Folder, client_ca: Option<PathBuf>) -> Result<Self, CertError> {
        Self::load_files(folder.certificate(), folder.key(), client_ca)
    }

    /// As [`Self::load`], files named singly.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_files(certificate: PathBuf, key: PathBuf, client_ca: Option<PathBuf>) -> Result<Self, CertError> {
        let sources = Sources { serving: Serving::Files { certificate, key }, client_ca };
        let in_force = sources.read()?;
        let current = ArcSwapOption::from_pointee(build(&in_force, unix_now())?);
        let seen = Mutex::new(Seen { in_force: Some(in_force), refused: None });
        Ok(Self { sources, current, seen, refused: ArcSwap::default(), swapped: watch::Sender::default() })
    }

    /// The certificate as somebody else last published it, which may be not at all yet: until then connections are
    /// closed, and the server is not ready.
    pub fn published(serving: watch::Receiver<Option<Arc<Pair>>>, client_ca: Option<PathBuf>) -> Self {
        let sources = Sources { serving: Serving::Memory(serving), client_ca };
        let (current, seen, refused, swapped) = Default::default();
        let certificates = Self { sources, current, seen, refused, swapped };
        certificates.refresh();
        certificates
    }

    /// What is being served; nothing before the first is published.
    pub fn facts(&self) -> Option<CertificateFacts> {
        self.current.load().as_ref().map(|loaded| loaded.facts.clone())
    }

    /// Waits until there is something to serve. What was served once is never taken back.
    pub async fn loaded(&self) {
        let mut swapped = self.swapped.subscribe();
        while self.current.load().is_none() && swapped.changed().await.is_ok() {}
    }

    /// Where others are published; none when there are files.
    pub(crate) fn publisher(&self) -> Option<watch::Receiver<Option<Arc<Pair>>>> {
        match &self.sources.serving {
            Serving::Files { .. } => None,
            Serving::Memory(published) => Some(published.clone()),
        }
    }

    /// Looks at the sources, by content, and swaps when they hold something new that can be used.
    pub fn refresh(&self) -> Refresh {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (material, error) = match self.sources.read() {
            Err(CertError::NotPublished) => return Refresh::Unchanged,
            Ok(material) if seen.in_force.as_ref() == Some(&material) => {
                seen.refused = None;
                self.refused.store(Arc::default());
                return Refresh::Unchanged;
            }
            Ok(material) => match build(&material, unix_now()) {
                Ok(loaded) => {
                    let facts = loaded.facts.clone();
                    self.current.store(Some(Arc::new(loaded)));
                    self.swapped.send_replace(());
                    self.refused.store(Arc::default());
                    *seen = Seen { in_force: Some(material), refused: None };
                    return Refresh::Swapped(facts);
                }
                Err(e) => (Ok(material), e.to_string()),
            },
            Err(e) => (Err(e.to_string()), e.to_string()),
        };
        match &mut seen.refused {
            Some((before, told)) if *before == material => {
                if std::mem::replace(told, true) {
                    return Refresh::Unchanged;
                }
                self.refused.store(Arc::new(Some(error.clone())));
                Refresh::Refused(error)
            }
            other => {
                *other = Some((material, false));
                Refresh::Unchanged
            }
        }
    }

    /// Refreshes, and tells logs and metrics.
    pub(crate) fn refresh_and_tell(&self, metrics: &Metrics) {
        match self.refresh() {
            Refresh::Unchanged => {}
            Refresh::Swapped(facts) => {
                metrics.reload(true);
                metrics.certificate_expiry.set(facts.not_after);
                tracing::info!(
                    subject = facts.subject,
                    sha256 = facts.sha256,
                    not_after = facts.not_after,
                    "certificate swapped"
                );
            }
            Refresh::Refused(error) => {
                metrics.reload(false);
                tracing::error!(error, "new certificate refused, the old one goes on serving");
            }
        }
    }

    /// Configuration for the next handshake.
    pub(crate) fn config(&self) -> Option<Arc<ServerConfig>> {
        self.current.load().as_ref().map(|loaded| Arc::clone(&loaded.config))
    }

    /// Lines of `/readyz`.
    pub(crate) fn details(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.facts().iter().map(line).collect();
        if let Some(error) = self.refused.load().as_ref() {
            lines.push(format!("certificate: a newer one refused: {error}"));
        }
        lines
    }
}

impl std::fmt::Debug for Certificates {
    /// Without keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificates").field("sources", &self.sources).finish_non_exhaustive()
    }
}

impl Sources {
    fn read(&self) -> Result<Material, CertError> {
        let client_ca = self.client_ca.as_deref().map(read).transpose()?;
        let (certificate, key) = match &self.serving {
            Serving::Files { certificate, key } => (read(certificate)?, read(key)?),
            Serving::Memory(published) => {
                let pair = published.borrow().clone().ok_or(CertError::NotPublished)?;
                (pair.certificate.clone().into_bytes(), pair.key.clone().into_bytes())
            }
        };
        Ok(Material { certificate, key, client_ca })
    }
}

/// Line of `/readyz`.
fn line(facts: &CertificateFacts) -> String {
    let days = (facts.not_after - unix_now()).div_euclid(24 * 3600);
    format!("certificate: {}, {days} days left", facts.subject)
}

/// Facts of a serving certificate when a client that trusts the authorities of `bundle` (PEM) would accept it at this
/// time, for the first of the names that are written in it, and its key belongs to it.
///
/// # Errors
/// Why it would not.
pub fn verify_serving(pair: &Pair, bundle: &[u8], now: i64) -> Result<CertificateFacts, CertError> {
    let (certificate, key) = (pair.certificate.clone().into_bytes(), pair.key.clone().into_bytes());
    let facts = build(&Material { certificate, key, client_ca: None }, now)?.facts;
    let mut roots = rustls::RootCertStore::empty();
    for authority in certificates(bundle, "the bundle of authorities")? {
        roots.add(authority)?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
    let chain = certificates(pair.certificate.as_bytes(), "the certificate")?;
    let (Some((leaf, intermediates)), Some(name)) = (chain.split_first(), facts.names.first()) else {
        return Err(CertError::Nameless);
    };
    let name = ServerName::try_from(name.as_str()).map_err(|_| CertError::Nameless)?;
    let time = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now).unwrap_or(0)));
    verifier.verify_server_cert(leaf, intermediates, &name, &[], time)?;
    Ok(facts)
}

fn build(material: &Material, now: i64) -> Result<Loaded, CertError> {
    let chain = certificates(&material.certificate, "the certificate file")?;
    let facts = chain.first().map_or(Err(CertError::NoCertificate { what: "the certificate file" }), facts)?;
    if now < facts.not_before || now > facts.not_after {
        let CertificateFacts { not_before, not_after, .. } = facts;
        return Err(CertError::Expired { not_before, not_after, now });
    }
    let key = PrivateKeyDer::from_pem_slice(&material.key).map_err(CertError::Key)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
    let builder = match &material.client_ca {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let mut roots = rustls::RootCertStore::empty();
            for authority in certificates(pem, "the client CA file")? {
                roots.add(authority)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    // Refuses a key that does not belong to the certificate.
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Loaded { config: Arc::new(config), facts })
}
