//! Platforms of an image and their configurations (OCI image spec, `config.md`).

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;
use stockade_engine::images::{Answer, MAX_PLATFORMS, Platform};

use super::Inner;
use super::judge::{PLATFORMS_AT_ONCE, answer_of, platforms};
use super::resolve::Image;
use crate::registry::error::Place;
use crate::registry::manifest::{ImageManifest, Manifest};
use crate::registry::spelling::Spelling;
use crate::registry::{RegistryError, Repository};

/// Largest configuration. Those of images with a long history have some tens of kilobytes.
const MAX_CONFIG_BYTES: usize = 1 << 20;

/// What is read of a configuration.
const SPELLING: Spelling = Spelling {
    fields: &["os", "architecture", "variant", "created", "config", "User", "Labels", "Entrypoint", "Cmd"],
    free: &["Labels"],
};

#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
    created: Option<String>,
    config: Option<WireConfig>,
}

/// As Docker writes it: what is not there may be null.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct WireConfig {
    user: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
}

// === impl Inner ===

impl Inner {
    /// All platforms of an image; one for an image that is not an index.
    pub(super) async fn details(
        &self,
        image: &Image,
        manifest: &Result<Manifest, RegistryError>,
    ) -> Answer<Vec<Platform>> {
        let place = &image.places[0];
        let read = match manifest {
            Ok(Manifest::Image(manifest)) => self.platform(place, manifest).await.map(|platform| vec![platform]),
            Ok(Manifest::Index(index)) => {
                let wanted: Vec<_> = platforms(index).collect();
                if wanted.is_empty() || wanted.len() > MAX_PLATFORMS {
                    return Answer::Invalid(format!(
                        "its index has {} platforms, not 1 to {MAX_PLATFORMS}",
                        wanted.len()
                    ));
                }
                let all = wanted.into_iter().map(|descriptor| async move {
                    let content = self.manifest(place, &descriptor.digest).await?;
                    match self.parsed(place, &descriptor.digest, content).await? {
                        Manifest::Image(manifest) => self.platform(place, &manifest).await,
                        // Nobody runs an index in an index, and nobody knows how deep it goes.
                        Manifest::Index(_) => Err(malformed(place, "it is an index in an index")),
                    }
                });
                stream::iter(all.collect::<Vec<_>>()).buffered(PLATFORMS_AT_ONCE).try_collect().await
            }
            Err(why) => return answer_of(why),
        };
        match read {
            Ok(platforms) => Answer::Verified(platforms),
            Err(why) => answer_of(&why),
        }
    }

    async fn platform(&self, place: &Repository, manifest: &ImageManifest) -> Result<Platform, RegistryError> {
        let content = self.blob(place, &manifest.config, MAX_CONFIG_BYTES).await?;
        let wire: Wire = serde_json::from_slice(&content).map_err(|e| malformed(place, &e.to_string()))?;
        if let Some(name) = SPELLING.other_in(&content) {
            return Err(malformed(place, &format!("{name:?} is another spelling of a field")));
        }
        let config = wire.config.unwrap_or_default();
        Ok(Platform {
            os: wire.os,
            architecture: wire.architecture,
            variant: wire.variant.unwrap_or_default(),
            user: config.user.unwrap_or_default(),
            labels: config.labels.unwrap_or_default().into_iter().collect(),
            created: wire.created.unwrap_or_default(),
            entrypoint: config.entrypoint.unwrap_or_default(),
            command: config.cmd.unwrap_or_default(),
        })
    }
}

fn malformed(place: &Repository, why: &str) -> RegistryError {
    RegistryError::malformed(&Place::of_host(&place.id()), "configuration of an image", &why)
}
