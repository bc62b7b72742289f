//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use stockade_process::logging::LogFormat;

use crate::gate::arguments::Arguments as GateArguments;
use crate::kernel::Established;

/// The node agent: keeps the kernel of one node equal to what network policies say.
#[derive(Debug, Parser)]
#[command(name = "stockade-agent", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// One verb per job.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Enforce network policies on this node until asked to stop. What is enforced stays in the kernel.
    Run(Box<RunArguments>),
    /// Take everything of Stockade off this node: programs, tables, its place among network plugins, last known inputs.
    Remove(RemoveArguments),
}

/// `stockade-agent run`
#[derive(Debug, Args)]
pub struct RunArguments {
    /// Name of this node, as the API server has it.
    #[arg(long, value_name = "NAME", env = "NODE_NAME")]
    pub node_name: String,
    /// How to reach the API server; default: the Pod's service account, $KUBECONFIG or ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// What it keeps on the node.
    #[command(flatten)]
    pub node: NodeArguments,
    /// What becomes of open connections when the policy of their Pod changes.
    #[arg(long, value_enum, default_value_t = OpenConnections::Recheck)]
    pub established: OpenConnections,
    /// What a Pod gets that starts while the API server is away, and has been since the agent started.
    #[arg(long, value_enum, default_value_t = Unknown::LastKnown)]
    pub unknown: Unknown,
    /// Address of the plain HTTP listener (/livez, /readyz, /metrics).
    #[arg(long, value_name = "ADDR", default_value = "[::]:9964")]
    pub listen_health: SocketAddr,
    /// What it shows of flows.
    #[command(flatten)]
    pub flows: FlowArguments,
    /// Log format.
    #[arg(long, value_enum, default_value_t = LogFormat::Auto)]
    pub log: LogFormat,
}

/// How flows are shown.
#[derive(Debug, Args)]
pub struct FlowArguments {
    /// Write flows to a file, a line of JSON each; - for standard output.
    #[arg(long, value_name = "FILE")]
    pub flows: Option<PathBuf>,
    /// Address of the listener that streams flows over TLS (/flows) to whoever has a certificate.
    #[arg(long, value_name = "ADDR", requires = "flows_tls")]
    pub listen_flows: Option<SocketAddr>,
    /// Folder with its tls.crt and tls.key, and with ca.crt, which signs the certificates of clients.
    #[arg(long, value_name = "DIR", requires = "listen_flows")]
    pub flows_tls: Option<PathBuf>,
}

/// `stockade-agent remove`
#[derive(Debug, Args)]
pub struct RemoveArguments {
    /// What was kept on the node.
    #[command(flatten)]
    pub node: NodeArguments,
    /// Log format.
    #[arg(long, value_enum, default_value_t = LogFormat::Auto)]
    pub log: LogFormat,
}

/// What is kept on the node.
#[derive(Debug, Args)]
pub struct NodeArguments {
    /// Folder of a BPF file system, for programs and tables that outlive the agent.
    #[arg(long, value_name = "DIR", default_value = "/sys/fs/bpf/stockade")]
    pub pins: PathBuf,
    /// Folder for the last known inputs.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/stockade")]
    pub state: PathBuf,
    /// The start gate.
    #[command(flatten)]
    pub gate: GateArguments,
}

/// What becomes of open connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OpenConnections {
    /// They are judged again.
    Recheck,
    /// They stay open.
    Keep,
}

/// What a Pod gets while the API server is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Unknown {
    /// What was last known of it and of its namespace's policies. A Pod that was not known at all is closed.
    LastKnown,
    /// Nothing passes to or from it.
    Deny,
}

impl From<OpenConnections> for Established {
    fn from(choice: OpenConnections) -> Self {
        match choice {
            OpenConnections::Recheck => Self::Recheck,
            OpenConnections::Keep => Self::Keep,
        }
    }
}
