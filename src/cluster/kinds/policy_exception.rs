//! PolicyException: what is waived, for which objects, why, and until when.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::selector::LabelSelector;

/// What is waived, for which objects, why, and until when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "stockade.dev",
    version = "v1alpha1",
    kind = "PolicyException",
    plural = "policyexceptions",
    singular = "policyexception",
    namespaced,
    shortname = "polex",
    category = "stockade",
    category = "policy",
    status = "PolicyExceptionStatus",
    derive = "PartialEq",
    doc = "Waives policies for some objects of its own namespace until it expires; in Stockade's namespace also for \
           cluster-scoped objects. The policies are judged all the same, and what is waived is reported, so that an \
           exception that is no longer needed shows.",
    printcolumn(
        name = "Policies",
        type_ = "string",
        json_path = ".spec.policies[*].name",
        description = "What is waived"
    ),
    printcolumn(
        name = "Expires",
        type_ = "string",
        json_path = ".spec.expires",
        description = "From then on it waives nothing"
    ),
    printcolumn(
        name = "InUse",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='InUse')].status",
        description = "Whether it waives anything"
    ),
    printcolumn(
        name = "Waives",
        type_ = "integer",
        json_path = ".status.waivedFail",
        description = "Failures of existing objects that it waives"
    ),
    printcolumn(name = "Owner", type_ = "string", json_path = ".spec.owner", description = "Who answers for it"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status",
        priority = 1,
        description = "Whether its policies exist and it has not expired"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".spec.reason",
        priority = 1,
        description = "Why it is waived"
    ),
    printcolumn(
        name = "Ticket",
        type_ = "string",
        json_path = ".spec.ticket",
        priority = 1,
        description = "Where it was agreed"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", priority = 1)
)]
#[x_kube(
    validation = ("has(self.resources) || has(self.images)", "one of resources or images must be specified")
)]
pub struct PolicyExceptionSpec {
    /// Which policies are waived.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub policies: Vec<WaivedPolicy>,
    /// For which objects: those that one of these chooses. Default: all that images chooses.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub resources: Option<Vec<WaivedResources>>,
    /// For objects all of whose container images match one of these globs (registry.example.com/agents/**). Default:
    /// any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 512), pattern(r"\S")))]
    pub images: Option<Vec<String>>,
    /// Why it is waived.
    #[schemars(length(min = 1, max = 1_024), pattern(r"\S"))]
    pub reason: String,
    /// Who answers for it.
    #[schemars(length(min = 1, max = 1_024), pattern(r"\S"))]
    pub owner: String,
    /// Where it was agreed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1_024), pattern(r"\S"))]
    pub ticket: Option<String>,
    /// When it ends, as a time of RFC 3339: 2027-01-31T00:00:00Z. From then on it waives nothing.
    pub expires: Time,
}

/// A policy that is waived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaivedPolicy {
    /// Name of the policy: an AdmissionPolicy, an ImagePolicy, or one of the API server's own policy kinds where it is audited.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Only these of its rules: validations[0], mutations[0], auditAnnotations[0]; of an ImagePolicy signatures, digest,
    /// attestations[0]. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 64),
        inner(
            length(max = 32),
            pattern(r"^(signatures|digest|(validations|mutations|auditAnnotations|attestations)\[(0|[1-9][0-9]*)\])$")
        )
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub rules: Option<Vec<String>>,
}

/// Some objects; what is left out means any.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaivedResources {
    /// API groups of the resources; "" is the core group.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(max = 253)))]
    pub api_groups: Option<Vec<String>>,
    /// Plural names of the resources, with subresources as in matchConstraints: pods, pods/exec, */scale.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(max = 253)))]
    pub resources: Option<Vec<String>>,
    /// Globs of the objects' names: agent-*.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 512), pattern(r"\S")))]
    pub names: Option<Vec<String>>,
    /// Labels of the objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(merge_strategy = MapMerge::Atomic)]
    pub selector: Option<LabelSelector>,
}

/// What became of the exception. Written by Stockade.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyExceptionStatus {
    /// metadata.generation that the rest of the status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready: its policies exist and it has not expired. InUse: it waives a failure of some object, or a request of the
    /// last 30 days was admitted because of it. Expired: its time is over; the reason is ExpiresSoon while that is near.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// When a request last was admitted because of it, to the hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used: Option<Time>,
    /// Failures of existing objects that it waives, rule by rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waived_fail: Option<i64>,
    /// Judgements of existing objects that it would waive and that pass without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waived_pass: Option<i64>,
}
