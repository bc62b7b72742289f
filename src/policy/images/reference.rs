//! Image references in their one full form, in which globs and caches compare them.
//!
//! The grammar is [`stockade_schema::image_name`]. Crate `oci-spec` has a parser too, which reads some references as
//! another image than runtimes pull: `Upper/app` as one of Docker Hub, and no IPv6 hosts; what is judged must be what runs.

use std::fmt;
use std::net::Ipv6Addr;
use std::sync::Arc;

use stockade_schema::image_name::ImageName;

use super::Digest;

/// Longest reference in full form: registry, repository (255), tag (128) and digest (135), each within its own bound.
pub const MAX_REFERENCE_BYTES: usize = crate::glob::MAX_TEXT_BYTES;

/// What names without a registry are pulled from.
const DOCKER_HUB: &str = "docker.io";
/// Other names under which Docker Hub serves the same images. Runtimes know the first; a glob for `docker.io` that the
/// others pass by would be none.
const DOCKER_HUB_ALIASES: [&str; 3] = ["index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"];
/// Where Docker Hub keeps images without a namespace.
const OFFICIAL: &str = "library/";
/// The tag of a reference that has neither tag nor digest.
const DEFAULT_TAG: &str = "latest";

/// A reference in full form: `registry/repository[:tag][@digest]`, at least one of tag and digest. Cheap to clone; equal
/// ones name the same image.
///
/// | written | full form |
/// |---|---|
/// | `nginx` | `docker.io/library/nginx:latest` |
/// | `index.docker.io/team/app:1` | `docker.io/team/app:1` |
/// | `Registry.Example.com:443/app:1` | `registry.example.com/app:1` |
/// | `[0:0::1]:5000/app@sha256:…` | `[::1]:5000/app@sha256:…` |
///
/// Hosts are compared as DNS does, in lower case, and the port of HTTPS is left out: both reach the same registry.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageReference {
    text: Arc<str>,
    /// Where the registry ends, and the repository.
    ends: (u16, u16),
    /// Where the tag ends; the end of the repository when there is none.
    tag_end: u16,
}

/// A text is no image reference: a runtime would not pull it either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no image reference")]
pub struct InvalidReference;

// === impl ImageReference ===

impl ImageReference {
    /// Reads a reference as a Pod has it, and fills in what a runtime would.
    ///
    /// # Errors
    /// It is none, or longer than [`MAX_REFERENCE_BYTES`].
    pub fn parse(written: &str) -> Result<Self, InvalidReference> {
        // Nothing that is much longer can be read; full forms are little longer than what is written.
        if written.len() > MAX_REFERENCE_BYTES {
            return Err(InvalidReference);
        }
        let name = ImageName::parse(written).ok_or(InvalidReference)?;
        let registry = registry(name.registry).ok_or(InvalidReference)?;
        let official = registry == DOCKER_HUB && !name.path.contains('/');
        let repository = if official { format!("{OFFICIAL}{}", name.path) } else { name.path.to_owned() };
        let tag = name.tag.or(name.digest.is_none().then_some(DEFAULT_TAG));
        Self::new(&registry, &repository, tag, name.digest)
    }

    /// Parts that are sound each.
    fn new(
        registry: &str,
        repository: &str,
        tag: Option<&str>,
        digest: Option<&str>,
    ) -> Result<Self, InvalidReference> {
        let mut text = format!("{registry}/{repository}");
        let name_end = text.len();
        tag.iter().for_each(|tag| text.extend([":", tag]));
        let tag_end = text.len();
        digest.iter().for_each(|digest| text.extend(["@", digest]));
        if text.len() > MAX_REFERENCE_BYTES {
            return Err(InvalidReference);
        }
        let at = |end: usize| u16::try_from(end).map_err(|_| InvalidReference);
        Ok(Self { ends: (at(registry.len())?, at(name_end)?), tag_end: at(tag_end)?, text: text.into() })
    }

    /// `registry.example.com:5000`, in lower case.
    pub fn registry(&self) -> &str {
        &self.text[..usize::from(self.ends.0)]
    }

    /// `team/app`
    pub fn repository(&self) -> &str {
        &self.text[usize::from(self.ends.0) + 1..usize::from(self.ends.1)]
    }

    /// `registry.example.com:5000/team/app`
    pub fn name(&self) -> &str {
        &self.text[..usize::from(self.ends.1)]
    }

    /// The tag. Beside a digest it says nothing: runtimes pull by the digest.
    pub fn tag(&self) -> Option<&str> {
        self.text[usize::from(self.ends.1)..usize::from(self.tag_end)].strip_prefix(':')
    }

    /// `sha256:…`
    pub fn digest(&self) -> Option<&str> {
        self.text[usize::from(self.tag_end)..].strip_prefix('@')
    }

    /// The whole.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same image by this digest; a tag stays.
    ///
    /// # Errors
    /// It becomes too long.
    pub fn with_digest(&self, digest: &Digest) -> Result<Self, InvalidReference> {
        Self::new(self.registry(), self.repository(), self.tag(), Some(digest.as_str()))
    }

    /// The part before the digest: name and tag.
    pub(super) fn without_digest(&self) -> &str {
        &self.text[..usize::from(self.tag_end)]
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The one name of a registry; none when an address in brackets is none.
fn registry(written: Option<&str>) -> Option<String> {
    let Some(written) = written else { return Some(DOCKER_HUB.to_owned()) };
    let lower = written.to_ascii_lowercase();
    let (host, port) = match lower.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (lower.as_str(), None),
    };
    let host = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(address) => format!("[{}]", address.parse::<Ipv6Addr>().ok()?),
        None if DOCKER_HUB_ALIASES.contains(&host) => DOCKER_HUB.to_owned(),
        None => host.to_owned(),
    };
    match port.map(str::parse::<u16>) {
        None | Some(Ok(443)) => Some(host),
        Some(Ok(port)) => Some(format!("{host}:{port}")),
        Some(Err(_)) => None,
    }
}

/// The one name of a registry that settings are for.
///
/// # Errors
/// It is no host, with or without a port.
pub fn registry_name(written: &str) -> Result<String, InvalidReference> {
    let sound = stockade_schema::image_name::is_registry(written) && written.len() <= 255;
    sound.then(|| registry(Some(written))).flatten().ok_or(InvalidReference)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_the_same_image_has_one_full_form() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let table = [
            ("nginx", "docker.io/library/nginx:latest"),
            ("library/nginx", "docker.io/library/nginx:latest"),
            ("docker.io/nginx:1", "docker.io/library/nginx:1"),
            ("index.docker.io/team/app:1", "docker.io/team/app:1"),
            ("registry-1.docker.io/library/nginx:1", "docker.io/library/nginx:1"),
            ("Docker.IO:443/nginx:1", "docker.io/library/nginx:1"),
            ("localhost/nginx:1", "localhost/nginx:1"),
            ("localhost:5000/a/b", "localhost:5000/a/b:latest"),
            ("Registry.Example.com:443/app:1", "registry.example.com/app:1"),
            ("registry.example.com:0443/app:1", "registry.example.com/app:1"),
            ("registry.example.com:80/app:1", "registry.example.com:80/app:1"),
            ("[0:0::1]:5000/app:1", "[::1]:5000/app:1"),
            ("[2001:DB8::A]/app:1", "[2001:db8::a]/app:1"),
            ("10.0.0.7/app:V1", "10.0.0.7/app:V1"),
            ("test.com:5000", "docker.io/library/test.com:5000"),
            (&format!("nginx@{digest}"), &format!("docker.io/library/nginx@{digest}")),
            (&format!("nginx:1.27@{digest}"), &format!("docker.io/library/nginx:1.27@{digest}")),
        ];
        for (written, full) in table {
            let reference = ImageReference::parse(written).unwrap();
            assert_eq!(reference.as_str(), full, "{written}");
            assert_eq!(ImageReference::parse(full).as_ref(), Ok(&reference), "{full}");
        }
    }

    #[test]
    fn the_parts_come_back() {
        let digest = Digest::parse(&format!("sha256:{}", "a".repeat(64))).unwrap();
        let tagged = ImageReference::parse("[::1]:5000/team/app:1.2").unwrap();
        let parts = |r: &ImageReference| {
            let owned = |text: Option<&str>| text.map(str::to_owned);
            (r.registry().to_owned(), r.repository().to_owned(), owned(r.tag()), owned(r.digest()))
        };
        let own = |tag: Option<&str>, digest: Option<&str>| {
            let owned = |text: Option<&str>| text.map(str::to_owned);
            ("[::1]:5000".to_owned(), "team/app".to_owned(), owned(tag), owned(digest))
        };
        assert_eq!(parts(&tagged), own(Some("1.2"), None));
        assert_eq!(tagged.name(), "[::1]:5000/team/app");
        let pinned = tagged.with_digest(&digest).unwrap();
        assert_eq!(parts(&pinned), own(Some("1.2"), Some(digest.as_str())));
        assert_eq!(pinned.without_digest(), "[::1]:5000/team/app:1.2");
        let untagged = ImageReference::parse(&format!("[::1]:5000/team/app@{digest}")).unwrap();
        assert_eq!(parts(&untagged), own(None, Some(digest.as_str())));
    }

    #[test]
    fn what_no_runtime_would_pull_is_no_reference() {
        let long = format!("{}example.com/a", "a.".repeat(MAX_REFERENCE_BYTES));
        for bad in ["", "nginX", "a b", "[::1::]/a", "[:::]:1/a", "reg.io:99999/a", "a@sha256:00", long.as_str()] {
            assert_eq!(ImageReference::parse(bad), Err(InvalidReference), "{bad}");
        }
    }
}
