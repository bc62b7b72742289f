//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::ArgPredicate;
use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};
use stockade_cluster::registration::{Address, Settings};
use stockade_engine::Essentials;
use stockade_policy::compiled;
use stockade_process::logging::LogFormat;

use crate::pod_security::Level;

mod certs;
mod net;

pub(crate) use certs::{CertsAction, CertsArgs, CertsCluster, CertsDir, CertsFlows};
pub(crate) use net::{
    AGENT_NAME, ConnectivityArgs, ExplainArgs, FlowsArgs, LintArgs, Listing, NetArgs, NetStatusArgs, NetVerb, Picture,
    Proposal, RecommendArgs, ReplayArgs,
};

/// One policy repository: checked in CI, enforced at the API server, held in the kernel.
///
/// Exit codes: 0 clean, 1 findings, 2 the tool could not do its job.
#[derive(Debug, Parser)]
#[command(name = "stockade", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// Say less on stderr.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// One verb per job.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run the admission webhook.
    Serve(Box<ServeArgs>),
    /// Judge manifests, as CI does.
    Check(CheckArgs),
    /// Answer one admission request exactly as the webhook does.
    Review(Box<ReviewArgs>),
    /// Run the tests of a policy repository.
    Test(TestArgs),
    /// Judge what exists already, in a cluster or a folder.
    Audit(AuditArgs),
    /// Is this image trusted, by which policy, and why not. Exit code 0 verified, 1 refused, 2 not known.
    VerifyImage(VerifyImageArgs),
    /// What network policies mean: who reaches whom.
    Net(NetArgs),
    /// Mint, inspect or rotate the webhook's certificates; issue those of flows.
    Certs(CertsArgs),
    /// Whether the webhook of a cluster is registered and answers; exit code 1 when not.
    Status(StatusArgs),
    /// Let requests pass, loudly, when no replica of the webhook has been ready for long; and back.
    Failsafe(FailsafeArgs),
    /// Take everything off the nodes of a cluster, stop the replicas and remove their registration, before they themselves
    /// are removed.
    Uninstall(UninstallArgs),
    /// Write the files by which an API server asks the webhook from its first request on.
    Static(StaticArgs),
    /// Print a shell completion script.
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
}

/// Where policies come from.
#[derive(Debug, Args)]
pub(crate) struct PolicySource {
    /// Policy files or folders; repeatable. Default: policies/ when it exists.
    #[arg(long = "policies", visible_alias = "policy", short = 'p', value_name = "PATH")]
    pub(crate) policies: Vec<PathBuf>,
    /// Judge by the Pod Security Standards at this level, whatever the namespace labels say.
    #[arg(long, value_name = "LEVEL[:VERSION]")]
    pub(crate) pod_security: Option<Level>,
}

/// `stockade serve`
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Policy files or folders, watched for changes; repeatable. Default without --cluster: policies.
    #[arg(
        long = "policies",
        short = 'p',
        value_name = "PATH",
        default_value_if("cluster", ArgPredicate::IsPresent, None),
        default_value = "policies"
    )]
    pub(crate) policies: Vec<PathBuf>,
    /// In which cluster.
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    /// Folder of objects that exist (Namespaces, NetworkPolicies, params), standing in for a cluster; watched.
    #[arg(long, value_name = "DIR", conflicts_with = "cluster")]
    pub(crate) cluster_state: Option<PathBuf>,
    /// Address of the HTTPS listener (/validate, /mutate, /warn).
    #[arg(long, value_name = "ADDR", default_value = "[::]:8443")]
    pub(crate) listen: SocketAddr,
    /// Address of the plain HTTP listener (/livez, /readyz, /metrics).
    #[arg(long, value_name = "ADDR", default_value = "[::]:8080")]
    pub(crate) listen_health: SocketAddr,
    /// Folder with tls.crt, tls.key and ca.crt; minted when empty, reloaded when they change. In a cluster they are in a
    /// Secret instead.
    #[arg(long, value_name = "DIR", default_value = "certs", conflicts_with = "cluster")]
    pub(crate) certs: PathBuf,
    /// After SIGTERM: seconds in which connections are still accepted, so that endpoints go before the port does.
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u16).range(..=300))]
    pub(crate) drain_delay: u16,
    /// Docker configuration with credentials of registries, beside what Pods bring: a mounted config.json.
    #[arg(long, value_name = "FILE")]
    pub(crate) docker_config: Option<PathBuf>,
    /// Require client certificates signed by this CA (PEM), as an API server configured for it sends.
    #[arg(long, value_name = "FILE")]
    pub(crate) client_ca: Option<PathBuf>,
    /// Log format.
    #[arg(long, value_enum, default_value_t = LogFormat::Auto)]
    pub(crate) log: LogFormat,
}

/// The cluster that a webhook belongs to.
#[derive(Debug, Args)]
pub(crate) struct ClusterArgs {
    /// Judge by the policies and the facts of a cluster.
    #[arg(long)]
    pub(crate) cluster: bool,
    /// How to reach the API server; default: the Pod's service account, $KUBECONFIG or ~/.kube/config.
    #[arg(long, value_name = "FILE", requires = "cluster")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Own namespace; default: the Pod's, or stockade-system.
    #[arg(long, value_name = "NAMESPACE", requires = "cluster")]
    pub(crate) namespace: Option<String>,
    /// Own name, unique among the replicas; default: the host's, which in a Pod is the Pod's.
    #[arg(long, value_name = "NAME", requires = "cluster")]
    pub(crate) name: Option<String>,
    /// UID of the own Pod, with which its Lease is collected.
    #[arg(long, value_name = "UID", requires = "cluster")]
    pub(crate) pod_uid: Option<String>,
    /// Service in the own namespace by which the API server calls.
    #[arg(long, value_name = "NAME", default_value = "stockade")]
    pub(crate) service: String,
    /// URL by which the API server calls instead, for a webhook outside of the cluster.
    #[arg(long, value_name = "URL", requires = "cluster", conflicts_with = "service")]
    pub(crate) url: Option<http::Uri>,
    /// Read the pull secrets of Pods and of their service accounts, in all namespaces, for images that are verified.
    #[arg(long, requires = "cluster")]
    pub(crate) image_pull_secrets: bool,
    /// Secret in the own namespace with the certificate; minted and renewed.
    #[arg(long, value_name = "NAME", default_value = stockade_cluster::certificates::DEFAULT_SECRET)]
    pub(crate) certificate_secret: String,
    /// The Secret is kept by somebody else (cert-manager), with tls.crt, tls.key and ca.crt; it is never written.
    #[arg(long, requires = "cluster")]
    pub(crate) ca_from_secret: bool,
    /// Longest time that a PolicyException may be for, in days from its creation; default: any.
    #[arg(long, value_name = "DAYS", requires = "cluster", value_parser = clap::value_parser!(u32).range(1..=3_650))]
    pub(crate) max_exception_days: Option<u32>,
    /// Seconds after which everything that exists is judged again though nothing changed.
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600, value_parser = value_parser!(u32).range(10..))]
    pub(crate) audit_period: u32,
    /// Which reports the audit writes.
    #[arg(long, value_enum, default_value_t = Reports::Openreports)]
    pub(crate) reports: Reports,
    /// Write who has which address, for the node agents (IdentitySlices); judge by what they see pass (FlowSummaries).
    #[arg(long, requires = "cluster")]
    pub(crate) node_agents: bool,
    /// What the API server is to ask.
    #[command(flatten)]
    pub(crate) registration: RegistrationArgs,
}

impl ClusterArgs {
    /// In seconds; at most ten years, which fit.
    pub(crate) fn max_exception_seconds(&self) -> Option<u32> {
        self.max_exception_days.map(|days| days * 86_400)
    }
}

/// Kinds of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Reports {
    /// openreports.io/v1alpha1 Report and ClusterReport.
    Openreports,
    /// wgpolicyk8s.io/v1alpha2 PolicyReport and ClusterPolicyReport.
    Wgpolicyk8s,
}

/// `stockade check`
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Manifests: files, folders, or - for standard input.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Where policies come from.
    #[command(flatten)]
    pub(crate) source: PolicySource,
    /// Folder of objects that already exist (Namespaces, NetworkPolicies, params).
    #[arg(long, value_name = "DIR")]
    pub(crate) cluster_state: Option<PathBuf>,
    /// Look at registries for what policies ask of images, with the Docker configuration of whoever runs this. Without
    /// it they err.
    #[arg(long)]
    pub(crate) verify_images: bool,
    /// Output format.
    #[arg(long, short, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

/// `stockade verify-image`
#[derive(Debug, Args)]
pub(crate) struct VerifyImageArgs {
    /// The image, as a Pod would name it.
    #[arg(value_name = "REF")]
    pub(crate) image: String,
    /// Where policies come from.
    #[command(flatten)]
    pub(crate) source: PolicySource,
    /// Namespace of the Pod that would run it.
    #[arg(long, short, default_value = "default")]
    pub(crate) namespace: String,
    /// Folder of objects that already exist (Namespaces, params).
    #[arg(long, value_name = "DIR")]
    pub(crate) cluster_state: Option<PathBuf>,
    /// Output format.
    #[arg(long, short, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

/// `stockade review`
#[derive(Debug, Args)]
pub(crate) struct ReviewArgs {
    /// An AdmissionReview file, or - for standard input. Instead of it: --object.
    #[arg(value_name = "REVIEW", required_unless_present_any = ["object", "old_object"], conflicts_with_all = ["object", "old_object"])]
    pub(crate) review: Option<PathBuf>,
    /// Where policies come from.
    #[command(flatten)]
    pub(crate) source: PolicySource,
    /// The object of the request.
    #[arg(long, value_name = "FILE")]
    pub(crate) object: Option<PathBuf>,
    /// The object before an UPDATE or DELETE.
    #[arg(long, value_name = "FILE")]
    pub(crate) old_object: Option<PathBuf>,
    /// CREATE, UPDATE, DELETE or CONNECT.
    #[arg(long, value_enum, ignore_case = true, default_value_t = Operation::Create)]
    pub(crate) operation: Operation,
    /// The Namespace object of the request.
    #[arg(long, value_name = "FILE")]
    pub(crate) namespace: Option<PathBuf>,
    /// Params objects that exist; repeatable.
    #[arg(long, value_name = "FILE")]
    pub(crate) params: Vec<PathBuf>,
    /// Bindings beside those in the policy files; repeatable.
    #[arg(long, value_name = "FILE")]
    pub(crate) binding: Vec<PathBuf>,
    /// The requesting user: a userInfo as in an AdmissionRequest.
    #[arg(long, value_name = "FILE")]
    pub(crate) user_info: Option<PathBuf>,
    /// Folder of objects that already exist.
    #[arg(long, value_name = "DIR")]
    pub(crate) cluster_state: Option<PathBuf>,
    /// Look at registries for what policies ask of images, with the Docker configuration of whoever runs this. Without
    /// it they err.
    #[arg(long)]
    pub(crate) verify_images: bool,
    /// Output format.
    #[arg(long, short, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

/// `stockade test`
#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Policy repositories or single policy folders.
    #[arg(value_name = "DIR", default_value = "policies")]
    pub(crate) dirs: Vec<PathBuf>,
    /// Output format.
    #[arg(long, short, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

/// `stockade audit`
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// Folder of objects as a cluster holds them (`kubectl get -o yaml` or `-o json`), judged instead of a cluster.
    #[arg(long, value_name = "DIR")]
    pub(crate) from: Option<PathBuf>,
    /// How to reach the API server; default: $KUBECONFIG or ~/.kube/config.
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Look at registries for what is asked about images, with the Docker configuration of whoever runs this. Without it
    /// ImagePolicies are left out.
    #[arg(long)]
    pub(crate) verify_images: bool,
    /// Read the pull secrets of Pods and of their service accounts too, as the user of the kubeconfig.
    #[arg(long, requires = "verify_images", conflicts_with = "from")]
    pub(crate) image_pull_secrets: bool,
    /// Where policies come from.
    #[command(flatten)]
    pub(crate) source: PolicySource,
    /// Output format.
    #[arg(long, short, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

/// `stockade status`
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// How to reach the API server; default: the Pod's service account, $KUBECONFIG or ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Where Stockade runs; default: the Pod's own namespace, or stockade-system.
    #[arg(long, value_name = "NAMESPACE")]
    pub(crate) namespace: Option<String>,
    /// How long to wait until all is well.
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub(crate) wait: u16,
    /// Output format.
    #[arg(long, short, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

/// `stockade failsafe`
#[derive(Debug, Args)]
pub(crate) struct FailsafeArgs {
    /// How to reach the API server; default: the Pod's service account, $KUBECONFIG or ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Namespace of the replicas; default: the Pod's, or stockade-system.
    #[arg(long, value_name = "NAMESPACE")]
    pub(crate) namespace: Option<String>,
    /// Seconds without a ready replica until the registration is switched to Ignore.
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) after: u64,
    /// Address of the plain HTTP listener (/livez, /metrics).
    #[arg(long, value_name = "ADDR", default_value = "[::]:8080")]
    pub(crate) listen_health: SocketAddr,
    /// Log format.
    #[arg(long, value_enum, default_value_t = LogFormat::Auto)]
    pub(crate) log: LogFormat,
}

/// `stockade uninstall`
#[derive(Debug, Args)]
pub(crate) struct UninstallArgs {
    /// How to reach the API server; default: the Pod's service account, $KUBECONFIG or ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Namespace of the replicas; default: the Pod's, or stockade-system.
    #[arg(long, value_name = "NAMESPACE")]
    pub(crate) namespace: Option<String>,
    /// Then remove the kinds as well, and with them every policy, exception and group.
    #[arg(long)]
    pub(crate) kinds: bool,
    /// Longest wait, in seconds, for each step: nodes to be cleared, agents to end, the registration to be gone.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) within: u64,
}

/// `stockade static`
#[derive(Debug, Args)]
pub(crate) struct StaticArgs {
    /// Where policies come from.
    #[command(flatten)]
    pub(crate) source: PolicySource,
    /// Folder to write into; files there are replaced.
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// The same folder as the API server sees it, an absolute path; default: DIR.
    #[arg(long, value_name = "DIR")]
    pub(crate) host_dir: Option<PathBuf>,
    /// Where the API server finds the webhook.
    #[arg(long, value_name = "URL", default_value = "https://127.0.0.1:8443")]
    pub(crate) url: String,
    /// Certificates of the authorities that the API server is to trust (PEM); all of them are written. A webhook must not
    /// serve what a new one signed before the API server has read the files that hold it, a minute after they are written.
    #[arg(long, value_name = "FILE", default_value = "certs/ca.crt")]
    pub(crate) ca: PathBuf,
    /// Stay, and write anew whenever policies or authorities change; while they cannot be used the last files stay.
    #[arg(long)]
    pub(crate) watch: bool,
    /// What is asked about, and what happens without an answer.
    #[command(flatten)]
    pub(crate) registration: RegistrationArgs,
}

/// Choices about the webhook's registration.
#[derive(Debug, Args)]
pub(crate) struct RegistrationArgs {
    /// Namespaces that fail open, because a cluster needs them to run: with the network plugin's, if it has its own. There
    /// a request is admitted without an answer and when it cannot be judged.
    #[arg(
        long,
        value_name = "NAMESPACE",
        value_delimiter = ',',
        default_value = "kube-system,kube-public,kube-node-lease"
    )]
    pub(crate) system_namespaces: Vec<String>,
    /// What happens to requests of other namespaces while the webhook does not answer.
    #[arg(long, value_enum, ignore_case = true, default_value_t = FailurePolicy::Fail)]
    pub(crate) failure_policy: FailurePolicy,
    /// Seconds that the API server waits for an answer; where it fails open, 2 at most.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=30))]
    pub(crate) webhook_timeout: u8,
}

impl RegistrationArgs {
    /// What fails open for a webhook in this namespace, which is never asked about.
    pub(crate) fn essentials(&self, own_namespace: String) -> Essentials {
        let system_namespaces = self.system_namespaces.iter().filter(|n| !n.is_empty()).cloned().collect();
        Essentials { own_namespace, system_namespaces }
    }

    /// For a webhook at this address.
    pub(crate) fn settings(&self, address: Address, own_namespace: String) -> Settings {
        let defaults = Settings::new(address, own_namespace.clone());
        Settings {
            essentials: self.essentials(own_namespace),
            failure_policy: match self.failure_policy {
                FailurePolicy::Fail => compiled::FailurePolicy::Fail,
                FailurePolicy::Ignore => compiled::FailurePolicy::Ignore,
            },
            timeout_seconds: self.webhook_timeout,
            ignored_timeout_seconds: defaults.ignored_timeout_seconds.min(self.webhook_timeout),
            ..defaults
        }
    }
}

/// `failurePolicy`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(crate) enum FailurePolicy {
    /// They are refused.
    Fail,
    /// They are admitted.
    Ignore,
}

/// Operation of an admission request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "UPPER")]
pub(crate) enum Operation {
    /// A new object.
    Create,
    /// A changed object.
    Update,
    /// A removed object.
    Delete,
    /// A connection to a subresource.
    Connect,
}

/// Output formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// One JSON document.
    Json,
    /// The same as YAML.
    Yaml,
}
