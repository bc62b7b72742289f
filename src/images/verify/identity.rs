//! Which certificates an authority takes: issuer of the identity, subject, claims about the build; or, for the Notary
//! Project, attributes of the subject's distinguished name.

use stockade_policy::images::authority::{Identity, TrustedIdentity};

use super::certificate::Certificate;

/// Attributes of a distinguished name, as they are written (RFC 4514, 3; RFC 4519), and their object identifiers.
const ATTRIBUTES: [(&str, &str); 10] = [
    ("C", "2.5.4.6"),
    ("ST", "2.5.4.8"),
    ("L", "2.5.4.7"),
    ("STREET", "2.5.4.9"),
    ("O", "2.5.4.10"),
    ("OU", "2.5.4.11"),
    ("CN", "2.5.4.3"),
    ("SERIALNUMBER", "2.5.4.5"),
    ("DC", "0.9.2342.19200300.100.1.25"),
    ("UID", "0.9.2342.19200300.100.1.1"),
];

/// The name of the certificate by which one of the identities takes it, or none. What an identity names must be there
/// and match; a claim that the certificate does not have matches nothing.
pub(super) fn subject_of<'a>(identities: &[Identity], certificate: &'a Certificate) -> Option<&'a str> {
    identities.iter().find_map(|identity| {
        let is_issuer = match (&identity.issuer, &certificate.issuer) {
            (None, _) => true,
            (Some(wanted), Some(issuer)) => wanted.matches(issuer),
            (Some(_), None) => false,
        };
        let has = |name: &str, wanted: &str| certificate.claims.iter().any(|(n, value)| *n == name && value == wanted);
        if !is_issuer || !identity.claims.iter().all(|(claim, wanted)| has(claim.name, wanted)) {
            return None;
        }
        match &identity.subject {
            Some(wanted) => certificate.subjects.iter().map(String::as_str).find(|subject| wanted.matches(subject)),
            None => Some(certificate.first_subject()),
        }
    })
}

/// Whether a certificate's subject is a trusted one: all attributes, each once and with this very value. Of two
/// organisations it would be for the signer to choose.
pub(super) fn is_trusted(trusted: &TrustedIdentity, certificate: &Certificate) -> bool {
    let TrustedIdentity::Subject(attributes) = trusted else { return true };
    attributes.iter().all(|(name, wanted)| {
        let Some((_, oid)) = ATTRIBUTES.iter().find(|(known, _)| *known == &**name) else { return false };
        let mut values = certificate.attributes.iter().filter(|(present, _)| present == oid).map(|(_, value)| value);
        values.next().is_some_and(|value| **value == **wanted) && values.next().is_none()
    })
}
