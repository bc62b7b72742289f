//! Which resources hold the same objects under another group or version (`matchPolicy: Equivalent`).

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;
use stockade_schema::Kinds;

use crate::request::{GroupVersionKind, GroupVersionResource};

/// One resource that holds the same objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Equivalent {
    group: Box<str>,
    version: Box<str>,
    resource: Box<str>,
    kind: Option<[Box<str>; 3]>,
    conversion: Conversion,
}

/// How objects of one resource become those of an equivalent one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Conversion {
    /// As built-in kinds do, or by another `apiVersion` alone: here.
    #[default]
    Here,
    /// By the webhook of a CustomResourceDefinition, which only the API server can ask.
    Webhook,
}

/// The equivalents of every resource that has any.
#[derive(Debug, PartialEq, Eq, Default)]
pub struct Equivalents {
    /// By plural name, which hardly any two groups share.
    table: HashMap<Box<str>, Vec<Row>, FxBuildHasher>,
    kinds_unknown: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Row {
    group: Box<str>,
    subresource: Box<str>,
    all: Vec<Equivalent>,
}

// === impl Equivalent ===

impl Equivalent {
    /// A resource and the kind of its objects; no kind when it is not known, which is an error where a policy would
    /// have matched.
    pub fn new(resource: GroupVersionResource<'_>, kind: Option<GroupVersionKind<'_>>, conversion: Conversion) -> Self {
        Self {
            group: resource.group.into(),
            version: resource.version.into(),
            resource: resource.resource.into(),
            kind: kind.map(|k| [k.group.into(), k.version.into(), k.kind.into()]),
            conversion,
        }
    }

    /// The resource.
    pub fn resource(&self) -> GroupVersionResource<'_> {
        GroupVersionResource { group: &self.group, version: &self.version, resource: &self.resource }
    }

    /// Kind of its objects.
    pub fn kind(&self) -> Option<GroupVersionKind<'_>> {
        let [group, version, kind] = self.kind.as_ref()?;
        Some(GroupVersionKind { group, version, kind })
    }

    /// How objects become its own.
    pub fn conversion(&self) -> Conversion {
        self.conversion
    }
}

// === impl Equivalents ===

impl Equivalents {
    /// Those of the built-in resources that a Kubernetes 1.36 server serves, in its order of preference.
    pub fn builtin() -> Self {
        let kinds = Kinds::builtin();
        let mut all = Self::default();
        for resource in kinds.resources() {
            let subresources = resource.subresources.iter().map(|s| s.name);
            for subresource in std::iter::once("").chain(subresources) {
                if !all.of(resource.group, resource.resource, subresource).is_empty() {
                    continue;
                }
                let equivalents = kinds.equivalents(resource.group, resource.resource, subresource);
                let served = equivalents.iter().filter(|e| e.served).map(|e| {
                    let kind = GroupVersionKind { group: e.kind.group, version: e.kind.version, kind: e.kind.kind };
                    let resource = GroupVersionResource { group: e.group, version: e.version, resource: e.resource };
                    Equivalent::new(resource, Some(kind), Conversion::Here)
                });
                all.insert(resource.group, resource.resource, subresource, served.collect());
            }
        }
        all
    }

    /// Says which resources hold the same objects as one, itself among them, in the order of preference; for a
    /// subresource those that have it. One alone has no equivalents.
    pub fn insert(&mut self, group: &str, resource: &str, subresource: &str, equivalents: Vec<Equivalent>) {
        if equivalents.len() < 2 {
            return;
        }
        self.kinds_unknown |= equivalents.iter().any(|e| e.kind.is_none());
        let rows = self.table.entry(resource.into()).or_default();
        rows.retain(|r| (&*r.group, &*r.subresource) != (group, subresource));
        rows.push(Row { group: group.into(), subresource: subresource.into(), all: equivalents });
    }

    /// All equivalents of a resource and subresource, the resource itself among them; empty when it is the only one.
    pub fn of(&self, group: &str, resource: &str, subresource: &str) -> &[Equivalent] {
        let rows = self.table.get(resource).map_or(&[][..], Vec::as_slice);
        let row = rows.iter().find(|r| *r.group == *group && *r.subresource == *subresource);
        row.map_or(&[], |r| &r.all)
    }

    /// Whether no equivalent lacks its kind: then a rule that names one never fails a request.
    pub fn kinds_known(&self) -> bool {
        !self.kinds_unknown
    }
}
