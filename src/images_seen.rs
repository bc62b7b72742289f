//! Images that a decision wants, looked at: what the verbs of the command line do in place of a webhook's wait.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use prometheus_client::registry::Registry;
use stockade_engine::decision::Decision;
use stockade_engine::facts::ClusterFacts;
use stockade_engine::images::{Evidence, ImageFacts as _, Wanted, WithImages};
use stockade_images::Images;
use stockade_images::credentials::{CredentialSource, DockerConfigFile};
use stockade_images::gather::{MemberSource, NoCluster};
use tokio::runtime::Runtime;
use tokio::time::Instant;

/// Time for the images of one object. A webhook has less; somebody at a terminal waits for an answer.
const TIME: Duration = Duration::from_secs(30);
/// Most times that one object is decided: what is pinned is wanted by its digest, once.
const MAX_DECISIONS: usize = 4;

/// What a webhook knows of images.
pub(crate) fn remembered(
    docker_config: Option<PathBuf>,
    members: Arc<dyn MemberSource>,
    mut sources: Vec<Arc<dyn CredentialSource>>,
    registry: &mut Registry,
) -> Images {
    if let Some(path) = docker_config {
        sources.push(Arc::new(DockerConfigFile::new(path)));
    }
    Images::new(sources, members, registry)
}

/// Looks at registries for one command, as whoever runs it.
pub(crate) struct Looker {
    images: Images,
    runtime: Runtime,
}

impl Looker {
    /// With the Docker configuration of whoever runs the command.
    ///
    /// # Errors
    /// No thread could be started.
    pub(crate) fn new() -> Result<Self> {
        let folder = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
        let folder = folder.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker")));
        let config = folder.map(|folder| folder.join("config.json"));
        let images = remembered(config, Arc::new(NoCluster), Vec::new(), &mut Registry::default());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        Ok(Self { images, runtime: runtime.context("starting a thread")? })
    }

    /// Decides, and again with what was wanted looked at, until nothing is.
    ///
    /// # Errors
    /// The decision cannot be made, or never ends to want something.
    pub(crate) fn decide(
        &self,
        facts: &dyn ClusterFacts,
        decide: impl Fn(&dyn ClusterFacts) -> Result<Decision>,
    ) -> Result<(Decision, Vec<Arc<Evidence>>)> {
        let facts = WithImages { facts, images: &self.images };
        let mut seen = Vec::new();
        for _ in 0..MAX_DECISIONS {
            let decision = decide(&facts)?;
            if decision.wanted.is_empty() {
                return Ok((decision, seen));
            }
            seen.extend(self.look(&decision.wanted));
        }
        bail!("what was looked at did not hold as long as the decision took: try again");
    }

    fn look(&self, wanted: &[Wanted]) -> Vec<Arc<Evidence>> {
        self.runtime.block_on(self.images.gather(wanted.to_vec(), Instant::now() + TIME));
        wanted.iter().filter_map(|wanted| self.images.evidence(wanted)).collect()
    }
}
