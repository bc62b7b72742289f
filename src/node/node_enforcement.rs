//! NodeEnforcement: what the kernel of one node really enforces.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an agent is to do; what it has done is in the status.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "stockade.dev",
    version = "v1alpha1",
    kind = "NodeEnforcement",
    plural = "nodeenforcements",
    singular = "nodeenforcement",
    category = "stockade",
    status = "NodeEnforcementStatus",
    derive = "PartialEq",
    doc = "What the kernel of the node of this name really enforces: read back from it, and tried. Written by the \
           node's agent.",
    printcolumn(name = "Attach", type_ = "string", json_path = ".status.attach", description = "How programs hang"),
    printcolumn(
        name = "Endpoints",
        type_ = "integer",
        json_path = ".status.endpoints",
        description = "Pods on the node whose traffic is judged"
    ),
    printcolumn(
        name = "Policies",
        type_ = "integer",
        json_path = ".status.policyCount",
        description = "Policies in force"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status",
        description = "Whether the kernel holds what policies ask for, and a canary was stopped"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
pub struct NodeEnforcementSpec {
    /// `Enforced`, or `Removed` to take everything out of the node's kernel and its network configuration.
    #[serde(default)]
    pub desired: Desired,
}

/// What is wanted of a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Desired {
    /// Policies are enforced.
    #[default]
    Enforced,
    /// Nothing of Stockade is left on the node.
    Removed,
}

/// What was read back and tried.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeEnforcementStatus {
    /// `Ready`: the kernel holds what policies ask for. `Gated`: no Pod starts before its policy is in the kernel.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Release of the kernel.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kernel: String,
    /// Version of the agent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub agent: String,
    /// `tcx` or `clsact`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub attach: String,
    /// Effective capabilities of the agent, sorted (`CAP_BPF`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// Programs in the kernel.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub programs: Vec<Program>,
    /// Pods on the node whose traffic is judged.
    #[serde(default)]
    pub endpoints: u32,
    /// SHA-256 of all tables as they were read back from the kernel, in hexadecimal.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tables_digest: String,
    /// How many policies select Pods of the node.
    #[serde(default)]
    pub policy_count: u32,
    /// These policies, sorted; at most 1,000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1_000))]
    pub policies: Vec<EnforcedPolicy>,
    /// The last connection that was tried to see it refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// When all this was last read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_time: Option<Time>,
}

/// A program in the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Program {
    /// Its name.
    pub name: String,
    /// The kernel's digest of its instructions, in hexadecimal.
    pub tag: String,
    /// How many interfaces it hangs on.
    pub attached: u32,
}

/// A policy on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnforcedPolicy {
    /// `NetworkPolicy` or `ClusterNetworkPolicy`.
    pub kind: String,
    /// Namespace of a NetworkPolicy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Which `metadata.generation` of it is in the kernel; none when no version of it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// Why the latest is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1_024))]
    pub refused: Option<String>,
}

/// A connection that must be refused, tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Canary {
    /// When.
    pub time: Time,
    /// Whether it was refused.
    pub refused: bool,
    /// What happened, where it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1_024))]
    pub message: Option<String>,
}
