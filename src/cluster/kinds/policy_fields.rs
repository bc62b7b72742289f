//! What an AdmissionPolicy and an ImagePolicy have alike: what people want to know, what a failure does, and where.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::expressions::MatchCondition;
use super::image_trust::Registry;
use super::selector::LabelSelector;

/// Fields of both kinds; flattened into their `spec`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyFields {
    /// What it demands, in a few words.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub title: Option<String>,
    /// What it is about, for reports: Network, Pod Security, Supply chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub category: Option<String>,
    /// How bad a violation is: critical, high, medium, low or info.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Severity")]
    pub severity: Option<Severity>,
    /// What it demands, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8192))]
    pub description: Option<String>,
    /// How to fix a violation: a text or a link.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8192))]
    pub remediation: Option<String>,
    /// What a failure does. Deny refuses the request, Warn shows a warning to whoever sent it, Audit writes
    /// it into the API server's audit log. Deny and Warn exclude each other.
    #[serde(default = "deny")]
    #[schemars(length(min = 1, max = 3))]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        validation = ("!('Deny' in self && 'Warn' in self)", "must not contain both Deny and Warn (repeating the same \
            validation failure information in the API response and headers serves no purpose)")
    )]
    pub actions: Vec<Action>,
    /// Expressions that narrow further which requests it is about: all must be true. One that is false ends the matter;
    /// an error counts under failurePolicy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub match_conditions: Vec<MatchCondition>,
    /// Names of NamespaceGroups: only requests in their namespaces. Default: everywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 253)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub namespace_groups: Option<Vec<String>>,
    /// Where the action Deny is in force already. Without it: everywhere. What is in no stage is only audited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// Name of another policy. This one is then judged silently beside it, and only how often their verdicts
    /// differ is counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub shadow_of: Option<String>,
    /// How registries are spoken to. All policies must say the same of one registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["host".into()]))]
    pub registries: Option<Vec<Registry>>,
}

/// What a failure does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Action {
    /// Refuse.
    Deny,
    /// Tell whoever sent the request.
    Warn,
    /// Tell the audit log.
    Audit,
}

/// How bad a violation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Act now.
    Critical,
    /// Act soon.
    High,
    /// Plan it.
    Medium,
    /// Nice to have.
    Low,
    /// Good to know.
    Info,
}

/// Where Deny denies already.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// Where a failure is refused. Without it: nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deny: Option<Stage>,
    /// Where a failure that is not refused yet warns. Without it: nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warn: Option<Stage>,
    /// When the rollout stops by itself: from then on Deny only warns, until the policy is edited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<DenyBudget>,
}

/// A part of all requests; percentage and namespaceSelector must both choose a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stage {
    /// How many of all objects, by a hash of policy, namespace and name that stays the same from request to request.
    #[serde(default = "all")]
    #[schemars(range(max = 100))]
    pub percentage: u8,
    /// Only in Namespaces with these labels. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
}

/// The share of sources that a policy may refuse. A source is one requester with what made an object (its controller, else
/// the name it is generated from, else itself) in one namespace; it counts once, by how it was judged last, however often
/// it comes, and only where Deny denies already. No namespace is more than 64 sources; once three have been judged within
/// the window, the one that was refused most is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DenyBudget {
    /// Percentage of judged sources that may be refused.
    #[schemars(range(max = 100))]
    pub max_deny_percentage: u8,
    /// Time over which they are counted, in seconds.
    #[schemars(range(min = 10, max = 86_400))]
    pub window_seconds: u32,
    /// Fewer sources than this within the window say nothing. More than 2,048 are as good as 2,048.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub min_requests: u32,
}

fn deny() -> Vec<Action> {
    vec![Action::Deny]
}

fn all() -> u8 {
    100
}
