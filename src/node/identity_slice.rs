//! IdentitySlice: who has which address.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most addresses of a slice. Whoever watches gets a slice whole for each change of it, so a bigger one costs more bytes
/// a change, and a smaller one more objects: the number that EndpointSlices have.
pub const MAX_SLICE_ADDRESSES: usize = 100;

/// Identities of one namespace, with their addresses. A namespace with many has several slices.
///
/// Each address is in one slice. While it moves it may for a moment be in two: then the one with the greater
/// `resourceVersion` is right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "stockade.dev",
    version = "v1alpha1",
    kind = "IdentitySlice",
    plural = "identityslices",
    singular = "identityslice",
    category = "stockade",
    derive = "PartialEq",
    doc = "Which Pods of a namespace have which addresses, by what network policies can tell of them. Written by \
           Stockade for its node agents, which therefore watch no Pods of other nodes.",
    printcolumn(name = "Namespace", type_ = "string", json_path = ".spec.namespace", description = "Whose Pods"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
pub struct IdentitySliceSpec {
    /// Whose Pods.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// Pods that no policy can tell apart are one identity.
    #[schemars(length(max = 100))]
    pub identities: Vec<Identity>,
}

/// Pods of one namespace with the same labels and the same named ports. One with many addresses is in several slices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Labels of the Pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Ports of their containers that have a name, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<NamedPort>,
    /// Addresses of these Pods, sorted.
    #[schemars(length(min = 1, max = 100))]
    pub addresses: Vec<String>,
}

/// A port of a container that has a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamedPort {
    /// Its name.
    #[schemars(length(min = 1, max = 15))]
    pub name: String,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// Its number.
    #[schemars(range(min = 1))]
    pub port: u16,
}
