//! Taking everything off the nodes before the agents go, who alone can do it.
//!
//! Each node is told that nothing is wanted of it any more, and each agent says when its kernel and its network
//! configuration hold nothing of Stockade. Then the agents are ended, and only then is what was said of nodes deleted:
//! an agent that found nothing said of its node would begin anew.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::apps::v1::DaemonSet;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use stockade_node::flow_summary::FlowSummary;
use stockade_node::node_enforcement::{Desired, NodeEnforcement};
use tokio::time::{Instant, sleep};

use super::{EnforcementError, READY, found, nodes};
use crate::access::{Access, FIELD_MANAGER};

/// The agents.
const AGENTS: &str = "stockade-agent";

/// Why a node is not ready whose agent has taken everything off.
const REMOVED: &str = "Removed";

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);

/// What became of the nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// How many said that nothing is left.
    pub cleared: usize,
    /// Those that did not say so in time: they may be down. What is in their kernels goes when they start again; their
    /// network configuration is as it was.
    pub silent: BTreeSet<String>,
}

/// Tells all nodes, waits for each, `within` at most, and ends the agents whatever was said. Where there are no agents
/// there is nothing to do.
///
/// # Errors
/// The API server refused, or cannot be reached; it may be called again.
pub async fn remove(access: &Access, within: Duration) -> Result<Removed, EnforcementError> {
    let api = Api::<NodeEnforcement>::all(access.client.clone());
    let end = Instant::now() + within;
    let removed = loop {
        let all = list(&access.client).await?;
        let silent = all.iter().filter(|node| !node.is_cleared).map(|node| node.name.clone()).collect::<BTreeSet<_>>();
        let removed = Removed { cleared: all.len() - silent.len(), silent };
        if removed.silent.is_empty() || Instant::now() >= end {
            break removed;
        }
        // In each round: an agent that had only just begun may have said something of its node since.
        for node in all.iter().filter(|node| node.desired != Desired::Removed) {
            let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
            let patch = Patch::Merge(json!({ "spec": { "desired": Desired::Removed } }));
            found("NodeEnforcement", api.patch(&node.name, &params, &patch).await)?;
        }
        sleep(PAUSE).await;
    };
    end_agents(access, end + within).await?;
    for node in list(&access.client).await? {
        found("NodeEnforcement", api.delete(&node.name, &DeleteParams::default()).await)?;
    }
    let flows = Api::<FlowSummary>::all(access.client.clone());
    found("FlowSummaries", flows.delete_collection(&DeleteParams::default(), &ListParams::default()).await)?;
    Ok(removed)
}

/// Deletes the DaemonSet and waits until its Pods are gone.
async fn end_agents(access: &Access, end: Instant) -> Result<(), EnforcementError> {
    let api = Api::<DaemonSet>::namespaced(access.client.clone(), &access.namespace);
    while found("DaemonSet", api.delete(AGENTS, &DeleteParams::foreground()).await)?.is_some() && Instant::now() < end {
        sleep(PAUSE).await;
    }
    Ok(())
}

/// What is of interest of a node.
struct Node {
    name: String,
    desired: Desired,
    is_cleared: bool,
}

/// All nodes; none where the kind is not served.
async fn list(client: &Client) -> Result<Vec<Node>, EnforcementError> {
    let mut all = Vec::new();
    let of = |node: NodeEnforcement| {
        all.push(Node { name: node.name_any(), desired: node.spec.desired, is_cleared: is_cleared(&node) });
    };
    nodes::each(client, of).await?;
    Ok(all)
}

/// Whether its agent says, of this very wish, that nothing is left.
fn is_cleared(node: &NodeEnforcement) -> bool {
    let conditions = node.status.iter().flat_map(|status| &status.conditions);
    let mut ready = conditions.filter(|condition| condition.type_ == READY);
    node.spec.desired == Desired::Removed
        && ready
            .any(|c| c.status == "False" && c.reason == REMOVED && c.observed_generation == node.metadata.generation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_cleared_when_its_agent_says_so_of_this_wish() {
        let node = |desired: &str, status: &str, reason: &str, observed: i64| -> NodeEnforcement {
            let ready = json!({
                "type": "Ready", "status": status, "reason": reason, "message": "", "observedGeneration": observed,
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            });
            let node = json!({
                "apiVersion": "stockade.dev/v1alpha1", "kind": "NodeEnforcement",
                "metadata": { "name": "n", "generation": 2 }, "spec": { "desired": desired },
                "status": { "conditions": [ready] },
            });
            serde_json::from_value(node).unwrap()
        };
        assert!(is_cleared(&node("Removed", "False", "Removed", 2)));
        assert!(!is_cleared(&node("Removed", "False", "Removed", 1)), "of an earlier wish");
        assert!(!is_cleared(&node("Removed", "False", "KernelRefused", 2)));
        assert!(!is_cleared(&node("Removed", "True", "Enforced", 2)));
        assert!(!is_cleared(&node("Enforced", "False", "Removed", 2)));
    }
}
