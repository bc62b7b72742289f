//! The outcome of one request.

use serde::Serialize;

use crate::images::Wanted;
use crate::rollout::Source;

/// What the webhook answers and the command line prints. Owned: it outlives the request's arena.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Whether the request may go on.
    pub allowed: bool,
    /// Set when refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// For the user, in order, without duplicates.
    pub warnings: Vec<String>,
    /// `policy/key` → value, sorted by key.
    pub audit_annotations: std::collections::BTreeMap<String, String>,
    /// RFC 6902 operations from the object as it came to the object as it goes on; empty when unchanged.
    pub patch: Vec<serde_json::Value>,
    /// The object after mutation, for [`crate::engine::Verb::Both`]; none when there is none (DELETE, CONNECT without
    /// body) and when the request is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<serde_json::Value>,
    /// One entry per judged rule that did not simply pass, in policy order.
    pub findings: Vec<Finding>,
    /// Where a policy with `shadowOf` ends otherwise than the policy it shadows; at most one entry per such policy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shadow: Vec<ShadowDifference>,
    /// Policies with a rollout's budget that judged this request where they deny; empty for a dry run. For
    /// `Rollouts::record`.
    #[serde(skip)]
    pub budgeted: Vec<Budgeted>,
    /// Shadows that judged this request; empty for a dry run. For `Shadows::record`.
    #[serde(skip)]
    pub compared: Vec<Compared>,
    /// Images that had to be looked at first: have what is wanted gathered and decide again. When there are any, the
    /// request is refused, and nothing else here is a verdict.
    #[serde(skip)]
    pub wanted: Vec<Wanted>,
}

impl Decision {
    /// Nobody has anything to say against the request.
    pub fn allowed() -> Self {
        Self {
            allowed: true,
            status: None,
            warnings: Vec::new(),
            audit_annotations: std::collections::BTreeMap::new(),
            patch: Vec::new(),
            object: None,
            findings: Vec::new(),
            shadow: Vec::new(),
            budgeted: Vec::new(),
            compared: Vec::new(),
            wanted: Vec::new(),
        }
    }
}

/// What a shadow made of a request beside the policy in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compared {
    /// Position of the shadow in its engine's set.
    pub policy: u32,
    /// None when both end alike.
    pub differs: Option<Differs>,
}

/// One request on which a policy and its shadow do not agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShadowDifference {
    /// The shadow.
    pub policy: String,
    /// The policy in force.
    pub of: String,
    /// In which way.
    pub differs: Differs,
    /// The first message of the one that fails.
    pub message: String,
}

/// How a shadow differs from the policy in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Differs {
    /// Only the shadow fails.
    NewlyFails,
    /// Only the policy in force fails.
    NoLongerFails,
}

/// What a policy with a budget made of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budgeted {
    /// Its position in the set of the engine that decided.
    pub policy: u32,
    /// Whose request it is.
    pub source: Source,
    /// Whether it denied the request.
    pub denied: bool,
}

/// `metav1.Status` of a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// HTTP code.
    pub code: u16,
    /// `Invalid`, `Forbidden`, …
    pub reason: String,
    /// As the API server words it: `ValidatingAdmissionPolicy 'p' with binding 'b' denied request: …`.
    pub message: String,
}

/// The result of one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Policy name.
    pub policy: String,
    /// Binding name.
    pub binding: String,
    /// Index or name of the rule: `validations[0]`.
    pub rule: String,
    /// What it led to.
    pub action: FindingAction,
    /// How it ended.
    pub result: FindingResult,
    /// For people.
    pub message: String,
    /// Field of the object it is about, when known (`spec.containers[0].image`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Of an image: `not_signed`, `invalid`, `not_found`, `unavailable`, `unauthorized`, `unfinished`, `no_digest`,
    /// `too_many`, `does_not_hold` or `error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<&'static str>,
    /// Place of the expression in the policy file (`policies/a.yaml:12`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// `namespace/name` of the PolicyException under which this led to nothing ([`FindingAction::Waive`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exception: Option<String>,
}

/// What a finding led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum FindingAction {
    /// Refused.
    Deny,
    /// Warned.
    Warn,
    /// Noted for audit.
    Audit,
    /// The object was changed.
    Mutate,
    /// Nothing: an error under failurePolicy Ignore.
    Ignore,
    /// Nothing: an exception covers it.
    Waive,
    /// Nothing: it passed.
    Pass,
}

/// How a rule ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingResult {
    /// The expression was false.
    Fail,
    /// It could not be evaluated.
    Error,
    /// A mutation was applied.
    Mutated,
    /// All rules of a binding held; told only when asked for.
    Pass,
}
