//! How this process reaches the API server, and who it is there.

use std::path::PathBuf;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::watch::WATCH_SECONDS;

/// Who writes, as `managedFields` tell.
pub const FIELD_MANAGER: &str = "stockade";
/// Longest wait for a connection. An API server that restarts refuses at once; one that is gone does not answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest silence on a connection: beyond the time after which a watch is asked anew.
const READ_TIMEOUT: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 10);
/// Where a Pod's own namespace is written.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// A client of the API server, with the identity under which it writes.
#[derive(Clone)]
pub struct Access {
    /// The client; cheap to clone.
    pub client: Client,
    /// Stockade's own namespace: Leases, Secret.
    pub namespace: String,
    /// Unique among the replicas: the Pod's name.
    pub identity: String,
}

/// Where the API server is, and who asks.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A kubeconfig file; none means the Pod's service account, or `$KUBECONFIG` and `~/.kube/config` outside of a Pod.
    pub kubeconfig: Option<PathBuf>,
    /// Own namespace; none means the Pod's, or `stockade-system` outside of a Pod.
    pub namespace: Option<String>,
    /// Identity; none means the host name, which in a Pod is its name.
    pub identity: Option<String>,
}

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

// === impl Access ===

impl Access {
    /// Reads the configuration. Nothing is asked of the API server yet.
    ///
    /// # Errors
    /// No usable configuration.
    pub async fn new(options: &Options) -> Result<Self, AccessError> {
        let mut config = match &options.kubeconfig {
            Some(file) => {
                let kubeconfig = Kubeconfig::read_from(file)?;
                Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?
            }
            None => Config::infer().await?,
        };
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.read_timeout = Some(READ_TIMEOUT);
        let of_pod = || std::fs::read_to_string(NAMESPACE_FILE).ok().map(|n| n.trim().to_owned());
        let namespace = options.namespace.clone().or_else(of_pod).unwrap_or_else(|| "stockade-system".to_owned());
        let of_host = || std::fs::read_to_string("/proc/sys/kernel/hostname").map(|n| n.trim().to_owned());
        let identity = match &options.identity {
            Some(identity) => identity.clone(),
            None => of_host().unwrap_or_else(|_| "stockade".to_owned()),
        };
        Ok(Self { client: Client::try_from(config)?, namespace, identity })
    }
}
