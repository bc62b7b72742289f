//! Kinds, resources and subresources that the server serves.

use std::cmp::Ordering;
use std::sync::OnceLock;

use crate::shape::{Fields, Shape, StructId, TypeId};

mod parse;
mod retired;

/// The generated facts; the format is described in `kinds/parse.rs`.
const DATA: &str = include_str!("data/kubernetes.txt");

/// Everything that is known of the built-in kinds. Parsed once, about 300 KB.
#[derive(Debug, Default)]
pub struct Kinds {
    shapes: Vec<Shape>,
    structs: Vec<Fields>,
    /// Sorted by group, version, kind.
    kinds: Vec<Kind>,
    /// In the server's order of preference.
    resources: Vec<Resource>,
    /// Numbers of resources, sorted by group, version, plural.
    by_resource: Vec<u16>,
    /// Numbers of resources, sorted by group, version, kind.
    by_kind: Vec<u16>,
}

/// A kind: group, version, kind and the type of its objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// API group, empty for core.
    pub group: &'static str,
    /// API version.
    pub version: &'static str,
    /// Kind.
    pub kind: &'static str,
    root: TypeId,
}

/// A resource of discovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// API group, empty for core.
    pub group: &'static str,
    /// API version.
    pub version: &'static str,
    /// Plural name: `pods`.
    pub resource: &'static str,
    /// Singular name: `pod`.
    pub singular: &'static str,
    /// Kind of its objects.
    pub kind: &'static str,
    /// Namespaced or cluster-wide.
    pub scope: Scope,
    /// `create`, `get`, …
    pub verbs: Vec<&'static str>,
    /// `po`, …
    pub short_names: Vec<&'static str>,
    /// Sorted by name.
    pub subresources: Vec<Subresource>,
}

/// A subresource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subresource {
    /// `scale`, `status`, `exec`, …
    pub name: &'static str,
    /// Group of the kind it takes (`autoscaling` for `deployments/scale`).
    pub group: &'static str,
    /// Version of the kind it takes.
    pub version: &'static str,
    /// The kind it takes.
    pub kind: &'static str,
    /// `get`, `update`, …
    pub verbs: Vec<&'static str>,
}

/// Where objects of a resource live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// In a namespace.
    Namespaced,
    /// In none.
    Cluster,
}

/// A resource that holds the same objects as another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Equivalent {
    /// API group.
    pub group: &'static str,
    /// API version.
    pub version: &'static str,
    /// Plural name.
    pub resource: &'static str,
    /// Kind that a request for it (and the subresource asked for) carries.
    pub kind: EquivalentKind,
    /// False for versions that older servers served and 1.36 does not. A 1.36 server does not find them equivalent.
    pub served: bool,
}

/// Group, version and kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EquivalentKind {
    /// API group.
    pub group: &'static str,
    /// API version.
    pub version: &'static str,
    /// Kind.
    pub kind: &'static str,
}

// === impl Kinds ===

impl Kinds {
    /// The kinds of a Kubernetes 1.36 server with default features.
    pub fn builtin() -> &'static Kinds {
        static BUILTIN: OnceLock<Kinds> = OnceLock::new();
        // The text is compiled in and a test parses it strictly, so the fallback is never taken.
        BUILTIN.get_or_init(|| parse::parse(DATA).unwrap_or_default())
    }

    /// A kind by group (empty for core), version and kind; also list kinds and those of subresources.
    pub fn by_gvk(&self, group: &str, version: &str, kind: &str) -> Option<&Kind> {
        let at = self.kinds.binary_search_by(|k| (k.group, k.version, k.kind).cmp(&(group, version, kind))).ok()?;
        self.kinds.get(at)
    }

    /// A kind by the `apiVersion` and `kind` of an object.
    pub fn by_api_version(&self, api_version: &str, kind: &str) -> Option<&Kind> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        self.by_gvk(group, version, kind)
    }

    /// A resource by group, version and plural name.
    pub fn by_resource(&self, group: &str, version: &str, resource: &str) -> Option<&Resource> {
        self.search(&self.by_resource, |r| (r.group, r.version, r.resource).cmp(&(group, version, resource)))
    }

    /// The resource whose objects have this kind.
    pub fn resource_of_kind(&self, group: &str, version: &str, kind: &str) -> Option<&Resource> {
        self.search(&self.by_kind, |r| (r.group, r.version, r.kind).cmp(&(group, version, kind)))
    }

    /// Whether this is a built-in kind that the OpenAPI document of its own group and version does not describe, so
    /// that the server cannot merge into its objects: `Scale`, which only subresources of other groups take, or the
    /// options of connections.
    pub fn is_undescribed(&self, group: &str, version: &str, kind: &str) -> bool {
        let connects = |name| matches!(name, "attach" | "exec" | "portforward" | "proxy");
        let mut document = self.resources.iter().filter(|r| (r.group, r.version) == (group, version)).peekable();
        document.peek().is_some()
            && !document.any(|r| {
                let mut subresources = r.subresources.iter().filter(|s| !connects(s.name));
                r.kind == kind || subresources.any(|s| (s.group, s.version, s.kind) == (group, version, kind))
            })
    }

    /// All resources, in the order in which the server prefers groups and versions.
    pub fn resources(&self) -> impl Iterator<Item = &Resource> {
        self.resources.iter()
    }

    /// Resources that hold the same objects as this one and have the subresource (empty for the object itself),
    /// among them the resource itself: the other versions of its group, and the groups that share its storage.
    /// Served ones first, in the server's order of preference.
    pub fn equivalents(&self, group: &str, resource: &str, subresource: &str) -> Vec<Equivalent> {
        let served = self.resources.iter().filter(|r| {
            r.resource == resource && (r.group == group || retired::share_storage(resource, r.group, group))
        });
        let mut all: Vec<Equivalent> = served
            .filter_map(|r| {
                let kind = r.kind_of(subresource)?;
                Some(Equivalent { group: r.group, version: r.version, resource: r.resource, kind, served: true })
            })
            .collect();
        all.extend(retired::equivalents(group, resource, subresource));
        all
    }

    fn search(&self, index: &[u16], order: impl Fn(&Resource) -> Ordering) -> Option<&Resource> {
        let at = index.binary_search_by(|&i| order(&self.resources[usize::from(i)])).ok()?;
        Some(&self.resources[usize::from(index[at])])
    }

    /// Builds the indexes once all facts are read.
    fn index(&mut self) {
        self.kinds.sort_unstable_by_key(|k| (k.group, k.version, k.kind));
        let resources = &self.resources;
        let of = |i: &u16| &resources[usize::from(*i)];
        let all = || (0..u16::try_from(resources.len()).unwrap_or(u16::MAX)).collect::<Vec<_>>();
        let (mut by_resource, mut by_kind) = (all(), all());
        by_resource.sort_by_key(|i| (of(i).group, of(i).version, of(i).resource));
        by_kind.sort_by_key(|i| (of(i).group, of(i).version, of(i).kind));
        (self.by_resource, self.by_kind) = (by_resource, by_kind);
    }

    pub(crate) fn shape(&self, id: TypeId) -> &Shape {
        self.shapes.get(usize::from(id.0)).unwrap_or(&Shape::Any)
    }

    pub(crate) fn fields(&self, id: StructId) -> &Fields {
        static NONE: Fields = Fields { name: "", list: Vec::new() };
        self.structs.get(usize::from(id.0)).unwrap_or(&NONE)
    }
}

// === impl Kind ===

impl Kind {
    /// Type of its objects.
    pub fn root(&self) -> TypeId {
        self.root
    }
}

// === impl Resource ===

impl Resource {
    /// The subresource of that name.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|s| s.name == name)
    }

    /// Kind that a request for this resource carries, or for its subresource when that is not empty.
    pub fn kind_of(&self, subresource: &str) -> Option<EquivalentKind> {
        if subresource.is_empty() {
            return Some(EquivalentKind { group: self.group, version: self.version, kind: self.kind });
        }
        let s = self.subresource(subresource)?;
        Some(EquivalentKind { group: s.group, version: s.version, kind: s.kind })
    }
}

#[cfg(test)]
mod tests;
