//! The grammar of image references (`github.com/distribution/reference` 0.6, which the API server and the container
//! runtimes read them with), for `normalise` and for whoever asks what would be pulled.

/// Longest repository, registry left out (upstream `RepositoryNameTotalLengthMax`).
const MAX_PATH_BYTES: usize = 255;

/// A reference as it is written, taken apart. Nothing is filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageName<'t> {
    /// `registry.example.com:5000`, `localhost`, `[::1]:5000`; none where the first part is a part of the path.
    pub registry: Option<&'t str>,
    /// `team/app`
    pub path: &'t str,
    /// `1.2`
    pub tag: Option<&'t str>,
    /// `sha256:…`
    pub digest: Option<&'t str>,
}

// === impl ImageName ===

impl<'t> ImageName<'t> {
    /// Takes a reference apart; none when a runtime would refuse it too.
    pub fn parse(text: &'t str) -> Option<Self> {
        // What could be the identifier of an image is never read as a name.
        if text.len() == 64 && text.bytes().all(is_lower_hex) {
            return None;
        }
        let (name, digest) = text.split_once('@').map_or((text, None), |(name, digest)| (name, Some(digest)));
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (name, None),
        };
        let (registry, path) = match name.split_once('/') {
            Some((first, rest)) if is_registry_like(first) => (Some(first), rest),
            _ => (None, name),
        };
        // `sha256:12ab` too: containerd takes it for the identifier, or its beginning, of any image that a node has.
        if registry.is_none() && tag.is_some() && ALGORITHMS.contains(&path) {
            return None;
        }
        let sound = registry.is_none_or(is_registry)
            && path.len() <= MAX_PATH_BYTES
            && path.split('/').all(is_component)
            && tag.is_none_or(is_tag)
            && digest.is_none_or(is_digest);
        sound.then_some(Self { registry, path, tag, digest })
    }
}

/// Algorithms of digests that runtimes know (`go-digest`).
const ALGORITHMS: [&str; 3] = ["sha256", "sha384", "sha512"];

/// Whether the first part of a name is a registry.
fn is_registry_like(part: &str) -> bool {
    part.contains(['.', ':']) || part == "localhost" || part.bytes().any(|b| b.is_ascii_uppercase())
}

/// Whether a text is a host with or without a port, as references have it.
pub fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let label = |l: &str| {
        !l.is_empty()
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let address = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let host_fits = match address {
        Some(address) => !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':'),
        None => host.split('.').all(label),
    };
    host_fits && port.is_none_or(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()))
}

/// Lower-case words joined by `.`, `_`, `__` or dashes.
fn is_component(part: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut separators = part.split(is_word).filter(|s| !s.is_empty());
    part.starts_with(is_word)
        && part.ends_with(is_word)
        && separators.all(|s| matches!(s, "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= 128 && tag.bytes().next().is_some_and(word) && tag.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'))
}

/// Whether a text is a digest of an algorithm that runtimes know (`go-digest`).
pub fn is_digest(digest: &str) -> bool {
    let Some((algorithm, hex)) = digest.split_once(':') else { return false };
    let known = match algorithm {
        "sha256" => Some(64),
        "sha384" => Some(96),
        "sha512" => Some(128),
        _ => None,
    };
    known == Some(hex.len()) && hex.bytes().all(is_lower_hex)
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name<'t>(
        registry: Option<&'t str>,
        path: &'t str,
        tag: Option<&'t str>,
        digest: Option<&'t str>,
    ) -> ImageName<'t> {
        ImageName { registry, path, tag, digest }
    }

    #[test]
    fn references_are_taken_apart_as_runtimes_do() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let (by_digest, both) = (format!("[::1]:5000/a@{digest}"), format!("reg.example/a/b:1@{digest}"));
        let id_with_tag = format!("{}:1", "a".repeat(64));
        let table = [
            ("nginx", name(None, "nginx", None, None)),
            ("test.com:5000", name(None, "test.com", Some("5000"), None)),
            ("foo_bar.com:8080", name(None, "foo_bar.com", Some("8080"), None)),
            ("library/nginx:1.25", name(None, "library/nginx", Some("1.25"), None)),
            ("reg.example:5000/a/b", name(Some("reg.example:5000"), "a/b", None, None)),
            ("localhost/a__b/c-d.e", name(Some("localhost"), "a__b/c-d.e", None, None)),
            ("Upper/case", name(Some("Upper"), "case", None, None)),
            (&by_digest, name(Some("[::1]:5000"), "a", None, Some(digest.as_str()))),
            (&both, name(Some("reg.example"), "a/b", Some("1"), Some(digest.as_str()))),
            (&id_with_tag, name(None, &id_with_tag[..64], Some("1"), None)),
        ];
        for (text, want) in table {
            assert_eq!(ImageName::parse(text), Some(want), "{text}");
        }
    }

    #[test]
    fn what_a_runtime_refuses_is_no_reference() {
        let id = "a".repeat(64);
        let long = format!("reg.example/{}", "a".repeat(256));
        let upper = format!("a@sha256:{}", "A".repeat(64));
        let bad = [
            "",
            " ",
            "nginX",
            "a b",
            "nginx:",
            "nginx@",
            "nginx@sha256:12",
            "a//b",
            "/a",
            "a/",
            "a:b:c",
            "-reg.io/a",
            "reg.io:/a",
            "[::1/a",
            "[]:1/a",
            "a___b",
            "a..b",
            "reg.io./a",
            "http://reg.io/a",
            "ü",
            "sha256:12ab",
            "sha512:1",
            "sha256:12ab@sha256:12ab",
            &id,
            &long,
            &upper,
        ];
        for text in bad {
            assert_eq!(ImageName::parse(text), None, "{text}");
        }
    }
}
