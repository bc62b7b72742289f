//! What the node agents say of their kernels: where each network policy is really in force. NetworkPolicies have had no
//! status since Kubernetes 1.28, so this is where it is told.

mod nodes;
mod policies;
mod remove;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use kube::{Client, ResourceExt as _};
use stockade_node::node_enforcement::{Desired, EnforcedPolicy, NodeEnforcement, NodeEnforcementStatus};

pub use remove::{Removed, remove};

/// An agent tells every five minutes what it reads back from the kernel. One that was silent for longer than two of these
/// times has proved nothing of late; what it put into the kernel may well be there still.
const MAX_SILENCE: Duration = Duration::from_secs(11 * 60);

/// Most nodes that are told of one policy which they do not enforce as it is.
pub const MAX_BEHIND_TOLD: usize = 5;

/// The condition that says whether a node's kernel holds what policies ask for.
const READY: &str = "Ready";

/// What was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Enforcement {
    /// Every node that has, or had, an agent; by name.
    pub nodes: BTreeMap<String, NodeState>,
    /// Every policy that there is, or that a node says it enforces.
    pub policies: BTreeMap<PolicyKey, PolicyState>,
    /// Policies in force that nodes had no room to name.
    pub unnamed: u64,
}

/// How one node does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeState {
    /// Why its kernel is not proved to hold what policies ask for; none when it is.
    pub not_ready: Option<String>,
    /// Whether Pods are held until their policies are in the kernel; none when it does not say.
    pub gated: Option<bool>,
    /// Pods whose traffic is judged.
    pub endpoints: u32,
    /// How programs hang: `tcx` or `clsact`; empty when it does not say.
    pub attach: String,
    /// Release of the kernel.
    pub kernel: String,
    /// Version of the agent.
    pub agent: String,
}

/// Which policy. NetworkPolicies come after ClusterNetworkPolicies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyKey {
    /// `ClusterNetworkPolicy` or `NetworkPolicy`.
    pub kind: String,
    /// Empty for a ClusterNetworkPolicy.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Where one policy is in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyState {
    /// Its `metadata.generation`; none when it is not there any more.
    pub generation: Option<i64>,
    /// Nodes with Pods that it selects, whose kernels are proved to hold this generation.
    pub in_force: usize,
    /// Nodes with Pods that it selects, of which that cannot be said.
    pub behind: usize,
    /// The first [`MAX_BEHIND_TOLD`] of these, and why.
    pub told: Vec<(String, String)>,
}

/// Why there is nothing to see.
#[derive(Debug, thiserror::Error)]
pub enum EnforcementError {
    /// The API server refused, or the request did not come through.
    #[error("{kind}: {source}")]
    Refused {
        /// What was asked for.
        kind: &'static str,
        /// Why.
        source: kube::Error,
    },
    /// There is no such kind.
    #[error("NodeEnforcements are not served: the chart's kinds are not installed")]
    NotServed,
}

// === impl Enforcement ===

impl Enforcement {
    /// Asks the API server for all of it.
    ///
    /// # Errors
    /// It refused, or cannot be reached.
    pub async fn look(client: &Client) -> Result<Self, EnforcementError> {
        let mut seen = Self::default();
        for (key, generation) in policies::list(client).await? {
            seen.policies.insert(key, PolicyState { generation: Some(generation), ..PolicyState::default() });
        }
        seen.add_nodes(client).await?;
        Ok(seen)
    }

    /// The nodes alone.
    ///
    /// # Errors
    /// As [`Enforcement::look`].
    pub async fn look_at_nodes(client: &Client) -> Result<BTreeMap<String, NodeState>, EnforcementError> {
        let mut seen = Self::default();
        seen.add_nodes(client).await?;
        Ok(seen.nodes)
    }

    /// Whether every node is ready and every policy in force where it selects Pods.
    pub fn is_well(&self) -> bool {
        self.nodes.values().all(|node| node.not_ready.is_none()) && self.policies.values().all(|p| p.behind == 0)
    }

    async fn add_nodes(&mut self, client: &Client) -> Result<(), EnforcementError> {
        let now = Timestamp::now();
        match nodes::each(client, |node| self.add(node, now)).await? {
            true => Ok(()),
            false => Err(EnforcementError::NotServed),
        }
    }

    fn add(&mut self, node: NodeEnforcement, now: Timestamp) {
        let (name, desired) = (node.name_any(), node.spec.desired);
        let status = node.status.unwrap_or_default();
        let not_ready = why_not_ready(desired, &status, now);
        let named = u64::try_from(status.policies.len()).unwrap_or(u64::MAX);
        self.unnamed += u64::from(status.policy_count).saturating_sub(named);
        for policy in status.policies {
            self.policy(&name, policy, not_ready.is_none());
        }
        let gated = status.conditions.iter().find(|c| c.type_ == "Gated").map(|c| c.status == "True");
        let NodeEnforcementStatus { endpoints, attach, kernel, agent, .. } = status;
        self.nodes.insert(name, NodeState { not_ready, gated, endpoints, attach, kernel, agent });
    }

    /// What a node says of a policy.
    fn policy(&mut self, node: &str, policy: EnforcedPolicy, is_ready: bool) {
        let EnforcedPolicy { kind, namespace, name, generation, refused } = policy;
        let state =
            self.policies.entry(PolicyKey { kind, namespace: namespace.unwrap_or_default(), name }).or_default();
        let why = match (refused, generation, state.generation) {
            (Some(refused), Some(held), Some(wanted)) if held != wanted => {
                format!("{refused}; generation {held} of {wanted} is in force")
            }
            (Some(refused), _, _) => refused,
            (None, Some(held), Some(wanted)) if held == wanted && is_ready => return state.in_force += 1,
            (None, Some(held), Some(wanted)) if held == wanted => "the node is not ready".to_owned(),
            (None, Some(held), Some(wanted)) => format!("generation {held} of {wanted}"),
            (None, Some(_), None) => "the policy is not there any more".to_owned(),
            (None, None, _) => "no generation is in the kernel".to_owned(),
        };
        state.behind += 1;
        if state.told.len() < MAX_BEHIND_TOLD {
            state.told.push((node.to_owned(), why));
        }
    }
}

/// An answer; none when there is nothing of that name.
fn found<T>(kind: &'static str, answer: kube::Result<T>) -> Result<Option<T>, EnforcementError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(source) => Err(EnforcementError::Refused { kind, source }),
    }
}

fn why_not_ready(desired: Desired, status: &NodeEnforcementStatus, now: Timestamp) -> Option<String> {
    if desired == Desired::Removed {
        return Some("nothing is wanted of it any more".to_owned());
    }
    let Some(ready) = status.conditions.iter().find(|condition| condition.type_ == READY) else {
        return Some("its agent has not said anything yet".to_owned());
    };
    if ready.status != "True" {
        let colon = if ready.message.is_empty() { "" } else { ": " };
        return Some(format!("{}{colon}{}", ready.reason, ready.message));
    }
    let told = status.observed_time.as_ref().map(|time| time.0).unwrap_or_default();
    let is_silent = now.duration_since(told).unsigned_abs() > MAX_SILENCE && told < now;
    is_silent.then(|| format!("its agent is silent since {told}"))
}

#[cfg(test)]
mod tests;
