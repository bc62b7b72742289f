//! Key pairs of all kinds that images are signed with.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, RsaKeyPair};
use rcgen::{KeyPair, PublicKeyData as _, RsaKeySize, SigningKey as _};

use crate::{pem, sha256};

/// A key pair.
pub struct Key {
    pub(crate) pair: KeyPair,
    kind: Kind,
}

/// Kinds of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// ECDSA.
    P256,
    /// ECDSA.
    P384,
    /// ECDSA.
    P521,
    /// RSA of 2048 bits.
    Rsa2048,
    /// RSA of 3072 bits.
    Rsa3072,
    /// Ed25519.
    Ed25519,
}

/// Ways to sign with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// ECDSA in DER with the hash of the key's size; RSA PKCS #1 v1.5 with SHA-256; Ed25519.
    Own,
    /// RSA PSS with SHA-256.
    Pss,
    /// As a JSON Web Signature has it (RFC 7518): ECDSA of fixed length, RSA PSS.
    Jws,
}

// === impl Key ===

impl Key {
    /// A new pair.
    pub fn new(kind: Kind) -> Self {
        let pair = match kind {
            Kind::P256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            Kind::P384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            Kind::P521 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512),
            Kind::Rsa2048 => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048),
            Kind::Rsa3072 => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_3072),
            Kind::Ed25519 => KeyPair::generate_for(&rcgen::PKCS_ED25519),
        };
        Self { pair: pair.unwrap(), kind }
    }

    /// ECDSA over P-256, as cosign makes them.
    pub fn p256() -> Self {
        Self::new(Kind::P256)
    }

    /// SubjectPublicKeyInfo in DER.
    pub fn spki(&self) -> Vec<u8> {
        self.pair.subject_public_key_info()
    }

    /// The public key in PEM.
    pub fn public_pem(&self) -> String {
        pem("PUBLIC KEY", &self.spki())
    }

    /// The private key in PEM (PKCS #8), unencrypted.
    pub fn private_pem(&self) -> String {
        pem("PRIVATE KEY", &self.pair.serialize_der())
    }

    /// SHA-256 of the public key, by which logs are named.
    pub fn id(&self) -> [u8; 32] {
        sha256(&self.spki())
    }

    /// A signature.
    pub fn sign(&self, scheme: Scheme, message: &[u8]) -> Vec<u8> {
        let pkcs8 = self.pair.serialize_der();
        let ecdsa = |algorithm| {
            let pair = EcdsaKeyPair::from_pkcs8(algorithm, &pkcs8).unwrap();
            pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
        };
        let rsa = |encoding| {
            let pair = RsaKeyPair::from_pkcs8(&pkcs8).unwrap();
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(encoding, &SystemRandom::new(), message, &mut signature).unwrap();
            signature
        };
        match (scheme, self.kind) {
            (Scheme::Jws, Kind::P256) => ecdsa(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            (Scheme::Jws, Kind::P384) => ecdsa(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
            (Scheme::Jws, Kind::P521) => ecdsa(&signature::ECDSA_P521_SHA512_FIXED_SIGNING),
            (Scheme::Jws, Kind::Rsa3072) => rsa(&signature::RSA_PSS_SHA384),
            (Scheme::Jws | Scheme::Pss, Kind::Rsa2048) | (Scheme::Pss, Kind::Rsa3072) => {
                rsa(&signature::RSA_PSS_SHA256)
            }
            _ => self.pair.sign(message).unwrap(),
        }
    }

    /// The algorithm of a JSON Web Signature by this key.
    pub(crate) fn jws_algorithm(&self) -> &'static str {
        match self.kind {
            Kind::P256 => "ES256",
            Kind::P384 => "ES384",
            Kind::P521 => "ES512",
            Kind::Rsa2048 => "PS256",
            Kind::Rsa3072 => "PS384",
            Kind::Ed25519 => "EdDSA",
        }
    }
}
