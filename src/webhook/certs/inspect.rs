//! What a certificate says.

use std::fmt::Write as _;
use std::net::IpAddr;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Serialize;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::CertError;

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateFacts {
    /// Distinguished name of the holder.
    pub subject: String,
    /// Distinguished name of who signed it.
    pub issuer: String,
    /// DNS names and IP addresses it is valid for.
    pub names: Vec<String>,
    /// Serial number, hexadecimal.
    pub serial: String,
    /// Seconds since the epoch.
    pub not_before: i64,
    /// Seconds since the epoch.
    pub not_after: i64,
    /// Whether it may sign others.
    pub is_ca: bool,
    /// SHA-256 of the DER form, hexadecimal.
    pub sha256: String,
}

/// Facts of each certificate in a PEM text, in order. Other PEM blocks are passed over.
///
/// # Errors
/// A block that is not base64 or not X.509; no certificate at all.
pub fn inspect(pem: &[u8]) -> Result<Vec<CertificateFacts>, CertError> {
    certificates(pem, "the file")?.iter().map(facts).collect()
}

/// The certificate blocks of a PEM text, as text.
pub fn certificate_blocks(text: &str) -> impl Iterator<Item = &str> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let mut rest = text;
    std::iter::from_fn(move || {
        let block = &rest[rest.find(BEGIN)?..];
        let end = block.find(END)? + END.len();
        rest = &block[end..];
        Some(&block[..end])
    })
}

/// The certificates of a PEM text, at least one.
pub(super) fn certificates(pem: &[u8], what: &'static str) -> Result<Vec<CertificateDer<'static>>, CertError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if all.is_empty() => Err(CertError::NoCertificate { what }),
        Ok(all) => Ok(all),
        Err(source) => Err(CertError::Pem { what, source }),
    }
}

pub(super) fn facts(der: &CertificateDer<'_>) -> Result<CertificateFacts, CertError> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(x509_parser::error::X509Error::from)?;
    let alternatives = certificate.subject_alternative_name()?.map(|e| e.value.general_names.as_slice());
    let digest = aws_lc_digest(der);
    Ok(CertificateFacts {
        subject: certificate.subject().to_string(),
        issuer: certificate.issuer().to_string(),
        names: alternatives.unwrap_or_default().iter().filter_map(name).collect(),
        serial: hex(certificate.raw_serial()),
        not_before: certificate.validity().not_before.timestamp(),
        not_after: certificate.validity().not_after.timestamp(),
        is_ca: certificate.is_ca(),
        sha256: hex(&digest),
    })
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(dns) => Some((*dns).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|b| IpAddr::from(b).to_string()),
            16 => <[u8; 16]>::try_from(*bytes).ok().map(|b| IpAddr::from(b).to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// SHA-256 by way of the TLS provider, which has one already.
fn aws_lc_digest(bytes: &[u8]) -> Vec<u8> {
    let suite = rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let hash = suite.tls13().map(|s| s.common.hash_provider.hash(bytes));
    hash.map(|h| h.as_ref().to_vec()).unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
