//! How this process reaches the API server, and who it is there.

use std::path::PathBuf;

use kube::Client;
use stockade_watch::client::AccessError;

/// Who writes, as `managedFields` tell.
pub const FIELD_MANAGER: &str = "stockade";
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

// === impl Access ===

impl Access {
    /// Reads the configuration. Nothing is asked of the API server yet.
    ///
    /// # Errors
    /// No usable configuration.
    pub async fn new(options: &Options) -> Result<Self, AccessError> {
        let client = stockade_watch::client::client(options.kubeconfig.as_deref()).await?;
        let of_pod = || std::fs::read_to_string(NAMESPACE_FILE).ok().map(|n| n.trim().to_owned());
        let namespace = options.namespace.clone().or_else(of_pod).unwrap_or_else(|| "stockade-system".to_owned());
        let of_host = || std::fs::read_to_string("/proc/sys/kernel/hostname").map(|n| n.trim().to_owned());
        let identity = match &options.identity {
            Some(identity) => identity.clone(),
            None => of_host().unwrap_or_else(|_| "stockade".to_owned()),
        };
        Ok(Self { client, namespace, identity })
    }
}
