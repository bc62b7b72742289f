//! HTTP clients: one for each authority of certificates and each reach of addresses.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::redirect;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
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
                let added = certificate.ok().and_then(|certificate| roots.add(certificate).ok());
                added.ok_or("a certificate of caBundle cannot be read")?;
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

/// Why no connection is trusted, in words, with what helps.
pub(crate) fn distrust(error: &rustls::Error) -> String {
    use rustls::{CertificateError as Bad, Error};
    let text = match error {
        Error::InvalidCertificate(Bad::UnknownIssuer) => {
            "an unknown authority signed its certificate; set caBundle for this registry in the policy if that authority is \
             to be trusted"
        }
        Error::InvalidCertificate(Bad::ExpiredContext { not_after, .. }) => {
            return format!("its certificate was valid until {}", shown(*not_after));
        }
        Error::InvalidCertificate(Bad::NotValidYetContext { not_before, .. }) => {
            return format!("its certificate is valid from {}; is the clock here right?", shown(*not_before));
        }
        Error::InvalidCertificate(Bad::NotValidForNameContext { expected, .. }) => {
            return format!("its certificate is not for {}", expected.to_str());
        }
        Error::InvalidCertificate(_) => "its certificate is malformed, or not for a server",
        Error::InvalidMessage(_) => {
            "it does not speak TLS; set plainHTTP for this registry in the policy if that is meant"
        }
        Error::AlertReceived(_) => "it ended the handshake",
        _ => "the handshake failed",
    };
    text.to_owned()
}

fn shown(time: UnixTime) -> String {
    let time = i64::try_from(time.as_secs()).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| "a time that cannot be told".to_owned(), |time| time.to_string())
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
            "a certificate of caBundle cannot be read"
        );
    }

    #[test]
    fn why_a_connection_is_not_trusted_is_told_with_what_helps() {
        use rustls::{CertificateError as Bad, Error};
        let time = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let expected = rustls::pki_types::ServerName::try_from("registry.example").unwrap();
        let (now, other) = (time(1_700_000_000), time(1_600_000_000));
        let table = [
            (
                Bad::UnknownIssuer,
                "an unknown authority signed its certificate; set caBundle for this registry in the policy if that authority \
                 is to be trusted",
            ),
            (
                Bad::ExpiredContext { time: now, not_after: other },
                "its certificate was valid until 2020-09-13T12:26:40Z",
            ),
            (
                Bad::NotValidYetContext { time: other, not_before: now },
                "its certificate is valid from 2023-11-14T22:13:20Z; is the clock here right?",
            ),
            (
                Bad::NotValidForNameContext { expected, presented: Vec::new() },
                "its certificate is not for registry.example",
            ),
            (Bad::BadEncoding, "its certificate is malformed, or not for a server"),
        ];
        for (bad, wanted) in table {
            assert_eq!(distrust(&Error::InvalidCertificate(bad)), wanted);
        }
        let plain = Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
        let wanted = "it does not speak TLS; set plainHTTP for this registry in the policy if that is meant";
        assert_eq!(distrust(&plain), wanted);
    }
}
