//! What an agent is told: Pods of its node, namespaces, policies, who has which address.
//!
//! Facts alone, as small as what is decided by them; they can be written to a file and read back ([`snapshot`]).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use stockade_netpol::policy::{Peer, Peers, Policy, audits_its_policies};
use stockade_netpol::read::api::{self, Faults};
use stockade_node::identity_slice::NamedPort;
use stockade_node::pod::SeenPod;
use stockade_watch::shared::Shared;

pub mod claims;
pub mod identity;
pub mod snapshot;
pub mod watched;

pub use identity::SliceFacts;

/// All that was told, as it is now. A clone shares it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Inputs {
    /// Pods of the node, by UID.
    pub pods: Shared<PodFacts>,
    /// By name.
    pub namespaces: Shared<NamespaceFacts>,
    /// By [`PolicyObject::key`].
    pub policies: Shared<PolicyObject>,
    /// By name of the slice.
    pub slices: Shared<SliceFacts>,
    /// Blocks of addresses of Services, by name of what says so.
    pub services: Shared<Vec<String>>,
    /// By name; none where no policy is about nodes.
    pub nodes: Shared<NodeFacts>,
}

/// One Pod of the node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodFacts {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Ports of its containers that have a name, sorted.
    pub ports: Vec<NamedPort>,
    /// Its addresses, at most [`stockade_node::pod::MAX_POD_ADDRESSES`]; none before its network is set up.
    pub addresses: Vec<IpAddr>,
    /// Whether its traffic is the node's.
    pub host_network: bool,
    /// Whether it has succeeded or failed: its addresses may be another's.
    pub finished: bool,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// When it was made, in seconds of the Unix epoch.
    pub created: i64,
}

/// One namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceFacts {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether its NetworkPolicies are only told of.
    pub audit: bool,
}

/// One node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFacts {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// A policy as the API server has it, and as it was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Value", into = "Value")]
pub struct PolicyObject {
    /// As JSON, which takes a tenth of a tree's memory.
    object: Box<str>,
    /// `NetworkPolicy` or `ClusterNetworkPolicy`.
    pub kind: String,
    /// Of a NetworkPolicy.
    pub namespace: Option<String>,
    /// `metadata.name`
    pub name: String,
    /// `metadata.generation`
    pub generation: i64,
    /// What it says; closed where it is not understood. None: it is not understood whom it is about.
    pub policy: Option<Arc<Policy>>,
    /// What was not understood.
    pub faults: Faults,
}

// === impl PodFacts ===

impl PodFacts {
    /// Of an object; none where it has no name or UID.
    pub fn read(pod: SeenPod) -> Option<(String, Self)> {
        let (meta, status) = (pod.metadata, pod.status.unwrap_or_default());
        let facts = Self {
            namespace: meta.namespace?,
            name: meta.name?,
            labels: meta.labels.unwrap_or_default(),
            ports: pod.spec.named_ports(),
            addresses: status.addresses(),
            host_network: pod.spec.host_network,
            finished: status.is_finished(),
            terminating: meta.deletion_timestamp.is_some(),
            created: meta.creation_timestamp.map(|time| time.0.as_second()).unwrap_or_default(),
        };
        Some((meta.uid?, facts))
    }

    /// Whether its traffic is judged on an interface of its own.
    pub fn is_judged(&self) -> bool {
        !self.host_network && !self.finished
    }
}

// === impl NamespaceFacts ===

impl NamespaceFacts {
    /// Of labels and annotations.
    pub fn new(labels: BTreeMap<String, String>, annotations: &BTreeMap<String, String>) -> Self {
        Self { labels, audit: audits_its_policies(annotations) }
    }
}

// === impl PolicyObject ===

impl PolicyObject {
    /// `NetworkPolicy/shop/web`, `ClusterNetworkPolicy//web`
    pub fn key(&self) -> String {
        format!("{}/{}/{}", self.kind, self.namespace.as_deref().unwrap_or(""), self.name)
    }

    /// Whether a rule of it is about nodes.
    pub fn is_about_nodes(&self) -> bool {
        let Some(policy) = &self.policy else { return false };
        let mut rules = policy.ingress.iter().chain(&policy.egress).flatten();
        rules.any(|rule| match &rule.peers {
            Peers::AnyOf(peers) => peers.iter().any(|peer| matches!(peer, Peer::Nodes(_))),
            Peers::Everyone => false,
        })
    }
}

impl From<Value> for PolicyObject {
    fn from(mut object: Value) -> Self {
        if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            meta.remove("managedFields");
        }
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).map(str::to_owned);
        let kind = text("/kind").unwrap_or_default();
        let read = match kind.as_str() {
            "ClusterNetworkPolicy" => api::cluster_network_policy(&object),
            _ => api::network_policy(&object),
        };
        Self {
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name").unwrap_or_default(),
            generation: object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default(),
            policy: read.policy.map(Arc::new),
            faults: read.faults,
            kind,
            object: object.to_string().into(),
        }
    }
}

impl From<PolicyObject> for Value {
    fn from(policy: PolicyObject) -> Self {
        // It was written by this process.
        serde_json::from_str(&policy.object).unwrap_or_default()
    }
}

// === impl Inputs ===

impl Inputs {
    /// Whether a policy is only told of because its namespace says so.
    pub fn is_audited_by_namespace(&self, policy: &PolicyObject) -> bool {
        policy.namespace.as_ref().and_then(|n| self.namespaces.get(n)).is_some_and(|n| n.audit)
    }
}
