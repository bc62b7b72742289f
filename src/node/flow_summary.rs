//! FlowSummary: who passes to whom on one node, and what would not if its policies were enforced.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most talks of one summary. At some 300 bytes each it is 60 KB, which is written whole: a thousand nodes then keep less
/// than 60 MB in etcd.
pub const MAX_SUMMARY_TALKS: usize = 200;

/// Most of these that are about what would be denied, so that others have room whatever is audited.
pub const MAX_SUMMARY_WOULD_DENY: usize = 100;

/// What was not seen for longer is not told any more.
pub const MEMORY: Duration = Duration::from_secs(3_600);

/// A summary is written after so long though nothing has changed, so that an old one can be told from a quiet node.
pub const TELL: Duration = Duration::from_secs(600);

/// One that is older says nothing of now: its agent missed two times of telling.
pub const MAX_AGE: Duration = Duration::from_secs(1_500);

/// What passed at the Pods of the node of this name within the last hour.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "stockade.dev",
    version = "v1alpha1",
    kind = "FlowSummary",
    plural = "flowsummaries",
    singular = "flowsummary",
    category = "stockade",
    derive = "PartialEq",
    doc = "Which kinds of Pods of the node of this name talked with whom within the last hour, and what of it audited \
           policies would deny. Written by the node's agent, for reports and for what is said of a changed policy.",
    printcolumn(name = "Observed", type_ = "date", json_path = ".spec.observedTime"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
pub struct FlowSummarySpec {
    /// When it was written.
    pub observed_time: Time,
    /// How many more there were that it has no room for.
    #[serde(default)]
    pub left_out: u64,
    /// What would be denied first, then what was seen most.
    #[schemars(length(max = 200))]
    pub talks: Vec<Talk>,
}

/// Connections that are alike, as the lines of flows have them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Talk {
    /// When the first of them was seen.
    pub first: Time,
    /// When the last of them was seen.
    pub last: Time,
    /// How many connections.
    pub count: u64,
    /// At which end they were seen: `egress` at the sender's, `ingress` at the receiver's.
    pub direction: String,
    /// `allowed` or `would-deny`.
    pub verdict: String,
    /// `TCP`, `UDP`, `SCTP`, or the number of another protocol.
    pub protocol: String,
    /// Port of the receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Who began them.
    pub from: TalkEnd,
    /// With whom.
    pub to: TalkEnd,
    /// The rule that would deny; none where no rule accepts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<TalkRule>,
}

/// One end: Pods of a namespace with the same labels, or an address of somebody else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TalkEnd {
    /// Of the Pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Of all of the Pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Of somebody who is no Pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// A rule of a policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TalkRule {
    /// `NetworkPolicy` or `ClusterNetworkPolicy`.
    pub kind: String,
    /// Of a NetworkPolicy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name of the policy.
    pub policy: String,
    /// In which of its lists.
    pub direction: String,
    /// Place in the list; from 0.
    pub index: u32,
    /// The rule's own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}
