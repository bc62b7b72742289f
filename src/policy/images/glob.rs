//! Globs over image references in full form.

use std::fmt;

use super::ImageReference;
use crate::glob;

/// A glob ([`crate::glob`]) that names a registry: `registry.example.com/shop/**`, `docker.io/library/nginx`.
///
/// It is compared with the name (`registry/repository`), so that one without a tag is about all of them, and with name
/// and tag, name and digest, and the whole.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ImageGlob(Box<str>);

/// Why a text is no glob for images. Each would silently match nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGlob {
    /// Neither empty nor longer than the bound.
    #[error("must have between 1 and {} bytes", glob::MAX_PATTERN_BYTES)]
    Length,
    /// Full forms have a registry.
    #[error("must begin with a registry: references are compared in full form, as `docker.io/library/nginx:1.27`")]
    NoRegistry,
    /// Hosts are compared in lower case.
    #[error("the registry must be in lower case, as full forms are")]
    UpperCase,
    /// Another name of the same registry.
    #[error("references are compared in full form, in which this registry is `{0}`")]
    OtherName(String),
    /// On Docker Hub an image without a namespace is in `library`.
    #[error("references are compared in full form: write `docker.io/library/{0}`")]
    Official(String),
}

// === impl ImageGlob ===

impl ImageGlob {
    /// Reads a glob.
    ///
    /// # Errors
    /// No reference in full form could ever match it.
    pub fn parse(text: &str) -> Result<Self, InvalidGlob> {
        if text.is_empty() || text.len() > glob::MAX_PATTERN_BYTES {
            return Err(InvalidGlob::Length);
        }
        let Some((registry, path)) = text.split_once('/') else {
            return if text.contains("**") { Ok(Self(text.into())) } else { Err(InvalidGlob::NoRegistry) };
        };
        if registry.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(InvalidGlob::UpperCase);
        }
        if !registry.contains('*') {
            if !registry.contains(['.', ':']) && registry != "localhost" {
                return Err(InvalidGlob::NoRegistry);
            }
            let name = super::reference::registry_name(registry).map_err(|_| InvalidGlob::NoRegistry)?;
            if name != registry {
                return Err(InvalidGlob::OtherName(name));
            }
            let in_library = !path.contains('/') && !path.contains("**");
            if registry == "docker.io" && in_library {
                return Err(InvalidGlob::Official(path.to_owned()));
            }
        }
        Ok(Self(text.into()))
    }

    /// Whether it is about an image: rather too many than one too few.
    pub fn selects(&self, image: &ImageReference) -> bool {
        self.is(image.name()) || self.is(image.without_digest()) || self.by_digest(image) || self.is(image.as_str())
    }

    /// Whether it surely exempts an image. Beside a digest a tag says nothing of what is pulled, so that a glob with a
    /// tag exempts no image that also has a digest.
    pub fn exempts(&self, image: &ImageReference) -> bool {
        match image.digest() {
            None => self.selects(image),
            Some(_) => self.is(image.name()) || self.by_digest(image),
        }
    }

    /// Whether it names this registry, and not only fits it.
    pub fn names_registry(&self, registry: &str) -> bool {
        self.0.split_once('/').is_some_and(|(host, _)| host == registry)
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn is(&self, text: &str) -> bool {
        glob::matches(&self.0, text)
    }

    fn by_digest(&self, image: &ImageReference) -> bool {
        let Some(digest) = image.digest().filter(|_| self.0.contains('@')) else { return false };
        self.is(&format!("{}@{digest}", image.name()))
    }
}

impl fmt::Debug for ImageGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(written: &str) -> ImageReference {
        ImageReference::parse(written).unwrap()
    }

    fn glob(text: &str) -> ImageGlob {
        ImageGlob::parse(text).unwrap()
    }

    #[test]
    fn a_glob_is_about_images_however_they_are_written() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let table = [
            ("docker.io/library/nginx", "nginx", true),
            ("docker.io/library/nginx", "index.docker.io/nginx:1.27", true),
            ("docker.io/library/*", "nginx:1.27", true),
            ("docker.io/library/nginx:1.*", "nginx:1.27", true),
            ("docker.io/library/nginx:1.*", "nginx:2.0", false),
            ("registry.example.com/**", "REGISTRY.example.com:443/shop/web", true),
            ("registry.example.com/shop/*", "registry.example.com/shop/a/b", false),
            ("*.example.com/**", "registry.example.com/shop/web", true),
            ("**", "localhost:5000/a", true),
            ("registry.example.com/**", "registry.example.com.evil.net/a", false),
            ("registry.example.com/web:1", &format!("registry.example.com/web:1@{digest}"), true),
            ("registry.example.com/web@sha256:*", &format!("registry.example.com/web:1@{digest}"), true),
        ];
        for (text, written, want) in table {
            assert_eq!(glob(text).selects(&image(written)), want, "{text} {written}");
        }
    }

    #[test]
    fn a_tag_exempts_nothing_that_is_pulled_by_digest() {
        let by_digest = image(&format!("registry.example.com/web:1@sha256:{}", "a".repeat(64)));
        let digest = format!("registry.example.com/web@sha256:{}", "a".repeat(64));
        let table = [
            ("registry.example.com/web:1", false),
            ("registry.example.com/web:1*", false),
            ("registry.example.com/web", true),
            ("registry.example.com/**", true),
            (digest.as_str(), true),
        ];
        assert_eq!(table.map(|(text, _)| (text, glob(text).exempts(&by_digest))), table);
        assert!(glob("registry.example.com/web:1").exempts(&image("registry.example.com/web:1")));
    }

    #[test]
    fn what_could_match_nothing_is_refused() {
        let table = [
            ("", InvalidGlob::Length),
            ("*", InvalidGlob::NoRegistry),
            ("nginx", InvalidGlob::NoRegistry),
            ("team/*", InvalidGlob::NoRegistry),
            ("Registry.example.com/**", InvalidGlob::UpperCase),
            ("registry.example.com:443/**", InvalidGlob::OtherName("registry.example.com".to_owned())),
            ("index.docker.io/**", InvalidGlob::OtherName("docker.io".to_owned())),
            ("docker.io/nginx", InvalidGlob::Official("nginx".to_owned())),
        ];
        assert_eq!(table.clone().map(|(text, _)| (text, ImageGlob::parse(text).unwrap_err())), table);
    }
}
