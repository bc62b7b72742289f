//! Certificates: authorities and what they issue.

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::{Key, pem, sha256};

/// An authority with its key.
pub struct Authority {
    key: Key,
    params: CertificateParams,
    /// Its certificate.
    pub der: Vec<u8>,
}

/// What a certificate says, but for its extensions.
#[derive(Debug, Clone)]
pub struct Request {
    /// First second of its validity.
    pub from: Timestamp,
    /// Last second.
    pub until: Timestamp,
    /// Alternative names of its subject.
    pub names: Vec<SanType>,
    /// Attributes of its subject: type and value.
    pub subject: Vec<(DnType, String)>,
    /// What it is for.
    pub usages: Vec<ExtendedKeyUsagePurpose>,
    /// Further extensions: object identifier and DER.
    pub extensions: Vec<(Vec<u64>, Vec<u8>)>,
}

/// Timestamps signed for certificates, RFC 6962, 3.3.
const CERTIFICATE_TIMESTAMPS: [u64; 10] = [1, 3, 6, 1, 4, 1, 11129, 2, 4, 2];

// === impl Authority ===

impl Authority {
    /// A root of its own.
    pub fn root(name: &str, now: Timestamp) -> Self {
        let (key, params) = (Key::p256(), authority(name, now));
        let der = params.self_signed(&key.pair).unwrap().der().to_vec();
        Self { key, params, der }
    }

    /// An authority below this one.
    pub fn intermediate(&self, name: &str, now: Timestamp) -> Self {
        let (key, params) = (Key::p256(), authority(name, now));
        let der = params.signed_by(&key.pair, &self.issuer()).unwrap().der().to_vec();
        Self { key, params, der }
    }

    /// Its certificate in PEM.
    pub fn pem(&self) -> String {
        pem("CERTIFICATE", &self.der)
    }

    /// A certificate for a key.
    pub fn issue(&self, request: &Request, key: &impl PublicKeyData) -> Vec<u8> {
        request.params().signed_by(key, &self.issuer()).unwrap().der().to_vec()
    }

    /// A certificate for a key with a log's timestamp in it: issued once without, which is what the log signs, and
    /// again with it as the last extension (RFC 6962, 3.2).
    pub fn issue_logged(&self, request: &Request, key: &impl PublicKeyData, log: &Key) -> Vec<u8> {
        let mut params = request.params();
        let unlogged = params.signed_by(key, &self.issuer()).unwrap();
        let (_, parsed) = X509Certificate::from_der(unlogged.der()).unwrap();
        let tbs = parsed.tbs_certificate.as_ref();
        let millis = request.from.as_millisecond().to_be_bytes();
        let length = u32::try_from(tbs.len()).unwrap().to_be_bytes();
        let signed = [&[0, 0][..], &millis, &[0, 1], &sha256(&self.key.spki()), &length[1..], tbs, &[0, 0]].concat();
        let signature = log.sign(crate::Scheme::Own, &signed);
        let timestamp = [&[0][..], &log.id(), &millis, &[0, 0, 4, 3], &length16(&signature), &signature].concat();
        let one = [&length16(&timestamp)[..], &timestamp].concat();
        let list = [&length16(&one)[..], &one].concat();
        let octets = yasna::construct_der(|writer| writer.write_bytes(&list));
        params.custom_extensions.push(CustomExtension::from_oid_content(&CERTIFICATE_TIMESTAMPS, octets));
        params.signed_by(key, &self.issuer()).unwrap().der().to_vec()
    }

    fn issuer(&self) -> Issuer<'_, &rcgen::KeyPair> {
        Issuer::from_params(&self.params, &self.key.pair)
    }
}

// === impl Request ===

impl Request {
    /// A certificate for signing code, without names.
    pub fn new(from: Timestamp, until: Timestamp) -> Self {
        let usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        Self { from, until, names: Vec::new(), subject: Vec::new(), usages, extensions: Vec::new() }
    }

    /// A certificate by its own key.
    pub fn self_signed(&self, key: &Key) -> Vec<u8> {
        self.params().self_signed(&key.pair).unwrap().der().to_vec()
    }

    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::default();
        (params.not_before, params.not_after) = (civil(self.from), civil(self.until));
        params.serial_number = Some(SerialNumber::from_slice(&[77]));
        params.subject_alt_names.clone_from(&self.names);
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in &self.subject {
            params.distinguished_name.push(kind.clone(), value.as_str());
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let extension = |(oid, der): &(Vec<u64>, Vec<u8>)| CustomExtension::from_oid_content(oid, der.clone());
        params.custom_extensions = self.extensions.iter().map(extension).collect();
        if self.usages == [ExtendedKeyUsagePurpose::TimeStamping] {
            params.custom_extensions.push(stamps_only());
        } else {
            params.extended_key_usages.clone_from(&self.usages);
        }
        params
    }
}

/// The usage of a clock's certificate, which is critical (RFC 3161, 2.3).
fn stamps_only() -> CustomExtension {
    let usage = yasna::construct_der(|writer| {
        writer.write_sequence(|usages| {
            usages.next().write_oid(&yasna::models::ObjectIdentifier::from_slice(&[1, 3, 6, 1, 5, 5, 7, 3, 8]));
        });
    });
    let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, 37], usage);
    extension.set_criticality(true);
    extension
}

fn authority(name: &str, now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    let year = jiff::SignedDuration::from_hours(24 * 365);
    (params.not_before, params.not_after) = (civil(now - year), civil(now + year));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "test.local");
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    params
}

fn civil(at: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at.as_second()).unwrap()
}

fn length16(bytes: &[u8]) -> [u8; 2] {
    u16::try_from(bytes.len()).unwrap().to_be_bytes()
}
