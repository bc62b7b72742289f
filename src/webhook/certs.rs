//! Certificates: minted, inspected, renewed, and swapped under a running server.
//!
//! They come from a folder, or from whoever publishes them in memory ([`Certificates::published`]). A folder holds `ca.crt`, `tls.crt` and `tls.key`, named as in a `kubernetes.io/tls` Secret; one that Stockade
//! minted also holds `ca.key`, with which it renews `tls.crt` without changing what callers trust.

mod inspect;
mod live;
mod mint;
mod store;

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

pub use inspect::{CertificateFacts, certificate_blocks, inspect};
pub use live::{Certificates, Refresh, verify_serving};
pub use mint::{Authority, MintOptions, Pair, serving_names, verify_authority};
pub use store::{End, Ensured, Folder};

/// What can be wrong with certificates.
#[derive(Debug, thiserror::Error)]
pub enum CertError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file larger than any certificate or key.
    #[error("{path}: larger than {limit} bytes")]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// The bound.
        limit: u64,
    },
    /// One of a pair is there, the other is not.
    #[error("{missing} is missing beside {present}; restore it, or remove both to have them minted")]
    HalfPair {
        /// What is there.
        present: PathBuf,
        /// What is not.
        missing: PathBuf,
    },
    /// No certificate in a file that should hold some.
    #[error("{what} holds no PEM certificate")]
    NoCertificate {
        /// Which of the files, by its role.
        what: &'static str,
    },
    /// No private key in the key file.
    #[error("the key file holds no usable PEM private key: {0}")]
    Key(#[source] rustls::pki_types::pem::Error),
    /// A PEM block that cannot be decoded.
    #[error("{what}: {source}")]
    Pem {
        /// Which of the files, by its role.
        what: &'static str,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// A certificate that is not X.509.
    #[error("not an X.509 certificate: {0}")]
    X509(#[from] x509_parser::error::X509Error),
    /// Out of its time.
    #[error("the certificate is valid from {not_before} to {not_after} (seconds since 1970), now is {now}")]
    Expired {
        /// Start.
        not_before: i64,
        /// End.
        not_after: i64,
        /// When it was checked.
        now: i64,
    },
    /// Key and certificate do not belong together, or the TLS library refuses them otherwise.
    #[error("certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    /// A bundle of authorities cannot be used.
    #[error("authorities: {0}")]
    Authorities(#[from] rustls::server::VerifierBuilderError),
    /// Nobody has published a certificate yet.
    #[error("there is no certificate yet")]
    NotPublished,
    /// A serving certificate that names no host.
    #[error("the certificate names no host it could be verified for")]
    Nameless,
    /// A certificate that may not sign others.
    #[error("not the certificate of an authority")]
    NoAuthority,
    /// An authority's key is not the one in its certificate.
    #[error("the authority's key does not belong to its certificate")]
    ForeignKey,
    /// Minting failed.
    #[error("minting: {0}")]
    Mint(#[from] rcgen::Error),
}

/// Seconds since the epoch; 0 before it.
pub(crate) fn unix_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64)
}
