//! Manifests and indexes (OCI image spec 1.1, Docker image manifest v2.2), as far as images and their signatures need
//! them. Bounded in counts; their size is bounded where they are read.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use stockade_policy::images::Digest;

use super::spelling::Spelling;

/// Most manifests of one index: an image for every platform has some twenty, each with an attestation of its build.
pub const MAX_CHILDREN: usize = 256;
/// Most layers of one manifest: runtimes stop at 127, signatures of an image may be more.
pub const MAX_LAYERS: usize = 512;
/// Most characters of a wrong digest or field that are told.
const MAX_SHOWN: usize = 80;

/// What a registry may answer for a manifest, in the order in which it is liked.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
                                 application/vnd.docker.distribution.manifest.list.v2+json, \
                                 application/vnd.docker.distribution.manifest.v2+json";

/// What is read of a manifest. Layers of Docker's first schema are not, and must not be there either.
const SPELLING: Spelling = Spelling {
    fields: &[
        "mediaType",
        "artifactType",
        "config",
        "layers",
        "manifests",
        "subject",
        "annotations",
        "digest",
        "size",
        "platform",
        "os",
        "architecture",
        "variant",
        "fsLayers",
    ],
    free: &["annotations"],
};

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const IMAGE_TYPES: [&str; 2] = [OCI_MANIFEST, "application/vnd.docker.distribution.manifest.v2+json"];
const INDEX_TYPES: [&str; 2] = [OCI_INDEX, "application/vnd.docker.distribution.manifest.list.v2+json"];

/// A manifest, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manifest {
    /// One image, or one artifact.
    Image(Box<ImageManifest>),
    /// An image in several platforms, or a list of referrers.
    Index(Index),
}

/// One image or artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageManifest {
    /// As it says, or that of OCI, which may be left out.
    pub media_type: String,
    /// `artifactType`; where there is none, the media type of the configuration says what it is.
    pub artifact_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// Layers of an image, contents of an artifact.
    pub layers: Vec<Descriptor>,
    /// What it is about, if it is about another manifest.
    pub subject: Option<Digest>,
    /// Of the manifest.
    pub annotations: BTreeMap<String, String>,
}

/// A list of manifests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// As it says, or that of OCI, which may be left out.
    pub media_type: String,
    /// In the order of the registry.
    pub manifests: Vec<Descriptor>,
}

/// What names content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// Of the content.
    pub media_type: String,
    /// Of the content.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    /// Of the descriptor.
    pub annotations: BTreeMap<String, String>,
    /// In an index.
    pub platform: Option<PlatformName>,
}

/// What a manifest of an index is for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PlatformName {
    /// `linux`
    pub os: String,
    /// `amd64`
    pub architecture: String,
    /// `v8`; empty for none.
    #[serde(default)]
    pub variant: String,
}

/// Why bytes are no manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadManifest {
    /// Not JSON of the form.
    #[error("{0}")]
    Json(String),
    /// Manifest and index at once, or neither: readers would not agree on what it is (OCI image spec, CVE-2021-41190).
    #[error("it is not exactly one of manifest and index")]
    Ambiguous,
    /// It says that it is the other of the two, as which runtimes may take it.
    #[error("it says that it is of the type {0:?}, and is not")]
    Type(String),
    /// A field whose name differs in case from one that counts, which runtimes take for that one.
    #[error("{0:?} is another spelling of a field")]
    Spelling(String),
    /// A descriptor without a digest that is one.
    #[error("{0:?} is no digest")]
    Digest(String),
    /// More manifests or layers than are looked at.
    #[error("it has more than {0} entries")]
    TooMany(usize),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<WireDescriptor>,
    layers: Option<Vec<WireDescriptor>>,
    manifests: Option<Vec<WireDescriptor>>,
    subject: Option<WireDescriptor>,
    annotations: Option<BTreeMap<String, String>>,
    fs_layers: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireDescriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: u64,
    annotations: Option<BTreeMap<String, String>>,
    platform: Option<PlatformName>,
}

// === impl Manifest ===

impl Manifest {
    /// Reads a manifest or an index.
    ///
    /// # Errors
    /// It is neither, both, or beyond a bound.
    pub fn parse(content: &[u8]) -> Result<Self, BadManifest> {
        let wire: Wire = serde_json::from_slice(content).map_err(|error| BadManifest::of_json(&error))?;
        if let Some(name) = SPELLING.other_in(content) {
            return Err(BadManifest::Spelling(name.chars().take(MAX_SHOWN).collect()));
        }
        if wire.fs_layers.is_some() {
            return Err(BadManifest::Ambiguous);
        }
        let is_said_to_be = |types: [&str; 2]| wire.media_type.as_deref().filter(|said| types.contains(said));
        let other = if wire.manifests.is_some() { is_said_to_be(IMAGE_TYPES) } else { is_said_to_be(INDEX_TYPES) };
        if let Some(other) = other {
            return Err(BadManifest::Type(other.to_owned()));
        }
        match (wire.manifests, wire.config, wire.layers) {
            (Some(manifests), None, None) => Ok(Self::Index(Index {
                media_type: wire.media_type.unwrap_or_else(|| OCI_INDEX.to_owned()),
                manifests: descriptors(manifests, MAX_CHILDREN)?,
            })),
            (None, Some(config), layers) => Ok(Self::Image(Box::new(ImageManifest {
                media_type: wire.media_type.unwrap_or_else(|| OCI_MANIFEST.to_owned()),
                artifact_type: wire.artifact_type.filter(|t| !t.is_empty()),
                config: descriptor(config)?,
                layers: descriptors(layers.unwrap_or_default(), MAX_LAYERS)?,
                subject: wire.subject.map(|s| descriptor(s).map(|s| s.digest)).transpose()?,
                annotations: wire.annotations.unwrap_or_default(),
            }))),
            _ => Err(BadManifest::Ambiguous),
        }
    }

    /// Its media type.
    pub fn media_type(&self) -> &str {
        match self {
            Self::Image(image) => &image.media_type,
            Self::Index(index) => &index.media_type,
        }
    }
}

// === impl BadManifest ===

impl BadManifest {
    fn of_json(error: &serde_json::Error) -> Self {
        Self::Json(if error.is_data() { error.to_string() } else { "it is not JSON".to_owned() })
    }
}

// === impl ImageManifest ===

impl ImageManifest {
    /// What kind of artifact it is (OCI image spec, "Guidelines for Artifact Usage").
    pub fn kind(&self) -> &str {
        self.artifact_type.as_deref().unwrap_or(&self.config.media_type)
    }
}

// === impl Descriptor ===

impl Descriptor {
    /// An annotation's value.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.get(name).map(String::as_str)
    }
}

fn descriptors(wire: Vec<WireDescriptor>, limit: usize) -> Result<Vec<Descriptor>, BadManifest> {
    if wire.len() > limit {
        return Err(BadManifest::TooMany(limit));
    }
    wire.into_iter().map(descriptor).collect()
}

fn descriptor(wire: WireDescriptor) -> Result<Descriptor, BadManifest> {
    let digest =
        Digest::parse(&wire.digest).map_err(|_| BadManifest::Digest(wire.digest.chars().take(MAX_SHOWN).collect()))?;
    Ok(Descriptor {
        media_type: wire.media_type,
        digest,
        size: wire.size,
        annotations: wire.annotations.unwrap_or_default(),
        platform: wire.platform,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest() -> String {
        format!("sha256:{}", "a".repeat(64))
    }

    #[test]
    fn a_document_is_a_manifest_or_an_index_and_never_both() {
        let one = format!(r#"{{"mediaType":"m","digest":"{}","size":7,"annotations":{{"a":"b"}}}}"#, digest());
        let table = [
            (format!(r#"{{"manifests":[{one}]}}"#), "index"),
            (format!(r#"{{"config":{one},"layers":[{one}],"subject":{one}}}"#), "image"),
            (format!(r#"{{"config":{one}}}"#), "image"),
            (format!(r#"{{"manifests":[],"config":{one}}}"#), "Ambiguous"),
            (r#"{"manifests":[],"layers":[]}"#.into(), "Ambiguous"),
            (r#"{"schemaVersion":1,"fsLayers":[]}"#.into(), "Ambiguous"),
            (format!(r#"{{"manifests":[{one}],"fsLayers":[]}}"#), "Ambiguous"),
            (format!(r#"{{"mediaType":"{OCI_INDEX}","manifests":[{one}]}}"#), "index"),
            (format!(r#"{{"mediaType":"{OCI_MANIFEST}","manifests":[]}}"#), &*format!("Type({OCI_MANIFEST:?})")),
            (format!(r#"{{"mediaType":"{OCI_INDEX}","config":{one}}}"#), &*format!("Type({OCI_INDEX:?})")),
            // Runtimes would run what the second names.
            (format!(r#"{{"manifests":[{one}],"Manifests":[]}}"#), r#"Spelling("Manifests")"#),
            (format!(r#"{{"manifests":[{}]}}"#, one.replacen('{', r#"{"Digest":"","#, 1)), r#"Spelling("Digest")"#),
            (format!(r#"{{"config":{one},"annotations":{{"Digest":""}}}}"#), "image"),
        ];
        for (text, wanted) in table {
            let got = match Manifest::parse(text.as_bytes()) {
                Ok(Manifest::Image(_)) => "image".into(),
                Ok(Manifest::Index(_)) => "index".into(),
                Err(e) => format!("{e:?}"),
            };
            assert_eq!(got, wanted, "{text}");
        }
    }

    #[test]
    fn counts_are_bounded_and_fields_come_once() {
        let one = format!(r#"{{"digest":"{}","size":7}}"#, digest());
        let many = vec![one.as_str(); MAX_CHILDREN + 1].join(",");
        let all = Manifest::parse(format!(r#"{{"manifests":[{many}]}}"#).as_bytes());
        assert_eq!(all, Err(BadManifest::TooMany(MAX_CHILDREN)));
        let twice = format!(r#"{{"config":{one},"config":{one}}}"#);
        assert!(matches!(Manifest::parse(twice.as_bytes()), Err(BadManifest::Json(_))));
    }

    #[test]
    fn an_artifact_without_a_type_is_what_its_configuration_says() {
        let config =
            format!(r#"{{"mediaType":"application/vnd.cncf.notary.signature","digest":"{}","size":2}}"#, digest());
        let kind = |text: String| match Manifest::parse(text.as_bytes()).unwrap() {
            Manifest::Image(image) => image.kind().to_owned(),
            Manifest::Index(_) => unreachable!(),
        };
        assert_eq!(kind(format!(r#"{{"config":{config}}}"#)), "application/vnd.cncf.notary.signature");
        assert_eq!(
            kind(format!(r#"{{"artifactType":"","config":{config}}}"#)),
            "application/vnd.cncf.notary.signature"
        );
        assert_eq!(kind(format!(r#"{{"artifactType":"t","config":{config}}}"#)), "t");
    }
}
