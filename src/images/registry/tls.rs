//! HTTP clients: one for each authority of certificates and each reach of addresses.

use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::addresses::{GuardedResolver, Reach};

/// To connect, TLS included, takes a few round trips.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Connections that are kept for the next image; registries are few, and asked in bursts.
const MAX_IDLE_PER_HOST: usize = 8;
/// How long.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Most header bytes of an answer over HTTP/2, and most headers over HTTP/1.1.
const MAX_HEADER_BYTES: u32 = 32 << 10;
/// See [`MAX_HEADER_BYTES`].
const MAX_HEADERS: usize = 100;

/// The clients of one set of trusted certificates. Connections are not shared between reaches: one that was opened to an
/// address that only the registry itself may have must not serve a redirect.
#[derive(Debug, Clone)]
pub(crate) struct ClientSet {
    public: reqwest::Client,
    private: reqwest::Client,
    any: reqwest::Client,
}

// === impl ClientSet ===

impl ClientSet {
    /// Clients that trust the system's authorities, and those in PEM.
    ///
    /// # Errors
    /// The PEM has no certificate, or a broken one. In words.
    pub(crate) fn new(system: &RootCertStore, bundle: Option<&str>) -> Result<Self, Arc<str>> {
        let mut roots = system.clone();
        if let Some(pem) = bundle {
            let mut count = 0;
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                let added =
                    certificate.map_err(|e| e.to_string()).and_then(|c| roots.add(c).map_err(|e| e.to_string()));
                added.map_err(|e| format!("caBundle: {e}"))?;
                count += 1;
            }
            if count == 0 {
                return Err("caBundle has no certificate".into());
            }
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?;
        let mut tls = tls.with_root_certificates(roots).with_no_client_auth();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let client = |reach| client(tls.clone(), reach).map_err(|e| e.to_string());
        Ok(Self { public: client(Reach::Public)?, private: client(Reach::Private)?, any: client(Reach::Any)? })
    }

    pub(crate) fn of(&self, reach: Reach) -> &reqwest::Client {
        match reach {
            Reach::Public => &self.public,
            Reach::Private => &self.private,
            Reach::Any => &self.any,
        }
    }
}

/// The authorities that the system trusts; none where it has no store, and then only a `caBundle` makes a registry's
/// certificate trusted.
pub(crate) fn system_roots() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(error = %error, "a trusted certificate of the system cannot be read");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    roots
}

fn client(tls: ClientConfig, reach: Reach) -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .dns_resolver(GuardedResolver(reach))
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .http1_max_headers(MAX_HEADERS)
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        .user_agent(concat!("stockade/", env!("CARGO_PKG_VERSION")))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_without_a_certificate_is_told() {
        let error = |pem| ClientSet::new(&RootCertStore::empty(), Some(pem)).unwrap_err();
        assert_eq!(&*error(""), "caBundle has no certificate");
        assert_eq!(
            &*error("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"),
            "caBundle: invalid peer certificate: BadEncoding"
        );
    }
}
