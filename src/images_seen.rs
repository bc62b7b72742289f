//! Images that a decision wants, looked at: what the verbs of the command line do in place of a webhook's wait.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use prometheus_client::registry::Registry;
use stockade_cluster::access::Access;
use stockade_cluster::images::{OwnMembers, PullSecrets};
use stockade_engine::decision::Decision;
use stockade_engine::facts::ClusterFacts;
use stockade_engine::images::{Evidence, Wanted, WithImages};
use stockade_images::credentials::{CredentialSource, DockerConfigFile};
use stockade_images::gather::{MemberSource, NoCluster};
use stockade_images::{Images, InHand};
use tokio::runtime::Runtime;

/// Time for the images of one object. A webhook has less; somebody at a terminal waits for an answer.
const TIME: Duration = Duration::from_secs(30);

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

/// What is known of images with what a cluster has of keys, and of credentials where those of Pods may be read.
pub(crate) fn of_cluster(
    access: &Access,
    docker_config: Option<PathBuf>,
    pull_secrets: bool,
    registry: &mut Registry,
) -> Images {
    let sources = || Arc::new(PullSecrets::new(access.client.clone())) as Arc<dyn CredentialSource>;
    let members = Arc::new(OwnMembers::new(access.client.clone(), &access.namespace));
    remembered(docker_config, members, pull_secrets.then(sources).into_iter().collect(), registry)
}

/// The Docker configuration of whoever runs the command.
pub(crate) fn docker_config() -> Option<PathBuf> {
    let folder = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let folder = folder.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker")));
    folder.map(|folder| folder.join("config.json"))
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
        let images = remembered(docker_config(), Arc::new(NoCluster), Vec::new(), &mut Registry::default());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        Ok(Self { images, runtime: runtime.context("starting a thread")? })
    }

    /// Judges by what is found of images, however often that takes. Gives what was found too. Not for a thread that
    /// serves other tasks.
    pub(crate) fn settle<T>(
        &self,
        facts: &dyn ClusterFacts,
        mut judge: impl FnMut(&dyn ClusterFacts) -> (T, Vec<Wanted>),
    ) -> (T, Vec<Arc<Evidence>>) {
        let judge = |in_hand: &InHand| judge(&WithImages { facts, images: in_hand });
        let (judged, in_hand) = self.runtime.block_on(InHand::settled(&self.images, TIME, judge));
        (judged, in_hand.into_found())
    }

    /// Decides by what is found of images. Gives what was found too.
    ///
    /// # Errors
    /// The decision cannot be made.
    pub(crate) fn decide(
        &self,
        facts: &dyn ClusterFacts,
        decide: impl Fn(&dyn ClusterFacts) -> Result<Decision>,
    ) -> Result<(Decision, Vec<Arc<Evidence>>)> {
        let (decision, seen) = self.settle(facts, |facts| {
            let mut decision = decide(facts);
            let wanted = decision.as_mut().map(|d| std::mem::take(&mut d.wanted)).unwrap_or_default();
            (decision, wanted)
        });
        Ok((decision?, seen))
    }
}
