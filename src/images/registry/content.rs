//! Digests of content, computed here over the bytes that came.

use aws_lc_rs::digest::{Context, SHA256, SHA384, SHA512};
use stockade_policy::images::Digest;

/// A digest in the making.
pub(crate) struct Hasher {
    algorithm: &'static str,
    context: Context,
}

// === impl Hasher ===

impl Hasher {
    /// In the algorithm of a digest that the content is to have.
    pub(crate) fn like(digest: &Digest) -> Self {
        match digest.algorithm() {
            "sha384" => Self { algorithm: "sha384", context: Context::new(&SHA384) },
            "sha512" => Self { algorithm: "sha512", context: Context::new(&SHA512) },
            // A Digest has one of the three.
            _ => Self { algorithm: "sha256", context: Context::new(&SHA256) },
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
    }

    /// The text of the digest: `sha256:…`.
    pub(crate) fn finish(self) -> String {
        let mut text = format!("{}:", self.algorithm);
        push_hex(&mut text, self.context.finish().as_ref());
        text
    }
}

/// The digest of content in the algorithm of another.
pub(crate) fn digest_like(wanted: &Digest, content: &[u8]) -> String {
    let mut hasher = Hasher::like(wanted);
    hasher.update(content);
    hasher.finish()
}

/// `sha256:…` of content.
pub(crate) fn sha256(content: &[u8]) -> String {
    let mut text = String::from("sha256:");
    push_hex(&mut text, aws_lc_rs::digest::digest(&SHA256, content).as_ref());
    text
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_hashed_in_the_algorithm_that_was_asked_for() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sha256(b""), empty);
        assert_eq!(digest_like(&Digest::parse(empty).unwrap(), b""), empty);
        let long = Digest::parse(&format!("sha512:{}", "0".repeat(128))).unwrap();
        assert!(digest_like(&long, b"").starts_with("sha512:cf83e1357eefb8bdf1542850d66d8007"));
    }
}
