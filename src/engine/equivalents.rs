//! Which resources hold the same objects under another group or version (`matchPolicy: Equivalent`).

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;
use stockade_schema::Kinds;

use crate::request::{GroupVersionKind, GroupVersionResource};

/// One resource that holds the same objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Equivalent {
    /// The resource.
    pub resource: GroupVersionResource<'static>,
    /// Kind of its objects; none when it is not known, which is an error where a policy would have matched.
    pub kind: Option<GroupVersionKind<'static>>,
}

/// The equivalents of every resource that has any.
#[derive(Debug, Default)]
pub struct Equivalents {
    lists: Vec<Vec<Equivalent>>,
    /// Position in `lists` by group, resource and subresource.
    table: HashMap<(&'static str, &'static str, &'static str), usize, FxBuildHasher>,
}

impl Equivalents {
    /// Those of the built-in resources that a Kubernetes 1.36 server serves, in its order of preference.
    pub fn builtin() -> Self {
        let kinds = Kinds::builtin();
        let mut all = Self::default();
        for resource in kinds.resources() {
            let subresources = resource.subresources.iter().map(|s| s.name);
            for subresource in std::iter::once("").chain(subresources) {
                let key = (resource.group, resource.resource, subresource);
                if all.table.contains_key(&key) {
                    continue;
                }
                let equivalents = kinds.equivalents(key.0, key.1, key.2);
                let served: Vec<_> = equivalents
                    .into_iter()
                    .filter(|e| e.served)
                    .map(|e| Equivalent {
                        resource: GroupVersionResource { group: e.group, version: e.version, resource: e.resource },
                        kind: Some(GroupVersionKind {
                            group: e.kind.group,
                            version: e.kind.version,
                            kind: e.kind.kind,
                        }),
                    })
                    .collect();
                all.insert(key, served);
            }
        }
        all
    }

    /// Says that these resources hold the same objects, or for a subresource that each has it.
    pub fn insert(&mut self, key: (&'static str, &'static str, &'static str), equivalents: Vec<Equivalent>) {
        if equivalents.len() > 1 {
            self.table.insert(key, self.lists.len());
            self.lists.push(equivalents);
        }
    }

    /// All equivalents of a resource and subresource, the resource itself among them; empty when it is the only one.
    pub fn of(&self, group: &str, resource: &str, subresource: &str) -> &[Equivalent] {
        let at = self.table.get(&(group, resource, subresource)).copied();
        at.and_then(|i| self.lists.get(i)).map_or(&[], Vec::as_slice)
    }

    /// Whether no equivalent lacks its kind: then a rule that names one never fails a request.
    pub fn kinds_known(&self) -> bool {
        self.lists.iter().flatten().all(|e| e.kind.is_some())
    }
}
