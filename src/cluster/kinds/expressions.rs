//! The parts of a policy that hold CEL expressions, as the API server's own policy kinds have them.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An expression that narrows which requests a policy is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MatchCondition {
    /// Unique in the policy; shown in errors and metrics.
    #[schemars(length(min = 1, max = 317))]
    pub name: String,
    /// CEL, must be bool. It sees object, oldObject, request, params and authorizer, but no variables.
    #[schemars(length(min = 1, max = 100_000), pattern(r"\S"))]
    pub expression: String,
}

/// A named expression.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Variable {
    /// A CEL identifier, unique in the policy. Other expressions use the value as `variables.NAME`.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// CEL of any type. It may use the variables before it.
    #[schemars(length(min = 1, max = 100_000), pattern(r"\S"))]
    pub expression: String,
}

/// What must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Validation {
    /// CEL, must be true.
    ///
    /// It sees `object` (null on DELETE), `oldObject` (null on CREATE), `request`, `params`, `namespaceObject` (null
    /// for cluster-scoped objects), `variables` and `authorizer`; and the libraries `cluster` (objects that exist),
    /// `network` (which NetworkPolicies isolate a Pod) and `images` (who signed an image, and its configuration).
    #[schemars(length(min = 1, max = 100_000), pattern(r"\S"))]
    pub expression: String,
    /// What is told when it is not, in one line. Default: `failed expression: …`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8192))]
    pub message: Option<String>,
    /// CEL, a string that is told instead of message. When it fails or is blank, message is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100_000))]
    pub message_expression: Option<String>,
    /// Machine-readable reason of the refusal, which sets its HTTP code: Forbidden 403, Invalid 422 (the default),
    /// RequestEntityTooLarge 413.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<RefusalReason>,
}

/// Reason of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RefusalReason {
    /// 403
    Forbidden,
    /// 422
    Invalid,
    /// 413
    RequestEntityTooLarge,
}

/// A line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditAnnotation {
    /// Unique in the policy; shown as `POLICY/KEY`.
    #[schemars(length(min = 1, max = 63))]
    pub key: String,
    /// CEL, a string, or null for none.
    #[schemars(length(min = 1, max = 5_120), pattern(r"\S"))]
    pub value_expression: String,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.patchType != 'ApplyConfiguration' || has(self.applyConfiguration)")
        .message("must be specified when patchType is ApplyConfiguration").reason(Reason::FieldValueRequired)
        .field_path(".applyConfiguration"),
    validation = Rule::new("self.patchType == 'ApplyConfiguration' || !has(self.applyConfiguration)")
        .message("must not be specified when patchType is JSONPatch").field_path(".applyConfiguration"),
    validation = Rule::new("self.patchType != 'JSONPatch' || has(self.jsonPatch)")
        .message("must be specified when patchType is JSONPatch").reason(Reason::FieldValueRequired)
        .field_path(".jsonPatch"),
    validation = Rule::new("self.patchType == 'JSONPatch' || !has(self.jsonPatch)")
        .message("must not be specified when patchType is ApplyConfiguration").field_path(".jsonPatch")
)]
pub struct Mutation {
    /// How it is written: ApplyConfiguration merges an object as server-side apply does, JSONPatch is a list of
    /// operations.
    pub patch_type: PatchType,
    /// For the patchType of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apply_configuration: Option<ApplyConfiguration>,
    /// For the patchType of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json_patch: Option<JsonPatch>,
}

/// How a change is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PatchType {
    /// A part of the object.
    ApplyConfiguration,
    /// Operations (RFC 6902).
    #[serde(rename = "JSONPatch")]
    JsonPatch,
}

/// A change as a part of the object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplyConfiguration {
    /// CEL, an `Object{…}` of the fields to set. It may not set atomic lists, maps or structs.
    #[schemars(length(min = 1, max = 100_000), pattern(r"\S"))]
    pub expression: String,
}

/// A change as operations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JsonPatch {
    /// CEL, a list of `JSONPatch{op, path, value}`.
    #[schemars(length(min = 1, max = 100_000), pattern(r"\S"))]
    pub expression: String,
}
