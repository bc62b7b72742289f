//! NamespaceGroup: namespaces that policies name together, and what each of them must have.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::selector::LabelSelector;

/// Which namespaces are members, and what each of them must have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "stockade.dev",
    version = "v1alpha1",
    kind = "NamespaceGroup",
    plural = "namespacegroups",
    singular = "namespacegroup",
    shortname = "nsgroup",
    category = "stockade",
    category = "policy",
    status = "NamespaceGroupStatus",
    derive = "PartialEq",
    doc = "A group of namespaces that policies can name, and the baseline that each of them must have. Its status \
           tells what is missing where.",
    printcolumn(
        name = "Members",
        type_ = "integer",
        json_path = ".status.members",
        description = "How many namespaces are in it"
    ),
    printcolumn(
        name = "Gaps",
        type_ = "integer",
        json_path = ".status.gapCount",
        description = "How many of them lack something"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status",
        description = "Whether no namespace lacks anything"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(validation = ("has(self.selector) || has(self.names)", "one of selector or names must be specified"))]
pub struct NamespaceGroupSpec {
    /// Namespaces by their labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(merge_strategy = MapMerge::Atomic)]
    pub selector: Option<LabelSelector>,
    /// Namespaces by their names, beside those that selector chooses.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1_000), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub names: Option<Vec<String>>,
    /// Policies that must be in force with the action Deny in every member.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub policies: Option<Vec<RequiredPolicy>>,
    /// Directions of traffic, Ingress and Egress, that every member must deny by default: with a NetworkPolicy that
    /// selects all its Pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub require_default_deny: Option<Vec<Direction>>,
}

/// A policy that must be in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequiredPolicy {
    /// Name of the AdmissionPolicy.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A direction of traffic, seen from a Pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Direction {
    /// To the Pod.
    Ingress,
    /// From the Pod.
    Egress,
}

/// Who is in the group, and what is missing. Written by Stockade.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceGroupStatus {
    /// metadata.generation that the rest of the status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready: no namespace lacks anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// How many namespaces are members.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<i64>,
    /// Names of the members, the first hundred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub namespaces: Vec<String>,
    /// How many members lack something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap_count: Option<i64>,
    /// What they lack, of the first hundred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub gaps: Vec<Gap>,
}

/// What a namespace lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Gap {
    /// The namespace.
    pub namespace: String,
    /// What is missing: `policy NAME`, `default-deny Ingress`, `default-deny Egress`.
    #[schemars(length(max = 102))]
    pub missing: Vec<String>,
}
