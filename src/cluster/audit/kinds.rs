//! Which resources are audited: those that are served, can be listed, and some policy is about.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::core::Version;
use stockade_cel::Value;
use stockade_engine::audit::{Existing, is_about};
use stockade_engine::request::{GroupVersionKind, GroupVersionResource};
use stockade_policy::compiled::Policy;

use crate::resources::{Served, Snapshot};

/// Resources that are never audited, whatever policies match: by group and resource, all of a group for `*`. They
/// change all the time and are written by the system itself (events, leases), are reports, or are no objects that are
/// stored (metrics).
const NEVER: [(&str, &str); 6] = [
    ("", "events"),
    ("events.k8s.io", "events"),
    ("coordination.k8s.io", "leases"),
    ("openreports.io", "*"),
    ("wgpolicyk8s.io", "*"),
    ("metrics.k8s.io", "*"),
];

/// A resource that is audited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Empty for core.
    pub(crate) group: String,
    /// The most stable version that is served.
    pub(crate) version: String,
    /// `NetworkPolicy`
    pub(crate) kind: String,
    /// `networkpolicies`
    pub(crate) plural: String,
    /// Whether its objects live in namespaces.
    pub(crate) namespaced: bool,
}

/// The resources that some of these policies are about, by name (`deployments.apps`).
pub(crate) fn audited(snapshot: &Snapshot, policies: &[Arc<Policy>]) -> BTreeMap<Arc<str>, Arc<Kind>> {
    let mut kinds: BTreeMap<Arc<str>, Arc<Kind>> = BTreeMap::new();
    for served in snapshot.served() {
        let never = NEVER.iter().any(|(g, r)| *g == served.group && (*r == "*" || *r == served.plural));
        let listed = served.has_verb("list") && served.has_verb("watch");
        if never || !listed || !policies.iter().any(|p| is_about(p, &served.group, &served.plural)) {
            continue;
        }
        let kind = Kind::of(served);
        let name: Arc<str> = kind.name().into();
        let stable = |k: &Kind| Version::parse(&k.version).priority();
        if kinds.get(&name).is_none_or(|known| stable(known) < stable(&kind)) {
            kinds.insert(name, Arc::new(kind));
        }
    }
    kinds
}

// === impl Kind ===

impl Kind {
    fn of(served: &Served) -> Self {
        let Served { group, version, kind, plural, namespaced, .. } = served.clone();
        Self { group, version, kind, plural, namespaced }
    }

    /// One of its objects, as a list has it.
    pub(crate) fn existing<'a>(&'a self, object: Value<'a>) -> Existing<'a> {
        let Self { group, version, kind, plural, namespaced } = self;
        Existing {
            object,
            kind: GroupVersionKind { group, version, kind },
            resource: GroupVersionResource { group, version, resource: plural },
            namespaced: *namespaced,
        }
    }

    /// `deployments.apps`, `pods`
    pub(crate) fn name(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// `apps/v1`, `v1`
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Path of the list, of one namespace or of all.
    pub(crate) fn url(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() { "/api" } else { "/apis" };
        let namespace = namespace.map_or(String::new(), |n| format!("namespaces/{n}/"));
        format!("{root}/{}/{namespace}{}", self.api_version(), self.plural)
    }
}
