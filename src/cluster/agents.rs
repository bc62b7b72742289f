//! Where the node agents are.

use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use tokio::time::timeout;

use crate::access::Access;

/// Labels of the agents' Pods, as the chart has them.
const LABELS: &str = "app.kubernetes.io/component=agent";
/// Most agents that are found: one a node, and Kubernetes has up to 5,000 nodes.
const MAX_AGENTS: u32 = 5_000;
/// Longest wait for the answer.
const WITHIN: Duration = Duration::from_secs(10);

/// One agent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoundAgent {
    /// Its node; empty before it has one.
    pub node: String,
    /// Where it listens.
    pub address: IpAddr,
}

/// Why they are not found.
#[derive(Debug, thiserror::Error)]
pub enum AgentsError {
    /// The API server refused, or the request did not come through.
    #[error(transparent)]
    Refused(#[from] kube::Error),
    /// No answer in time.
    #[error("no answer within {} s", WITHIN.as_secs())]
    Late(#[from] tokio::time::error::Elapsed),
}

/// Agents of an installation that have an address, by node.
///
/// # Errors
/// The API server does not tell.
pub async fn find(access: &Access) -> Result<Vec<FoundAgent>, AgentsError> {
    let pods: Api<Pod> = Api::namespaced(access.client.clone(), &access.namespace);
    let list = ListParams::default().labels(LABELS).limit(MAX_AGENTS);
    let found = timeout(WITHIN, pods.list(&list)).await??;
    let agent = |pod: Pod| {
        let address = pod.status?.pod_ip?.parse().ok()?;
        Some(FoundAgent { node: pod.spec.and_then(|spec| spec.node_name).unwrap_or_default(), address })
    };
    let mut agents: Vec<FoundAgent> = found.items.into_iter().filter_map(agent).collect();
    agents.sort_unstable();
    Ok(agents)
}
