//! A Docker configuration in a file: of the person at a command line, or mounted into a container.

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use stockade_engine::images::Credentials;

use super::docker_config::MAX_CONFIG_BYTES;
use super::helper::Helpers;
use super::{CredentialSource, DockerConfig, NoCredentials};

/// `config.json`, read each time that it is asked for: tools refresh tokens in it. It counts for every image, whatever
/// its namespace.
#[derive(Clone)]
pub struct DockerConfigFile {
    path: PathBuf,
    helpers: Arc<Helpers>,
}

// === impl DockerConfigFile ===

impl DockerConfigFile {
    /// This file. One that is not there holds nothing.
    pub fn new(path: PathBuf) -> Self {
        Self { path, helpers: Arc::new(Helpers::new()) }
    }

    fn read(&self) -> Result<Vec<Arc<DockerConfig>>, NoCredentials> {
        let of: Arc<str> = self.path.display().to_string().into();
        let unreadable = |why: String| NoCredentials::Unreadable { of: of.clone(), why: why.into() };
        let file = match std::fs::File::open(&self.path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(unreadable(e.to_string())),
        };
        let mut json = Vec::new();
        file.take(MAX_CONFIG_BYTES as u64 + 1).read_to_end(&mut json).map_err(|e| unreadable(e.to_string()))?;
        let config = DockerConfig::trusted(&json, Arc::clone(&self.helpers)).map_err(|e| unreadable(e.to_string()))?;
        Ok(vec![Arc::new(config)])
    }
}

impl CredentialSource for DockerConfigFile {
    fn is_brought(&self) -> bool {
        false
    }

    fn docker_configs<'a>(
        &'a self,
        _asked: &'a Credentials,
    ) -> BoxFuture<'a, Result<Vec<Arc<DockerConfig>>, NoCredentials>> {
        let file = self.clone();
        async move {
            let read = tokio::task::spawn_blocking(move || file.read()).await;
            read.unwrap_or_else(|e| Err(NoCredentials::Unreadable { of: "file".into(), why: e.to_string().into() }))
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stockade_engine::images::Cause;

    use crate::credentials::{Credential, Found, find};

    #[tokio::test]
    async fn a_file_is_read_each_time_and_one_that_is_missing_holds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        let sources: [Arc<dyn CredentialSource>; 1] = [Arc::new(DockerConfigFile::new(path.clone()))];
        let now = || async { find(&sources, &Credentials::default(), "a.example/x").await };
        let own = |credential| Ok(Found { brought: vec![], own: vec![credential], is_cut: false });
        assert_eq!(now().await, own(Credential::Nobody));
        std::fs::write(&path, r#"{"auths": {"a.example": {"auth": "bWU6MQ=="}}}"#).unwrap();
        let me = Credential::Password { username: "me".into(), password: "1".into() };
        assert_eq!(now().await, own(me));
        std::fs::write(&path, "{").unwrap();
        assert_eq!(now().await.map_err(|unseen| unseen.cause), Err(Cause::Outage));
    }
}
