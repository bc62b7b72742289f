//! What a signing certificate says: whom it was given to, by which issuer of identities, and for which build.

use jiff::Timestamp;
use stockade_policy::images::authority::CLAIMS;
use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::asn1_rs::FromDer as _;
use x509_parser::extensions::{GeneralName, ParsedExtension};

use super::keys::{KeyError, PublicKey};

/// A signing certificate, read but not yet trusted.
#[derive(Debug, Clone)]
pub(super) struct Certificate {
    pub(super) der: Vec<u8>,
    pub(super) key: PublicKey,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    /// Distinguished name of the subject, as text; empty for Fulcio's.
    pub(super) name: String,
    /// Distinguished name of the authority that issued it, as text.
    pub(super) issued_by: String,
    /// Each attribute of the subject's distinguished name: object identifier and value.
    pub(super) attributes: Vec<(String, String)>,
    /// The subject's alternative names: e-mail addresses, URIs, Fulcio's user names.
    pub(super) subjects: Vec<String>,
    /// Who vouched for the identity: Fulcio's extension, absent in other certificates.
    pub(super) issuer: Option<String>,
    /// What the issuer said of the build, by the names of [`CLAIMS`].
    pub(super) claims: Vec<(&'static str, String)>,
    /// Key identifier of the authority that issued it.
    pub(super) authority: Option<Vec<u8>>,
    /// DER of the names of subject and issuer, by which chains are linked.
    pub(super) subject_name: Vec<u8>,
    pub(super) issuer_name: Vec<u8>,
    /// Whether its extended key usage names the signing of code.
    pub(super) signs_code: bool,
    /// The subject's own key identifier.
    pub(super) key_identifier: Option<Vec<u8>>,
}

/// Why a certificate cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CertificateError {
    /// Not an X.509 certificate of version 3 in DER, or one with an extension that cannot be read.
    #[error("malformed certificate: {0}")]
    Malformed(&'static str),
    /// Its key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// A certificate is at most this long; Fulcio's are under 2 KiB.
const MAX_CERTIFICATE: usize = 64 << 10;

/// Fulcio's arc: <https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md>.
const FULCIO: &str = "1.3.6.1.4.1.57264.1.";

/// User names that are neither e-mail address nor URI, in an `otherName`.
const FULCIO_OTHER_NAME: &str = "1.3.6.1.4.1.57264.1.7";

// === impl Certificate ===

impl Certificate {
    /// Reads a certificate.
    ///
    /// # Errors
    /// When it is none, its key is of an unsupported kind, or one of Fulcio's extensions cannot be read or is there
    /// twice: a claim that two readers could read differently is no claim.
    pub(super) fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let malformed = CertificateError::Malformed;
        if der.len() > MAX_CERTIFICATE {
            return Err(malformed("it is too long"));
        }
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| malformed("it is not X.509 in DER"))?;
        if !rest.is_empty() {
            return Err(malformed("bytes follow it"));
        }
        parsed.extensions_map().map_err(|_| malformed("an extension is there twice"))?;
        let mut certificate = Self {
            der: der.to_vec(),
            key: PublicKey::from_spki(parsed.public_key().raw)?,
            not_before: time(parsed.validity().not_before)?,
            not_after: time(parsed.validity().not_after)?,
            name: parsed.subject().to_string(),
            issued_by: parsed.issuer().to_string(),
            attributes: attributes(&parsed)?,
            subjects: Vec::new(),
            issuer: None,
            claims: Vec::new(),
            authority: None,
            subject_name: parsed.subject().as_raw().to_vec(),
            issuer_name: parsed.issuer().as_raw().to_vec(),
            signs_code: false,
            key_identifier: None,
        };
        certificate.read_extensions(&parsed)?;
        Ok(certificate)
    }

    /// Whether it signed itself, by name: the end of every chain.
    pub(super) fn is_root(&self) -> bool {
        self.subject_name == self.issuer_name
    }

    /// Whether `issuer` may have issued this one, by the key identifiers, or by name where there are none.
    pub(super) fn names_as_issuer(&self, issuer: &Self) -> bool {
        match (&self.authority, &issuer.key_identifier) {
            (Some(authority), Some(key)) => authority == key,
            _ => self.issuer_name == issuer.subject_name,
        }
    }

    /// The name that a reader is told.
    pub(super) fn first_subject(&self) -> &str {
        self.subjects.first().unwrap_or(&self.name)
    }

    fn read_extensions(&mut self, parsed: &X509Certificate<'_>) -> Result<(), CertificateError> {
        let malformed = CertificateError::Malformed;
        // The older of the two extensions of the issuer counts only where the newer is absent.
        let mut older_issuer = None;
        for extension in parsed.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::SubjectAlternativeName(names) => {
                    self.subjects = names
                        .general_names
                        .iter()
                        .filter_map(|name| subject(name).transpose())
                        .collect::<Result<_, _>>()?;
                }
                ParsedExtension::AuthorityKeyIdentifier(id) => {
                    self.authority = id.key_identifier.as_ref().map(|id| id.0.to_vec());
                }
                ParsedExtension::ExtendedKeyUsage(usage) => self.signs_code = usage.code_signing,
                ParsedExtension::SubjectKeyIdentifier(id) => self.key_identifier = Some(id.0.to_vec()),
                ParsedExtension::ParseError { .. } => return Err(malformed("an extension cannot be read")),
                _ => {}
            }
            let oid = extension.oid.to_id_string();
            let Some(number) = oid.strip_prefix(FULCIO) else { continue };
            match number {
                "1" => older_issuer = Some(text(extension.value)?),
                "8" => self.issuer = Some(utf8_string(extension.value)?),
                _ => {
                    let claim = CLAIMS.iter().find(|claim| number.parse() == Ok(claim.arc));
                    let Some(claim) = claim else { continue };
                    self.claims.push((claim.name, utf8_string(extension.value)?));
                }
            }
        }
        self.issuer = self.issuer.take().or(older_issuer);
        Ok(())
    }
}

/// The name that identities are compared with; none for kinds of names that sign nothing (DNS, addresses).
fn subject(name: &GeneralName<'_>) -> Result<Option<String>, CertificateError> {
    match name {
        GeneralName::RFC822Name(text) | GeneralName::URI(text) => Ok(Some((*text).to_owned())),
        GeneralName::OtherName(oid, value) if oid.to_id_string() == FULCIO_OTHER_NAME => {
            // [0] EXPLICIT around the UTF8String.
            let inner = x509_parser::der_parser::asn1_rs::Any::from_der(value)
                .map_err(|_| CertificateError::Malformed("its other name cannot be read"))?
                .1;
            utf8_string(inner.data).map(Some)
        }
        GeneralName::Invalid(..) => Err(CertificateError::Malformed("a subject's alternative name cannot be read")),
        _ => Ok(None),
    }
}

fn attributes(parsed: &X509Certificate<'_>) -> Result<Vec<(String, String)>, CertificateError> {
    let read = |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| {
        let value = attribute.as_str().map_err(|_| CertificateError::Malformed("its subject is not text"))?;
        Ok((attribute.attr_type().to_id_string(), value.to_owned()))
    };
    parsed.subject().iter_attributes().map(read).collect()
}

fn time(at: x509_parser::time::ASN1Time) -> Result<Timestamp, CertificateError> {
    Timestamp::from_second(at.timestamp()).map_err(|_| CertificateError::Malformed("its validity cannot be read"))
}

/// A DER UTF8String and nothing behind it.
fn utf8_string(value: &[u8]) -> Result<String, CertificateError> {
    let malformed = CertificateError::Malformed("one of Fulcio's extensions is not a UTF8String");
    match x509_parser::der_parser::asn1_rs::Utf8String::from_der(value) {
        Ok(([], text)) => Ok(text.as_ref().to_owned()),
        _ => Err(malformed),
    }
}

/// Bare text, as Fulcio's first extension of the issuer has it.
fn text(value: &[u8]) -> Result<String, CertificateError> {
    let text = std::str::from_utf8(value);
    text.map(str::to_owned).map_err(|_| CertificateError::Malformed("one of Fulcio's extensions is not text"))
}
