//! AdmissionPolicy: one object that is one policy with its actions.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::expressions::{AuditAnnotation, Mutation, Validation, Variable};
use super::image_trust::{AttestationType, Authority};
use super::policy_fields::PolicyFields;
use super::selector::{LabelSelector, MatchResources};

/// What is judged, and what a failure does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "stockade.dev",
    version = "v1alpha1",
    kind = "AdmissionPolicy",
    plural = "admissionpolicies",
    singular = "admissionpolicy",
    shortname = "apol",
    category = "stockade",
    category = "policy",
    status = "AdmissionPolicyStatus",
    derive = "PartialEq",
    doc = "A policy that is judged at admission: CEL expressions that must hold, and changes that are made. It has all \
           that a ValidatingAdmissionPolicy and a MutatingAdmissionPolicy have, with its actions and params inline, and \
           its expressions may also ask what exists in the cluster and what is known of images.",
    printcolumn(name = "Actions", type_ = "string", json_path = ".spec.actions",
        description = "What a failed validation does"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status",
        description = "Whether it compiles and every replica enforces it"),
    printcolumn(name = "Enforced", type_ = "string", json_path = ".status.enforced",
        description = "Replicas that have it in force, of those that run"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Severity", type_ = "string", json_path = ".spec.severity", priority = 1,
        description = "How bad a violation is"),
    printcolumn(name = "Title", type_ = "string", json_path = ".spec.title", priority = 1,
        description = "What it demands"),
    validation = Rule::new("!has(self.spec.shadowOf) || self.spec.shadowOf != self.metadata.name")
        .message("must be another policy").field_path(".spec.shadowOf")
)]
#[x_kube(
    validation = ("(has(self.validations) && size(self.validations) > 0) \
        || (has(self.auditAnnotations) && size(self.auditAnnotations) > 0) \
        || (has(self.mutations) && size(self.mutations) > 0)",
        "validations, auditAnnotations or mutations must contain at least one item"),
    validation = Rule::new("!has(self.paramRef) || has(self.paramKind)")
        .message("needs spec.paramKind").field_path(".paramRef"),
    validation = Rule::new("!has(self.paramKind) || has(self.paramRef)")
        .message("which params: spec.paramKind names only their kind").reason(Reason::FieldValueRequired)
        .field_path(".paramRef"),
    validation = Rule::new("!has(self.rollout) || 'Deny' in self.actions")
        .message("needs the action Deny: the stages say where it denies already").field_path(".rollout"),
    validation = Rule::new("!has(self.rollout) || !has(self.shadowOf)")
        .message("not beside shadowOf: a shadow never denies").field_path(".rollout"),
    validation = Rule::new("!has(self.mutations) || size(self.mutations) == 0 || !has(self.rollout)")
        .message("not beside mutations: an object is changed or it is not").field_path(".rollout"),
    validation = Rule::new("!has(self.mutations) || size(self.mutations) == 0 || !has(self.shadowOf)")
        .message("not beside mutations: an object is changed or it is not").field_path(".shadowOf"),
    validation = Rule::new("!has(self.attestations) || has(self.authorities)")
        .message("who may have signed what is attested").reason(Reason::FieldValueRequired).field_path(".authorities")
)]
pub struct AdmissionPolicySpec {
    /// What it has in common with an ImagePolicy.
    #[serde(flatten)]
    pub common: PolicyFields,
    /// Which requests it is about.
    pub match_constraints: MatchResources,
    /// Kind of the objects that the expressions see as `params`. Needs paramRef.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(merge_strategy = MapMerge::Atomic)]
    pub param_kind: Option<ParamKind>,
    /// Which objects of paramKind are the params. The policy is judged once for each of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(merge_strategy = MapMerge::Atomic)]
    pub param_ref: Option<ParamRef>,
    /// Named expressions that later ones use as `variables.NAME`. Each is evaluated when it is first asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub variables: Vec<Variable>,
    /// What must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub validations: Vec<Validation>,
    /// What is written into the API server's audit log for each request that is judged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub audit_annotations: Vec<AuditAnnotation>,
    /// What is changed, in this order, before validations of any policy look at the object. Skipped on DELETE.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub mutations: Vec<Mutation>,
    /// What an error in an expression or missing params count as: Fail as a failed validation, Ignore as if the policy
    /// were not there.
    #[serde(default)]
    pub failure_policy: FailurePolicy,
    /// Whether mutations run again after later ones changed the object: Never or IfNeeded. With IfNeeded they must
    /// do nothing when they are applied to their own result.
    #[serde(default)]
    pub reinvocation_policy: ReinvocationPolicy,
    /// Who may have signed images, for expressions that ask `image.signedBy(NAME)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub authorities: Option<Vec<Authority>>,
    /// What may be attested of images, for expressions that ask `image.attestations(NAME)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub attestations: Option<Vec<AttestationType>>,
}

/// What an error counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum FailurePolicy {
    /// As a failed validation.
    #[default]
    Fail,
    /// As nothing.
    Ignore,
}

/// Whether mutations run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum ReinvocationPolicy {
    /// Once a request.
    #[default]
    Never,
    /// Again when a later mutation changed the object.
    IfNeeded,
}

/// Kind of the params.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParamKind {
    /// Group and version: v1, rules.example.com/v1.
    #[schemars(length(min = 1, max = 317))]
    pub api_version: String,
    /// Kind: ConfigMap.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
}

/// Which objects are the params.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("(has(self.name) && self.name != '') || has(self.selector)",
        "one of name or selector must be specified"),
    validation = ("!has(self.name) || self.name == '' || !has(self.selector)",
        "name and selector are mutually exclusive")
)]
pub struct ParamRef {
    /// Name of the one object. Excludes selector.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub name: Option<String>,
    /// Namespace of the params. Default: that of the request, when paramKind is namespaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
    /// Labels of the objects. Excludes name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// What it means when there are none: Allow as if the policy were not there, Deny as an error under
    /// failurePolicy.
    #[serde(default)]
    pub parameter_not_found_action: ParameterNotFoundAction,
}

/// What missing params mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum ParameterNotFoundAction {
    /// Nothing is judged.
    Allow,
    /// An error.
    #[default]
    Deny,
}

/// What became of the policy. Written by Stockade.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdmissionPolicyStatus {
    /// metadata.generation that the rest of the status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Compiled: its expressions compile; if not, the message shows where and why. Enforced: every running replica has
    /// it in force. Ready: both.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Replicas that have it in force, of those that run: 3/3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enforced: Option<String>,
    /// How many replicas have it in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enforced_replicas: Option<i32>,
    /// What the expressions would do wrong with the kinds that they match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub type_checking: Option<TypeChecking>,
    /// How far the rollout has come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutStatus>,
    /// How its verdicts differ from those of the policy in shadowOf.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowStatus>,
}

/// Results of type checking.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TypeChecking {
    /// One for each expression that is doubtful.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub expression_warnings: Vec<ExpressionWarning>,
}

/// A doubtful expression.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExpressionWarning {
    /// Path of the field: spec.validations[0].expression.
    pub field_ref: String,
    /// What is doubtful, for each kind that the policy is about.
    pub warning: String,
}

/// How far a rollout has come.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// metadata.generation that this is about. A hold is one of this generation alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// It has stopped: Deny only warns until the policy is edited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<bool>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_at: Option<Time>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Requests refused within the window when it stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denied: Option<i64>,
    /// Requests judged within the window when it stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judged: Option<i64>,
}

/// How verdicts differ.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShadowStatus {
    /// metadata.generation that this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Requests that both policies judged, of this generation, by all replicas. What a replica counted in its last
    /// minutes is lost when it ends: half a minute of differences at most, five minutes where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judged: Option<i64>,
    /// Requests on which their verdicts differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub differences: Option<i64>,
    /// Of these, requests that only this policy fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newly_fails: Option<i64>,
    /// Of these, requests that only the policy in shadowOf fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_longer_fails: Option<i64>,
}
