//! Label selectors and rules of requests, as the API server's own policy kinds have them, with bounds.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Chooses objects by their labels. All of matchLabels and matchExpressions must hold; an empty selector chooses
/// every object.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels that the object must have with exactly these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "labels")]
    pub match_labels: BTreeMap<String, String>,
    /// Requirements on single labels, all of which must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub match_expressions: Vec<LabelSelectorRequirement>,
}

/// What one label must be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("self.operator in ['In', 'NotIn'] ? has(self.values) && size(self.values) > 0 : true",
        "values must be specified when `operator` is 'In' or 'NotIn'"),
    validation = ("self.operator in ['Exists', 'DoesNotExist'] ? !has(self.values) || size(self.values) == 0 : true",
        "values may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
)]
pub struct LabelSelectorRequirement {
    /// The label's name.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// In and NotIn compare the label's value with values; Exists and DoesNotExist look only whether the label is
    /// there. A label that is not there satisfies NotIn and DoesNotExist.
    pub operator: LabelSelectorOperator,
    /// Values for In and NotIn, at least one; none for Exists and DoesNotExist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 63)))]
    pub values: Vec<String>,
}

/// How a label is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LabelSelectorOperator {
    /// One of the values.
    In,
    /// None of the values.
    NotIn,
    /// Is there.
    Exists,
    /// Is not there.
    DoesNotExist,
}

/// Which requests a policy is about: those that some resourceRule names, no excludeResourceRule names, and both
/// selectors choose.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MatchResources {
    /// Resources and operations that the policy is about. At least one rule must name a request.
    #[schemars(length(min = 1, max = 64))]
    pub resource_rules: Vec<NamedRuleWithOperations>,
    /// Resources and operations that it is not about, although a resourceRule names them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub exclude_resource_rules: Vec<NamedRuleWithOperations>,
    /// Only requests in Namespaces with these labels; for a Namespace itself its own labels count. Other
    /// cluster-scoped objects are never excluded by it. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(merge_strategy = MapMerge::Atomic)]
    pub namespace_selector: Option<LabelSelector>,
    /// Only objects with these labels. The new and the old object are looked at; one that is chosen is enough. Whoever
    /// sends a request may choose its labels, so rely on it only where being left out costs the sender something.
    /// Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(merge_strategy = MapMerge::Atomic)]
    pub object_selector: Option<LabelSelector>,
    /// Exact: a rule names a request only in the API group and version that it was sent in. Equivalent: also where
    /// the same object was sent in another group or version; it is converted for the policy.
    #[serde(default)]
    pub match_policy: MatchPolicy,
}

/// Whether other versions of the same resource are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum MatchPolicy {
    /// Only what is written.
    Exact,
    /// Every version of it.
    #[default]
    Equivalent,
}

/// Operations on resources, and optionally the names of objects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamedRuleWithOperations {
    /// API groups of the resources; "" is the core group, * all groups and then the only entry.
    #[schemars(length(min = 1, max = 64), inner(length(max = 253)))]
    #[x_kube(validation = ("size(self) == 1 || !('*' in self)", "if '*' is present, must not specify other API groups"))]
    pub api_groups: Vec<String>,
    /// API versions of the resources; * is all versions and then the only entry.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 63)))]
    #[x_kube(validation = ("size(self) == 1 || !('*' in self)", "if '*' is present, must not specify other API versions"))]
    pub api_versions: Vec<String>,
    /// What is done with the object; * is all of them and then the only entry. Mutations are skipped on DELETE.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(validation = ("size(self) == 1 || !('*' in self)", "if '*' is present, must not specify other operations"))]
    pub operations: Vec<Operation>,
    /// Plural names of the resources: pods; pods/log is a subresource, pods/* are all of its subresources, */scale is
    /// scale of every resource, * are all resources without subresources, and */* is everything.
    #[schemars(length(min = 1, max = 128), inner(length(min = 1, max = 253)))]
    #[x_kube(validation = ("size(self) == 1 || !('*/*' in self)", "if '*/*' is present, must not specify other resources"))]
    pub resources: Vec<String>,
    /// Only objects with these names. Default: all. The name of an object that is made with generateName is not known
    /// before it is stored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 253)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub resource_names: Vec<String>,
    /// Cluster are cluster-scoped resources and Namespaces, Namespaced are those in a namespace, * is both.
    #[serde(default)]
    pub scope: Scope,
}

/// An operation of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Operation {
    /// All.
    #[serde(rename = "*")]
    All,
    /// A new object.
    #[serde(rename = "CREATE")]
    Create,
    /// A changed object.
    #[serde(rename = "UPDATE")]
    Update,
    /// A deleted object.
    #[serde(rename = "DELETE")]
    Delete,
    /// A connection, as `kubectl exec` makes.
    #[serde(rename = "CONNECT")]
    Connect,
}

/// Where resources live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Scope {
    /// Either.
    #[default]
    #[serde(rename = "*")]
    All,
    /// Not in a namespace.
    Cluster,
    /// In a namespace.
    Namespaced,
}

fn labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": { "type": "string", "maxLength": 63 },
    })
}
