//! ImagePolicy: which images may run.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::admission_policy::{AdmissionPolicyStatus, FailurePolicy};
use super::expressions::{Validation, Variable};
use super::image_trust::{AttestationType, Authority};
use super::policy_fields::PolicyFields;
use super::selector::{LabelSelector, MatchResources};

/// Which images may run, and what becomes of the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "stockade.dev",
    version = "v1alpha1",
    kind = "ImagePolicy",
    plural = "imagepolicies",
    singular = "imagepolicy",
    shortname = "ipol",
    category = "stockade",
    category = "policy",
    status = "AdmissionPolicyStatus",
    derive = "PartialEq",
    doc = "Which images may run: who must have signed them, what must be attested of them, and whether they are pulled by \
           a digest. It is judged when a Pod, or what makes Pods, is created, and when an update brings another image.",
    printcolumn(
        name = "Images",
        type_ = "string",
        json_path = ".spec.images",
        description = "Which images it is about"
    ),
    printcolumn(
        name = "Actions",
        type_ = "string",
        json_path = ".spec.actions",
        description = "What an image that fails leads to"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status",
        description = "Whether it compiles and every replica enforces it"
    ),
    printcolumn(
        name = "Enforced",
        type_ = "string",
        json_path = ".status.enforced",
        description = "Replicas that have it in force, of those that run"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Unavailable",
        type_ = "string",
        json_path = ".spec.unavailable",
        priority = 1,
        description = "What an image counts as whose registry does not answer"
    ),
    printcolumn(
        name = "Title",
        type_ = "string",
        json_path = ".spec.title",
        priority = 1,
        description = "What it demands"
    ),
    validation = Rule::new("!has(self.spec.shadowOf) || self.spec.shadowOf != self.metadata.name")
        .message("must be another policy").field_path(".spec.shadowOf")
)]
#[x_kube(
    validation = Rule::new("has(self.authorities) \
        || (has(self.digest) && (self.digest.mutate || self.digest.required) && !has(self.attestations))")
        .message("who may have signed; only a policy with a digest rule needs none").reason(Reason::FieldValueRequired)
        .field_path(".authorities"),
    validation = Rule::new("!has(self.rollout) || 'Deny' in self.actions")
        .message("needs the action Deny: the stages say where it denies already").field_path(".rollout"),
    validation = Rule::new("!has(self.rollout) || !has(self.shadowOf)")
        .message("not beside shadowOf: a shadow never denies").field_path(".rollout")
)]
pub struct ImagePolicySpec {
    /// What it has in common with an AdmissionPolicy.
    #[serde(flatten)]
    pub common: PolicyFields,
    /// Globs of the images it is about, compared with references in full form (docker.io/library/nginx:1.27): `*` stands
    /// for any characters but `/`, `**` for any at all. One without a tag is about all tags.
    #[schemars(length(min = 1, max = 256), inner(length(min = 1, max = 512)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub images: Vec<String>,
    /// Globs of images it is not about. One with a tag excludes no image that is pulled by a digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), inner(length(min = 1, max = 512)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub exclude: Option<Vec<String>>,
    /// Which requests it is about. Default: creation and update of Pods, of containers added to them, and of all built-in
    /// kinds that make Pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub match_constraints: Option<MatchResources>,
    /// Named expressions that the checks of attestations use as `variables.NAME`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub variables: Vec<Variable>,
    /// What an error in an expression counts as: Fail as an image that fails, Ignore as if the policy were not there.
    /// Images that cannot be looked at are not errors: see unavailable.
    #[serde(default)]
    pub failure_policy: FailurePolicy,
    /// Whether one of the authorities must have signed, or each of them: Any or All.
    #[serde(default)]
    pub require: Require,
    /// Who may have signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub authorities: Option<Vec<Authority>>,
    /// Statements that must be there, signed, and hold: all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub attestations: Option<Vec<Attestation>>,
    /// What an image counts as whose registry does not answer: Deny as one that is not signed, Warn and Allow as one that
    /// is. It holds for registries that the policy names, in registries or in a glob without a star in its host. It is not
    /// about what whoever wants the image admitted can bring about, and that is refused as an image that is not signed: a
    /// registry that wants other credentials than the pull secrets of the Pod, pull secrets that cannot be read, and images
    /// that take longer to look at than there is time, or are too many at once. Under Warn and Allow whoever can keep a
    /// registry from answering gets past the policy.
    #[serde(default)]
    pub unavailable: Unavailable,
    /// What becomes of tags. Default: they are pinned to the digest that was verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<DigestRules>,
}

/// How many authorities must have signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Require {
    /// One is enough.
    #[default]
    Any,
    /// Each of them.
    All,
}

/// What no answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Unavailable {
    /// As an image that is not signed.
    #[default]
    Deny,
    /// Admitted with a warning.
    Warn,
    /// Admitted.
    Allow,
}

/// A statement that must be there, signed, and hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attestation {
    /// Which.
    #[serde(flatten)]
    pub of: AttestationType,
    /// What must hold of one statement, over `predicate`, `statement`, `image` and `now`, the time at which it is judged,
    /// and `object`, `oldObject`, `request`, `namespaceObject` and `variables`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub validations: Option<Vec<Validation>>,
}

/// What becomes of tags.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DigestRules {
    /// NAME:TAG becomes NAME:TAG@sha256:…, the digest that was found when it was verified.
    #[serde(default = "yes")]
    pub mutate: bool,
    /// An image without a digest is refused.
    #[serde(default)]
    pub required: bool,
    /// Where neither is done: where something else, GitOps for one, keeps objects as they are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub except: Option<DigestExcept>,
}

/// Namespaces that keep their tags.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DigestExcept {
    /// Namespaces by label.
    pub namespace_selector: LabelSelector,
}

fn yes() -> bool {
    true
}
