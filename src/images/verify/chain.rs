//! Certificate chains: from a signing certificate to roots that the authority names.

use std::time::Duration;

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage};

use super::certificate::{Certificate, CertificateError};
use super::words;

/// Roots and the intermediates that the authority gives with them.
#[derive(Debug, Clone)]
pub(super) struct Roots {
    anchors: Vec<TrustAnchor<'static>>,
    roots: Vec<Certificate>,
    intermediates: Vec<Certificate>,
}

/// Why a text is no set of roots.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RootsError {
    /// There is no certificate in it, or a block that is none.
    #[error("not certificates in PEM (BEGIN CERTIFICATE)")]
    NotPem,
    /// More than are looked at.
    #[error("more than {MAX_CERTIFICATES} certificates")]
    TooMany,
    /// One that cannot be read.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// One that chains cannot end at.
    #[error("no chain can end at the certificate of {0:?}")]
    NoAnchor(String),
}

/// Certificates that a signature brings, and that an authority names: real chains have three or four.
pub(super) const MAX_CERTIFICATES: usize = 32;

/// id-kp-codeSigning, RFC 5280, 4.2.1.12, as DER holds it.
const CODE_SIGNING: &[u8] = &[43, 6, 1, 5, 5, 7, 3, 3];

// === impl Roots ===

impl Roots {
    /// Roots and intermediates in PEM; intermediates may be empty.
    ///
    /// # Errors
    /// When there is no root, or one that cannot be read.
    pub(super) fn from_pem(roots: &str, intermediates: &str) -> Result<Self, RootsError> {
        let roots = certificates_of(roots)?;
        if roots.is_empty() {
            return Err(RootsError::NotPem);
        }
        let anchor = |root: &Certificate| {
            let der = CertificateDer::from(root.der.as_slice());
            let anchor = webpki::anchor_from_trusted_cert(&der).map_err(|_| RootsError::NoAnchor(root.name.clone()))?;
            Ok(anchor.to_owned())
        };
        let anchors = roots.iter().map(anchor).collect::<Result<_, RootsError>>()?;
        Ok(Self { anchors, roots, intermediates: certificates_of(intermediates)? })
    }

    /// Whether the chain of `leaf` leads, by what its certificates say, to one of these roots. If not, somebody else
    /// signed; if so, it must hold.
    pub(super) fn may_have_issued(&self, leaf: &Certificate, brought: &[Certificate]) -> bool {
        let between: Vec<&Certificate> = brought.iter().chain(&self.intermediates).collect();
        leads_to(leaf, &between, &self.roots)
    }

    /// Whether this very certificate is one of the roots.
    pub(super) fn contain(&self, certificate: &Certificate) -> bool {
        self.roots.iter().any(|root| root.der == certificate.der)
    }

    /// Checks the chain of `leaf` at a time: every signature, every validity, constraints of authorities, and that no
    /// certificate is for something else than signing code. That the leaf says so is for the caller to ask.
    pub(super) fn verify(&self, leaf: &Certificate, brought: &[Certificate], at: Timestamp) -> Result<(), String> {
        let der = CertificateDer::from(leaf.der.as_slice());
        let end = EndEntityCert::try_from(&der).map_err(|error| words::of_chain(&error, leaf, at))?;
        let between: Vec<CertificateDer<'_>> =
            brought.iter().chain(&self.intermediates).map(|c| CertificateDer::from(c.der.as_slice())).collect();
        let time = u64::try_from(at.as_second()).map_err(|_| "the time is before 1970".to_owned())?;
        let usage = KeyUsage::required_if_present(CODE_SIGNING);
        let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.all;
        let time = UnixTime::since_unix_epoch(Duration::from_secs(time));
        let path = end
            .verify_for_usage(algorithms, &self.anchors, &between, time, usage, None, None)
            .map_err(|error| words::of_chain(&error, leaf, at))?;
        // Anchors are names and keys to the verifier: that a root is still valid is looked at here.
        let mut roots = self.roots.iter().filter(|root| is_anchor(root, path.anchor()));
        if roots.any(|root| root.not_before <= at && at <= root.not_after) {
            return Ok(());
        }
        Err(format!("the root certificate of its chain is not valid at {at}"))
    }
}

/// Whether a chain leads from a certificate to one of `ends`, by what the certificates between say. Proves nothing: it
/// tells whose chain must hold.
pub(super) fn leads_to(leaf: &Certificate, between: &[&Certificate], ends: &[Certificate]) -> bool {
    let mut at = leaf;
    // No chain is longer than the certificates there are, so a ring of them ends too.
    for _ in 0..=between.len() {
        if ends.iter().any(|end| at.names_as_issuer(end) || at.der == end.der) {
            return true;
        }
        match between.iter().find(|next| at.names_as_issuer(next) && next.der != at.der) {
            Some(next) => at = next,
            None => return false,
        }
    }
    false
}

/// All certificates of a PEM text.
///
/// # Errors
/// When there are too many, or one cannot be read.
pub(super) fn certificates_of(pem: &str) -> Result<Vec<Certificate>, RootsError> {
    let mut certificates = Vec::new();
    for der in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        if certificates.len() == MAX_CERTIFICATES {
            return Err(RootsError::TooMany);
        }
        certificates.push(Certificate::from_der(&der.map_err(|_| RootsError::NotPem)?)?);
    }
    if certificates.is_empty() && !pem.trim().is_empty() {
        return Err(RootsError::NotPem);
    }
    Ok(certificates)
}

fn is_anchor(root: &Certificate, anchor: &TrustAnchor<'_>) -> bool {
    let der = CertificateDer::from(root.der.as_slice());
    webpki::anchor_from_trusted_cert(&der)
        .is_ok_and(|own| own.subject == anchor.subject && own.subject_public_key_info == anchor.subject_public_key_info)
}
