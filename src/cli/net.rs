//! Arguments of `stockade net`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use stockade_netpol::flows::Outcome;

use super::Format;

/// What node agents are called in certificates, unless somebody says otherwise.
pub(crate) const AGENT_NAME: &str = "stockade-agent";

/// `stockade net`
#[derive(Debug, Args)]
pub(crate) struct NetArgs {
    /// What to ask.
    #[command(subcommand)]
    pub(crate) verb: NetVerb,
}

/// Questions about network policies.
#[derive(Debug, Subcommand)]
pub(crate) enum NetVerb {
    /// Who may reach whom. Exit code 0; with --against 1 when something changes.
    Connectivity(ConnectivityArgs),
    /// Which rule decides one connection, and what to write so that it is otherwise. Exit code 1 when it is denied.
    Explain(ExplainArgs),
    /// What policies probably do not mean. Exit code 1 with warnings; notes alone are clean.
    Lint(LintArgs),
    /// Who talks to whom now, streamed from the node agents of a cluster.
    Flows(FlowsArgs),
    /// Policies that recorded flows call for, beyond those among the manifests: YAML to be reviewed.
    Recommend(RecommendArgs),
    /// What policies would make of recorded flows. Exit code 1 when one that passed would be cut.
    Replay(ReplayArgs),
    /// On how many nodes of a cluster each policy is really in force, as their kernels say. Exit code 1 when a node is not
    /// ready, or a policy not in force where it selects Pods.
    Status(NetStatusArgs),
}

/// `stockade net status`
#[derive(Debug, Args)]
pub(crate) struct NetStatusArgs {
    /// How to reach the API server; default: the Pod's service account, $KUBECONFIG or ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Output format.
    #[arg(long, short, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

/// Manifests that are judged.
#[derive(Debug, Args)]
pub(crate) struct NetSource {
    /// Manifests: NetworkPolicies, ClusterNetworkPolicies, and what they are about: Pods or workloads, Namespaces, Nodes.
    /// Files, folders, or - for standard input.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Namespace of objects that name none.
    #[arg(long, short, default_value = "default")]
    pub(crate) namespace: String,
}

/// `stockade net connectivity`
#[derive(Debug, Args)]
pub(crate) struct ConnectivityArgs {
    /// What to judge.
    #[command(flatten)]
    pub(crate) source: NetSource,
    /// Manifests as they were before; what has changed since is told instead. Repeatable.
    #[arg(long, value_name = "PATH")]
    pub(crate) against: Vec<PathBuf>,
    /// Output format.
    #[arg(long, short, value_enum, default_value_t = Picture::Table)]
    pub(crate) output: Picture,
}

/// `stockade net explain`
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// What to judge.
    #[command(flatten)]
    pub(crate) source: NetSource,
    /// Who begins the connection: a Pod or workload ([NAMESPACE/]NAME), or an address.
    #[arg(long, value_name = "WHO")]
    pub(crate) from: String,
    /// With whom: a Pod or workload, an address, or a domain name (with a dot).
    #[arg(long, value_name = "WHOM")]
    pub(crate) to: String,
    /// Port, with its protocol unless that is TCP: 443, 53/udp, 9999/sctp.
    #[arg(long, value_name = "PORT[/PROTOCOL]")]
    pub(crate) port: String,
    /// Output format.
    #[arg(long, short, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

/// `stockade net lint`
#[derive(Debug, Args)]
pub(crate) struct LintArgs {
    /// What to judge.
    #[command(flatten)]
    pub(crate) source: NetSource,
    /// Output format.
    #[arg(long, short, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

/// `stockade net flows`
#[derive(Debug, Args)]
pub(crate) struct FlowsArgs {
    /// Folder with tls.crt and tls.key, which the agents trust, and with ca.crt, which signs theirs: `stockade certs flows`
    /// makes one.
    #[arg(long, value_name = "DIR", default_value = "flows-tls/client")]
    pub(crate) certs: PathBuf,
    /// Address of an agent, IP:PORT; repeatable. Default: all agents, by their Pods.
    #[arg(long, value_name = "ADDR")]
    pub(crate) address: Vec<SocketAddr>,
    /// How to reach the API server that knows the Pods; default: $KUBECONFIG or ~/.kube/config.
    #[arg(long, value_name = "FILE", conflicts_with = "address")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Namespace of the agents.
    #[arg(long, value_name = "NAMESPACE", default_value = "stockade-system")]
    pub(crate) agents_namespace: String,
    /// Port at which agents stream flows.
    #[arg(long, value_name = "PORT", default_value_t = 9465)]
    pub(crate) port: u16,
    /// Name in the agents' certificates.
    #[arg(long, value_name = "NAME", default_value = AGENT_NAME)]
    pub(crate) server_name: String,
    /// Only flows from or to Pods of this namespace.
    #[arg(long, short)]
    pub(crate) namespace: Option<String>,
    /// Only flows of this Pod.
    #[arg(long, value_name = "NAME")]
    pub(crate) pod: Option<String>,
    /// Only what became of it.
    #[arg(long, value_enum)]
    pub(crate) verdict: Option<Verdict>,
    /// Begin with what was seen in the last seconds, as far as agents remember.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) since: Option<u32>,
    /// Output format.
    #[arg(long, short, value_enum, default_value_t = Listing::Table)]
    pub(crate) output: Listing,
}

/// What became of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Verdict {
    /// It passed.
    Allowed,
    /// Policies do not allow it.
    Denied,
    /// It passed; policies that are audited would deny it.
    WouldDeny,
    /// Sent with an address that is not the Pod's.
    Spoofed,
    /// It could not be judged.
    Malformed,
}

/// Output formats of flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Listing {
    /// A line for people each.
    Table,
    /// A line of JSON each, as recommend and replay read them.
    Json,
}

impl From<Verdict> for Outcome {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Allowed => Self::Allowed,
            Verdict::Denied => Self::Denied,
            Verdict::WouldDeny => Self::WouldDeny,
            Verdict::Spoofed => Self::Spoofed,
            Verdict::Malformed => Self::Malformed,
        }
    }
}

/// `stockade net recommend`
#[derive(Debug, Args)]
pub(crate) struct RecommendArgs {
    /// Manifests: workloads whose names and ports are used, and policies whose rules are not repeated. Files, folders, or
    /// - for standard input.
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Recorded flows, a line of JSON each, as node agents write them; - for standard input. Repeatable.
    #[arg(long, required = true, value_name = "FILE")]
    pub(crate) flows: Vec<PathBuf>,
    /// Propose policies for this namespace only; repeatable. Default: all but kube-system and its like.
    #[arg(long, value_name = "NAMESPACE")]
    pub(crate) only: Vec<String>,
    /// Allow what was denied too, and what audited policies would deny.
    #[arg(long)]
    pub(crate) denied: bool,
    /// Namespace of manifests that name none.
    #[arg(long, short, default_value = "default")]
    pub(crate) namespace: String,
    /// Output format.
    #[arg(long, short, value_enum, default_value_t = Proposal::Yaml)]
    pub(crate) output: Proposal,
}

/// Output formats of recommend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Proposal {
    /// The policies, with comments.
    Yaml,
    /// One JSON document.
    Json,
}

/// `stockade net replay`
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// What to judge by.
    #[command(flatten)]
    pub(crate) source: NetSource,
    /// Recorded flows, a line of JSON each, as node agents write them; - for standard input. Repeatable.
    #[arg(long, required = true, value_name = "FILE")]
    pub(crate) flows: Vec<PathBuf>,
    /// Output format.
    #[arg(long, short, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

/// Output formats of connectivity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Picture {
    /// For people.
    Table,
    /// One JSON document.
    Json,
    /// The same as YAML.
    Yaml,
    /// A graph for Graphviz.
    Dot,
    /// A matrix as a picture.
    Svg,
}
