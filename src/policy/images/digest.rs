//! Digests of content (OCI image spec, "Digests").

use std::fmt;
use std::sync::Arc;

use stockade_schema::image_name::is_digest;

/// `sha256:…`, `sha384:…` or `sha512:…` in lower-case hexadecimal. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(Arc<str>);

/// A text is no digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no digest: sha256, sha384 or sha512, a colon, and lower-case hexadecimal of that length")]
pub struct InvalidDigest;

impl Digest {
    /// Reads a digest.
    ///
    /// # Errors
    /// It has another form, or an algorithm that runtimes do not know.
    pub fn parse(text: &str) -> Result<Self, InvalidDigest> {
        if is_digest(text) { Ok(Self(text.into())) } else { Err(InvalidDigest) }
    }

    /// `sha256`
    pub fn algorithm(&self) -> &str {
        self.0.split_once(':').map_or("", |(algorithm, _)| algorithm)
    }

    /// The hexadecimal part.
    pub fn hex(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, hex)| hex)
    }

    /// `sha256:…`
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_digests_of_known_algorithms_are_digests() {
        let good = format!("sha512:{}", "0f".repeat(64));
        let digest = Digest::parse(&good).unwrap();
        assert_eq!((digest.algorithm(), digest.hex().len(), digest.as_str()), ("sha512", 128, good.as_str()));
        let upper = format!("sha256:{}", "A".repeat(64));
        for bad in ["", "sha256:", "sha256:0f", "md5:0cc175b9c0f1b6a831c399e269772661", upper.as_str()] {
            assert_eq!(Digest::parse(bad), Err(InvalidDigest), "{bad}");
        }
    }
}
