//! Public keys that signatures are checked with: every kind that cosign and notation sign with.

use std::fmt;

use aws_lc_rs::digest::{self, Digest as Hashed};
use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;
use stockade_policy::images::authority::HashAlgorithm;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::SubjectPublicKeyInfo;

/// A public key: ECDSA over P-256, P-384 or P-521, RSA of 2048 to 8192 bits, or Ed25519.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct PublicKey {
    /// The SubjectPublicKeyInfo in DER.
    spki: Vec<u8>,
    /// What the BIT STRING of it holds: an uncompressed point, an `RSAPublicKey`, 32 bytes.
    raw: Vec<u8>,
    kind: Kind,
}

/// The kind of a key, as far as it decides the algorithm of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    P256,
    P384,
    P521,
    Rsa {
        /// Length of the modulus.
        bits: usize,
    },
    Ed25519,
}

/// What was signed: the bytes, or only their digest, when the bytes are elsewhere.
#[derive(Debug, Clone, Copy)]
pub(super) enum Message<'a> {
    Bytes(&'a [u8]),
    /// SHA-256 of the bytes.
    Digest(&'a [u8; 32]),
}

/// Why a text is no key that signatures can be checked with.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// There is no PEM block of a public key in it.
    #[error("not a public key in PEM (BEGIN PUBLIC KEY)")]
    NotPem,
    /// The block is not a SubjectPublicKeyInfo.
    #[error("malformed public key")]
    Malformed,
    /// A key of another kind.
    #[error(
        "unsupported public key: {0}; ECDSA P-256, P-384, P-521, RSA of 2048 to 8192 bits and Ed25519 are supported"
    )]
    Unsupported(String),
}

/// The text of a key in PEM is at most this long; an RSA key of 8192 bits needs a tenth of it.
const MAX_PEM: usize = 16 << 10;

// === impl PublicKey ===

impl PublicKey {
    /// The first public key of a PEM text, as `cosign generate-key-pair` writes it.
    ///
    /// # Errors
    /// When there is none, or of a kind that is not supported.
    pub(super) fn from_pem(text: &str) -> Result<Self, KeyError> {
        if text.len() > MAX_PEM {
            return Err(KeyError::NotPem);
        }
        let spki = SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes()).map_err(|_| KeyError::NotPem)?;
        Self::from_spki(&spki)
    }

    /// A key from its SubjectPublicKeyInfo (RFC 5280, 4.1.2.7) in DER.
    ///
    /// # Errors
    /// When it is none, or of a kind that is not supported.
    pub(super) fn from_spki(spki: &[u8]) -> Result<Self, KeyError> {
        let (rest, info) = SubjectPublicKeyInfo::from_der(spki).map_err(|_| KeyError::Malformed)?;
        if !rest.is_empty() || info.subject_public_key.unused_bits != 0 {
            return Err(KeyError::Malformed);
        }
        let raw = info.subject_public_key.data.to_vec();
        let kind = kind(&info, &raw)?;
        Ok(Self { spki: spki.to_vec(), raw, kind })
    }

    /// SHA-256 of the SubjectPublicKeyInfo in hexadecimal, as `openssl pkey -pubin -outform DER | sha256sum` tells it.
    pub(super) fn fingerprint(&self) -> String {
        hex(&sha256(&self.spki))
    }

    /// The hints by which bundles name a key: base64 and hexadecimal SHA-256 of the SubjectPublicKeyInfo.
    pub(super) fn is_hinted_by(&self, hint: &str) -> bool {
        let hash = sha256(&self.spki);
        hint == STANDARD.encode(hash) || hint == hex(&hash)
    }

    pub(super) fn spki(&self) -> &[u8] {
        &self.spki
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether `signature` is this key's over `message`: ECDSA in DER, RSA PKCS #1 v1.5 or PSS, with the hash that is
    /// named, else SHA-256, or with the one of the key's size: cosign takes the former for tags, the latter for bundles.
    pub(super) fn verifies(&self, message: Message<'_>, signature: &[u8], hash: HashAlgorithm) -> bool {
        let (named, own) = (hash, self.own_hash());
        let hashes = std::iter::once(named).chain((own != named).then_some(own));
        hashes.flat_map(|hash| self.algorithms(hash)).any(|(algorithm, hash)| {
            let key = UnparsedPublicKey::new(algorithm, &self.raw);
            match (message, hash) {
                (Message::Bytes(bytes), _) => key.verify(bytes, signature).is_ok(),
                // Ed25519 signs the bytes, and another digest cannot be had from the one at hand.
                (Message::Digest(digest), Some(HashAlgorithm::Sha256)) => {
                    Hashed::import_less_safe(digest, &digest::SHA256)
                        .is_ok_and(|digest| key.verify_digest(&digest, signature).is_ok())
                }
                (Message::Digest(_), _) => false,
            }
        })
    }

    /// Whether `signature` is this key's over `message` as RFC 7518 writes it: ECDSA as two numbers of fixed length,
    /// RSA only as PSS, and the hash by the size of the key.
    pub(super) fn verifies_jws(&self, message: &[u8], signature: &[u8]) -> bool {
        let algorithm: &'static dyn VerificationAlgorithm = match self.kind {
            Kind::P256 => &signature::ECDSA_P256_SHA256_FIXED,
            Kind::P384 => &signature::ECDSA_P384_SHA384_FIXED,
            Kind::P521 => &signature::ECDSA_P521_SHA512_FIXED,
            Kind::Rsa { bits: 2048 } => &signature::RSA_PSS_2048_8192_SHA256,
            Kind::Rsa { bits: 3072 } => &signature::RSA_PSS_2048_8192_SHA384,
            Kind::Rsa { bits: 4096 } => &signature::RSA_PSS_2048_8192_SHA512,
            Kind::Rsa { .. } | Kind::Ed25519 => return false,
        };
        UnparsedPublicKey::new(algorithm, &self.raw).verify(message, signature).is_ok()
    }

    fn own_hash(&self) -> HashAlgorithm {
        match self.kind {
            Kind::P256 | Kind::Rsa { .. } | Kind::Ed25519 => HashAlgorithm::Sha256,
            Kind::P384 => HashAlgorithm::Sha384,
            Kind::P521 => HashAlgorithm::Sha512,
        }
    }

    /// The algorithms of a kind and hash, each with the hash of its message, which Ed25519 has none of.
    fn algorithms(&self, hash: HashAlgorithm) -> Vec<(&'static dyn VerificationAlgorithm, Option<HashAlgorithm>)> {
        let both = |pkcs1: &'static signature::RsaParameters, pss: &'static signature::RsaParameters| {
            vec![(pkcs1 as &'static dyn VerificationAlgorithm, Some(hash)), (pss, Some(hash))]
        };
        let one = |ecdsa: &'static signature::EcdsaVerificationAlgorithm| {
            vec![(ecdsa as &'static dyn VerificationAlgorithm, Some(hash))]
        };
        match (self.kind, hash) {
            (Kind::P256, HashAlgorithm::Sha256) => one(&signature::ECDSA_P256_SHA256_ASN1),
            (Kind::P256, HashAlgorithm::Sha384) => one(&signature::ECDSA_P256_SHA384_ASN1),
            (Kind::P256, HashAlgorithm::Sha512) => one(&signature::ECDSA_P256_SHA512_ASN1),
            (Kind::P384, HashAlgorithm::Sha256) => one(&signature::ECDSA_P384_SHA256_ASN1),
            (Kind::P384, HashAlgorithm::Sha384) => one(&signature::ECDSA_P384_SHA384_ASN1),
            (Kind::P384, HashAlgorithm::Sha512) => one(&signature::ECDSA_P384_SHA512_ASN1),
            (Kind::P521, HashAlgorithm::Sha256) => one(&signature::ECDSA_P521_SHA256_ASN1),
            (Kind::P521, HashAlgorithm::Sha384) => one(&signature::ECDSA_P521_SHA384_ASN1),
            (Kind::P521, HashAlgorithm::Sha512) => one(&signature::ECDSA_P521_SHA512_ASN1),
            (Kind::Rsa { .. }, HashAlgorithm::Sha256) => {
                both(&signature::RSA_PKCS1_2048_8192_SHA256, &signature::RSA_PSS_2048_8192_SHA256)
            }
            (Kind::Rsa { .. }, HashAlgorithm::Sha384) => {
                both(&signature::RSA_PKCS1_2048_8192_SHA384, &signature::RSA_PSS_2048_8192_SHA384)
            }
            (Kind::Rsa { .. }, HashAlgorithm::Sha512) => {
                both(&signature::RSA_PKCS1_2048_8192_SHA512, &signature::RSA_PSS_2048_8192_SHA512)
            }
            (Kind::Ed25519, _) => vec![(&signature::ED25519, None)],
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.kind, self.fingerprint())
    }
}

/// Kind of the key that a SubjectPublicKeyInfo holds. Points must be uncompressed, as all signers write them: a second
/// encoding of one key would be a second name for it.
fn kind(info: &SubjectPublicKeyInfo<'_>, raw: &[u8]) -> Result<Kind, KeyError> {
    let unsupported = |what: &str| Err(KeyError::Unsupported(what.to_owned()));
    match info.algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.10045.2.1" => {
            let curve = info.algorithm.parameters.as_ref().and_then(|p| p.as_oid().ok()).map(|oid| oid.to_id_string());
            let (kind, length) = match curve.as_deref() {
                Some("1.2.840.10045.3.1.7") => (Kind::P256, 65),
                Some("1.3.132.0.34") => (Kind::P384, 97),
                Some("1.3.132.0.35") => (Kind::P521, 133),
                other => return unsupported(&format!("ECDSA over the curve {}", other.unwrap_or("without a name"))),
            };
            if raw.len() == length && raw[0] == 4 { Ok(kind) } else { Err(KeyError::Malformed) }
        }
        "1.2.840.113549.1.1.1" => {
            let (rest, key) = x509_parser::public_key::RSAPublicKey::from_der(raw).map_err(|_| KeyError::Malformed)?;
            let modulus: &[u8] = key.modulus;
            let modulus = &modulus[modulus.iter().take_while(|byte| **byte == 0).count()..];
            let bits = modulus.first().map_or(0, |first| modulus.len() * 8 - first.leading_zeros() as usize);
            match bits {
                _ if !rest.is_empty() => Err(KeyError::Malformed),
                2048..=8192 => Ok(Kind::Rsa { bits }),
                _ => unsupported(&format!("RSA of {bits} bits")),
            }
        }
        "1.3.101.112" if raw.len() == 32 => Ok(Kind::Ed25519),
        "1.3.101.112" => Err(KeyError::Malformed),
        other => unsupported(&format!("algorithm {other}")),
    }
}

/// SHA-256 of some bytes.
pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

/// Hexadecimal in lower case.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
