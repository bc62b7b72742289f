//! How a process reaches the API server.

use std::path::Path;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::WATCH_SECONDS;

/// Longest wait for a connection. An API server that restarts refuses at once; one that is gone does not answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest silence on a connection: beyond the time after which a watch is asked anew.
const READ_TIMEOUT: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 10);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The kubeconfig cannot be used.
    #[error("kubeconfig: {0}")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// Neither a Pod's service account nor a kubeconfig was found.
    #[error("neither a service account nor a kubeconfig is here: {0}")]
    NoConfig(#[from] kube::config::InferConfigError),
    /// The client cannot be made.
    #[error("client of the API server: {0}")]
    Client(#[from] kube::Error),
}

/// A client by a kubeconfig file; with none, by the Pod's service account, or `$KUBECONFIG` and `~/.kube/config` outside
/// of a Pod. Nothing is asked of the API server yet.
///
/// # Errors
/// No usable configuration.
pub async fn client(kubeconfig: Option<&Path>) -> Result<Client, AccessError> {
    let mut config = match kubeconfig {
        Some(file) => {
            let kubeconfig = Kubeconfig::read_from(file)?;
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?
        }
        None => Config::infer().await?,
    };
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    Ok(Client::try_from(config)?)
}
