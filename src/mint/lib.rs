//! A private Sigstore (certificate authority, log of certificates, transparency logs of both versions, timestamp
//! authority) and signers of all kinds, minted anew for each test; for tests only.
//!
//! Everything that is made holds, unless a [`Forgery`] is asked for, which breaks one thing and signs all else as it
//! should be.

#![expect(clippy::unwrap_used, reason = "for tests only: what cannot be minted ends the test")]

pub mod authority;
pub mod key;
pub mod log;
pub mod notation;
pub mod server;
pub mod sigstore;
pub mod timestamp;

use std::fmt::Write as _;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub use key::{Key, Scheme};
pub use notation::Notary;
pub use server::Server;
pub use sigstore::{Evidence, Leaf, Sigstore};

/// One thing that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgery {
    /// A log of certificates that is not the instance's vouches for the certificate.
    CertificateLog,
    /// No log of certificates vouches for it.
    NoCertificateLog,
    /// The certificate had expired when the log saw the signature.
    Expired,
    /// The certificate is not for signing code.
    Usage,
    /// The log's proof leads to another tree than the checkpoint tells of.
    Proof,
    /// The checkpoint is signed by another key.
    Checkpoint,
    /// The checkpoint does not say whose it is.
    Origin,
    /// The log's promise is signed by another key.
    Promise,
    /// The log's promise is of another time.
    PromisedTime,
    /// The log entry is about another signature of the same signer.
    EntrySignature,
    /// The log entry is about something else that was signed.
    EntryArtifact,
    /// The log entry is about a signature by somebody else.
    EntrySigner,
    /// The log signed a time that is still to come.
    FutureEntry,
    /// The timestamp is by a clock that is not the instance's.
    Clock,
    /// The timestamp is of another signature.
    TimestampSubject,
    /// The timestamp is of a time when the certificate was not valid.
    TimestampTime,
    /// The signature is over something else.
    Signature,
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest::digest(&digest::SHA256, bytes).as_ref().try_into().unwrap()
}

/// Hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// Base64 of the standard alphabet.
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// A PEM block.
pub fn pem(label: &str, der: &[u8]) -> String {
    let text = base64(der);
    let lines: Vec<&str> = (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// What is signed of a DSSE envelope (<https://github.com/secure-systems-lab/dsse/blob/master/protocol.md>).
pub fn pae(kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}
