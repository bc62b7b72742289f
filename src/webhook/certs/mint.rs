//! New authorities and serving certificates, as PEM text: no files, no clock of its own.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData as _,
};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::inspect::{certificates, facts};
use super::{CertError, CertificateFacts};

/// Clocks differ: a new certificate is valid from this long ago.
const BACKDATED: Duration = Duration::from_secs(3600);

/// What a serving certificate is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MintOptions {
    /// DNS names and IP addresses, in the order they are written.
    pub names: Vec<String>,
    /// How long the serving certificate is valid. It is renewed after two thirds.
    pub validity: Duration,
    /// How long a new authority is valid.
    pub authority_validity: Duration,
}

/// A certificate and its private key.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Pair {
    /// PEM.
    pub certificate: String,
    /// PEM, PKCS#8. Secret.
    pub key: String,
}

/// A certificate authority that can sign.
pub struct Authority {
    pair: Pair,
}

/// The names under which a webhook is called: this host, and the Service in its namespace when there is one.
pub fn serving_names(service: Option<(&str, &str)>) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    if let Some((service, namespace)) = service {
        let base = format!("{service}.{namespace}");
        names.extend([format!("{base}.svc"), format!("{base}.svc.cluster.local"), base]);
    }
    names
}

/// Facts of an authority's certificate when the authority can sign at this time.
///
/// # Errors
/// Why it cannot.
pub fn verify_authority(pair: &Pair, now: i64) -> Result<CertificateFacts, CertError> {
    let der = certificates(pair.certificate.as_bytes(), "the authority")?.swap_remove(0);
    let facts = facts(&der)?;
    let CertificateFacts { not_before, not_after, is_ca, .. } = facts;
    if !is_ca {
        return Err(CertError::NoAuthority);
    }
    if now < not_before || now > not_after {
        return Err(CertError::Expired { not_before, not_after, now });
    }
    let (_, certificate) = X509Certificate::from_der(&der).map_err(x509_parser::error::X509Error::from)?;
    match KeyPair::from_pem(&pair.key)?.subject_public_key_info() == certificate.public_key().raw {
        true => Ok(facts),
        false => Err(CertError::ForeignKey),
    }
}

// === impl MintOptions ===

impl Default for MintOptions {
    /// This host and Service `stockade` in namespace `stockade-system`; a year; an authority of ten.
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        Self {
            names: serving_names(Some(("stockade", "stockade-system"))),
            validity: 365 * DAY,
            authority_validity: 3650 * DAY,
        }
    }
}

// === impl Authority ===

impl Authority {
    /// A new one, with a P-256 key, valid from `now` (seconds since the epoch).
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn mint(options: &MintOptions, now: i64) -> Result<Self, CertError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, format!("Stockade CA {now}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        set_validity(&mut params, now, options.authority_validity);
        let certificate = params.self_signed(&key)?;
        Ok(Self { pair: Pair { certificate: certificate.pem(), key: key.serialize_pem() } })
    }

    /// One that was minted before.
    pub fn from_pair(pair: Pair) -> Self {
        Self { pair }
    }

    /// Its certificate and key.
    pub fn pair(&self) -> &Pair {
        &self.pair
    }

    /// The webhook's serving certificate with a new P-256 key.
    ///
    /// # Errors
    /// The authority's PEM cannot be read, or a name is not one that a certificate can hold.
    pub fn issue(&self, options: &MintOptions, now: i64) -> Result<Pair, CertError> {
        self.issue_server("stockade webhook", options, now)
    }

    /// A certificate to serve with, of a server that people call so.
    ///
    /// # Errors
    /// As [`Self::issue`].
    pub fn issue_server(&self, name: &str, options: &MintOptions, now: i64) -> Result<Pair, CertError> {
        let params = CertificateParams::new(options.names.clone())?;
        self.sign(params, name, ExtendedKeyUsagePurpose::ServerAuth, options, now)
    }

    /// A certificate with which a caller shows who it is: the API server, when the webhook checks that; whoever asks
    /// node agents for flows.
    ///
    /// # Errors
    /// As [`Self::issue`].
    pub fn issue_client(&self, name: &str, options: &MintOptions, now: i64) -> Result<Pair, CertError> {
        self.sign(CertificateParams::default(), name, ExtendedKeyUsagePurpose::ClientAuth, options, now)
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        common_name: &str,
        usage: ExtendedKeyUsagePurpose,
        options: &MintOptions,
        now: i64,
    ) -> Result<Pair, CertError> {
        let issuer = Issuer::from_ca_cert_pem(&self.pair.certificate, KeyPair::from_pem(&self.pair.key)?)?;
        let key = KeyPair::generate()?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, now, options.validity);
        let certificate = params.signed_by(&key, &issuer)?;
        Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

fn set_validity(params: &mut CertificateParams, now: i64, validity: Duration) {
    let now = OffsetDateTime::from_unix_timestamp(now).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    params.not_before = now.saturating_sub(BACKDATED.try_into().unwrap_or(time::Duration::ZERO));
    params.not_after = now.saturating_add(validity.try_into().unwrap_or(time::Duration::MAX));
}

// === impl Pair ===

impl std::fmt::Debug for Pair {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}
