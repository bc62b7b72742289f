//! Arguments of `stockade certs`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `stockade certs`
#[derive(Debug, Args)]
pub(crate) struct CertsArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) action: CertsAction,
}

/// Actions on certificates.
#[derive(Debug, Subcommand)]
pub(crate) enum CertsAction {
    /// Mint a CA and a serving certificate when the folder has none.
    Mint(CertsDir),
    /// Show what the folder holds.
    Inspect(CertsDir),
    /// Mint a new serving certificate, signed by the folder's CA; a running webhook picks it up.
    Rotate(CertsDir),
    /// Ask the webhook in a cluster for a new CA; it takes the old one's place when all trust it.
    RotateCa(CertsCluster),
    /// Issue certificates for streams of flows: one for node agents, one for `stockade net flows`, by a CA of their own.
    Flows(CertsFlows),
}

/// Where certificates for flows are put.
#[derive(Debug, Args)]
pub(crate) struct CertsFlows {
    /// Folder with the CA, which is kept once it is there. Its folder `agent` is for the agents' Secret, `client` for
    /// `stockade net flows --certs`.
    #[arg(value_name = "DIR", default_value = "flows-tls")]
    pub(crate) dir: PathBuf,
}

/// Where the Secret is.
#[derive(Debug, Clone, Args)]
pub(crate) struct CertsCluster {
    /// How to reach the API server; default: the Pod's service account, $KUBECONFIG or ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Namespace of the webhook.
    #[arg(long, value_name = "NAMESPACE", default_value = "stockade-system")]
    pub(crate) namespace: String,
    /// Secret with the certificate.
    #[arg(long, value_name = "NAME", default_value = stockade_cluster::certificates::DEFAULT_SECRET)]
    pub(crate) certificate_secret: String,
}

/// Folder and names.
#[derive(Debug, Args)]
pub(crate) struct CertsDir {
    /// Folder with tls.crt, tls.key and ca.crt.
    #[arg(value_name = "DIR", default_value = "certs")]
    pub(crate) dir: PathBuf,
    /// Further DNS name or IP address the certificate is for; repeatable.
    #[arg(long = "san", value_name = "NAME")]
    pub(crate) names: Vec<String>,
}
