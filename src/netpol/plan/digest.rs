//! Ids by content: SHA-256 of a secret and an encoding in which no two contents are alike.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use super::secret::secret;

/// Takes content piece by piece.
#[derive(Debug, Clone, Default)]
pub(super) struct Content(Sha256);

// === impl Content ===

impl Content {
    /// Begins with the secret, if there is one, and the kind of the content, so that no table is taken for a port set.
    pub(super) fn new(kind: &str) -> Self {
        let mut content = Self::default();
        if let Some(secret) = secret() {
            content.bytes(secret);
        }
        content.text(kind);
        content
    }

    /// A text, with its length before it.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.number(text.len() as u64);
        self.0.update(text);
        self
    }

    /// A number, of a fixed width.
    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        self.0.update(number.to_le_bytes());
        self
    }

    /// A digest of something else.
    pub(super) fn bytes(&mut self, digest: &[u8; 32]) -> &mut Self {
        self.0.update(digest);
        self
    }

    /// Digests in any order, each once.
    pub(super) fn set(&mut self, digests: impl Iterator<Item = [u8; 32]>) -> &mut Self {
        let sorted: BTreeSet<[u8; 32]> = digests.collect();
        self.number(sorted.len() as u64);
        for digest in &sorted {
            self.bytes(digest);
        }
        self
    }

    /// The whole digest, and the id that it gives.
    pub(super) fn finish(self) -> ([u8; 32], u64) {
        let digest: [u8; 32] = self.0.finalize().into();
        let mut id = [0; 8];
        id.copy_from_slice(&digest[..8]);
        (digest, u64::from_le_bytes(id))
    }
}
