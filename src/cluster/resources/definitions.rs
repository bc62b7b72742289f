//! CustomResourceDefinitions: of each only its names, versions and how it converts.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::runtime::watcher::Event;
use serde::Deserialize;
use stockade_engine::equivalents::{Conversion, Equivalent};
use stockade_engine::request::{GroupVersionKind, GroupVersionResource};

use super::{Served, Snapshot};

/// Most definitions that are kept; the largest known clusters have some 2,000. Those beyond it are served as discovery
/// says, and an error is logged.
const MAX_DEFINITIONS: usize = 10_000;

/// What every custom resource can be asked for, sorted.
const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// Kind of every `scale` subresource.
const SCALE: GroupVersionKind<'_> = GroupVersionKind { group: "autoscaling", version: "v1", kind: "Scale" };

/// All definitions, as their watch tells.
#[derive(Default)]
pub(super) struct Definitions {
    /// By `metadata.name`; none before the first list is complete.
    by_name: Option<BTreeMap<String, Definition>>,
    listing: BTreeMap<String, Definition>,
    /// Group and plural of definitions that went, until discovery no longer shows them.
    removed: HashSet<(String, String)>,
}

/// What matters of one definition that is established.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Definition {
    pub(super) group: String,
    pub(super) plural: String,
    pub(super) kind: String,
    pub(super) namespaced: bool,
    /// In the order of the definition, served or not.
    pub(super) versions: Vec<Version>,
    /// Whether a webhook converts between versions.
    pub(super) converts_by_webhook: bool,
}

/// One version of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) name: String,
    pub(super) served: bool,
    pub(super) has_status: bool,
    pub(super) has_scale: bool,
}

/// A CustomResourceDefinition, of which only the members above are decoded: schemas are megabytes.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Written {
    metadata: ObjectMeta,
    spec: WrittenSpec,
    #[serde(default)]
    status: WrittenStatus,
}

#[derive(Debug, Clone, Deserialize)]
struct WrittenSpec {
    group: String,
    scope: String,
    versions: Vec<WrittenVersion>,
    conversion: Option<WrittenConversion>,
}

#[derive(Debug, Clone, Deserialize)]
struct WrittenVersion {
    name: String,
    served: bool,
    #[serde(default)]
    subresources: Option<WrittenSubresources>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct WrittenSubresources {
    status: Option<serde::de::IgnoredAny>,
    scale: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Clone, Deserialize)]
struct WrittenConversion {
    strategy: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WrittenStatus {
    accepted_names: WrittenNames,
    conditions: Option<Vec<WrittenCondition>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct WrittenNames {
    plural: String,
    kind: String,
}

#[derive(Debug, Clone, Deserialize)]
struct WrittenCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

// === impl Definitions ===

impl Definitions {
    /// Takes one event; true when something is known that was not before.
    pub(super) fn take(&mut self, event: Event<Written>) -> bool {
        match event {
            Event::Init => {
                self.listing = BTreeMap::new();
                false
            }
            Event::InitApply(written) => {
                insert(&mut self.listing, written);
                false
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listing);
                for (name, definition) in self.by_name.take().into_iter().flatten() {
                    if !listed.contains_key(&name) {
                        self.removed.insert((definition.group, definition.plural));
                    }
                }
                self.by_name = Some(listed);
                true
            }
            Event::Apply(written) => self.by_name.as_mut().is_some_and(|known| {
                insert(known, written);
                true
            }),
            Event::Delete(written) => {
                let name = written.metadata.name.unwrap_or_default();
                let Some(gone) = self.by_name.as_mut().and_then(|known| known.remove(&name)) else { return false };
                self.removed.insert((gone.group, gone.plural));
                true
            }
        }
    }

    /// Whether the first list is complete.
    pub(super) fn are_complete(&self) -> bool {
        self.by_name.is_some()
    }

    /// Takes note of a discovery: what it no longer shows need not be hidden from it.
    pub(super) fn forget_removed(&mut self, discovered: &[Served]) {
        self.removed.retain(|(group, plural)| discovered.iter().any(|s| s.group == *group && s.plural == *plural));
    }

    /// What is served: of custom resources what their definitions say, of the others what discovery says.
    pub(super) fn merge(&self, discovered: &[Served]) -> Snapshot {
        let definitions: Vec<_> = self.by_name.iter().flat_map(BTreeMap::values).cloned().collect();
        let defined: HashSet<_> = definitions.iter().map(|d| (d.group.as_str(), d.plural.as_str())).collect();
        let removed = |s: &Served| self.removed.contains(&(s.group.clone(), s.plural.clone()));
        let others = discovered
            .iter()
            .filter(|s| !defined.contains(&(s.group.as_str(), s.plural.as_str())) && !removed(s))
            .cloned();
        let mut served: Vec<Served> = others.chain(definitions.iter().flat_map(Definition::served)).collect();
        served.sort();
        Snapshot { served, definitions: definitions.into() }
    }
}

/// A definition that is not established serves nothing yet, and one that no longer is, no more.
fn insert(known: &mut BTreeMap<String, Definition>, written: Written) {
    let name = written.metadata.name.clone().unwrap_or_default();
    match Definition::of(written) {
        None => drop(known.remove(&name)),
        Some(_) if known.len() >= MAX_DEFINITIONS && !known.contains_key(&name) => {
            tracing::error!(definition = name, MAX_DEFINITIONS, "too many CustomResourceDefinitions, one is left out");
        }
        Some(definition) => drop(known.insert(name, definition)),
    }
}

// === impl Definition ===

impl Definition {
    /// None when it is not established.
    fn of(written: Written) -> Option<Self> {
        let conditions = written.status.conditions.unwrap_or_default();
        let names = written.status.accepted_names;
        let established = conditions.iter().any(|c| c.kind == "Established" && c.status == "True");
        if !established || names.plural.is_empty() || names.kind.is_empty() {
            return None;
        }
        let version = |v: WrittenVersion| {
            let subresources = v.subresources.unwrap_or_default();
            let (has_status, has_scale) = (subresources.status.is_some(), subresources.scale.is_some());
            Version { name: v.name, served: v.served, has_status, has_scale }
        };
        Some(Self {
            group: written.spec.group,
            plural: names.plural,
            kind: names.kind,
            namespaced: written.spec.scope == "Namespaced",
            versions: written.spec.versions.into_iter().map(version).collect(),
            // What is not plainly None is something that we cannot do.
            converts_by_webhook: written.spec.conversion.is_some_and(|c| c.strategy != "None"),
        })
    }

    /// Versions that have a subresource (empty for the objects themselves), each with the kind of its objects.
    pub(super) fn equivalents(&self, subresource: &str) -> Vec<Equivalent> {
        let conversion = if self.converts_by_webhook { Conversion::Webhook } else { Conversion::Here };
        let has = |v: &&Version| match subresource {
            "status" => v.has_status,
            "scale" => v.has_scale,
            _ => true,
        };
        let versions = self.versions.iter().filter(has).map(|version| {
            let (group, version) = (self.group.as_str(), version.name.as_str());
            let kind = match subresource {
                "scale" => SCALE,
                _ => GroupVersionKind { group, version, kind: &self.kind },
            };
            let resource = GroupVersionResource { group, version, resource: &self.plural };
            Equivalent::new(resource, Some(kind), conversion)
        });
        versions.collect()
    }

    fn served(&self) -> impl Iterator<Item = Served> {
        self.versions.iter().filter(|v| v.served).map(|version| Served {
            group: self.group.clone(),
            version: version.name.clone(),
            kind: self.kind.clone(),
            plural: self.plural.clone(),
            namespaced: self.namespaced,
            verbs: VERBS.map(str::to_owned).to_vec(),
        })
    }
}

impl Resource for Written {
    type DynamicType = ();
    type Scope = kube::core::ClusterResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        CustomResourceDefinition::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        CustomResourceDefinition::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        CustomResourceDefinition::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        CustomResourceDefinition::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests;
