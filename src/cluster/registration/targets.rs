//! Sets of requests by operation, group, version, resource and subresource, as the rules of a webhook name them.

use std::collections::BTreeMap;

use k8s_openapi::api::admissionregistration::v1::RuleWithOperations;

/// What stands for anything.
pub(crate) const ANY: &str = "*";

/// One group, version, resource and subresource, each possibly [`ANY`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Target {
    /// `""` for core.
    pub(crate) group: String,
    /// `v1`
    pub(crate) version: String,
    /// `pods`
    pub(crate) resource: String,
    /// `exec`; empty for the object itself.
    pub(crate) sub: String,
}

/// A set of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Operations(u8);

/// Targets, each with the operations on it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Targets(BTreeMap<Target, Operations>);

/// In the order in which rules list them; the bit is the position.
const NAMES: [&str; 4] = ["CREATE", "UPDATE", "DELETE", "CONNECT"];

// === impl Target ===

impl Target {
    pub(crate) fn new(group: &str, version: &str, resource: &str) -> Self {
        let (resource, sub) = resource.split_once('/').unwrap_or((resource, ""));
        Self { group: group.into(), version: version.into(), resource: resource.into(), sub: sub.into() }
    }

    /// Everything.
    pub(crate) fn anything() -> Self {
        Self::new(ANY, ANY, "*/*")
    }

    /// Whether all that `other` names is named by this one.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.fields().iter().zip(other.fields()).all(|(ours, theirs)| *ours == ANY || *ours == theirs)
    }

    /// Whether some request could be named by both, made in any version: the API server also finds a rule by an
    /// equivalent version.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        let same = |a: &str, b: &str| a == ANY || b == ANY || a == b;
        same(&self.group, &other.group) && same(&self.resource, &other.resource) && same(&self.sub, &other.sub)
    }

    /// Whether it names this resource in person, not by a wildcard.
    pub(crate) fn names(&self, group: &str, resource: &str) -> bool {
        self.group == group && self.resource == resource
    }

    /// `pods`, `pods/exec`, `*/*`
    pub(crate) fn path(&self) -> String {
        if self.sub.is_empty() { self.resource.clone() } else { format!("{}/{}", self.resource, self.sub) }
    }

    fn fields(&self) -> [&str; 4] {
        [&self.group, &self.version, &self.resource, &self.sub]
    }
}

// === impl Operations ===

impl Operations {
    pub(crate) const ALL: Self = Self(0b1111);
    pub(crate) const DELETE: Self = Self(0b0100);

    /// Reads those of a rule; `*` is all, what is unknown is none.
    pub(crate) fn read(names: &[String]) -> Self {
        names.iter().fold(Self::default(), |bits, name| match NAMES.iter().position(|n| n == name) {
            Some(bit) => bits.or(Self(1 << bit)),
            None if name == ANY => Self::ALL,
            None => bits,
        })
    }

    pub(crate) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// `["*"]`, or their names.
    pub(crate) fn names(self) -> Vec<String> {
        if self == Self::ALL {
            return vec![ANY.to_owned()];
        }
        NAMES.iter().enumerate().filter(|(bit, _)| self.0 & (1 << bit) != 0).map(|(_, n)| (*n).to_owned()).collect()
    }
}

// === impl Targets ===

impl Targets {
    pub(crate) fn insert(&mut self, target: Target, operations: Operations) {
        if !operations.is_empty() {
            let known = self.0.entry(target).or_default();
            *known = known.or(operations);
        }
    }

    pub(crate) fn extend(&mut self, other: &Self) {
        for (target, operations) in other.iter() {
            self.insert(target.clone(), operations);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Target, Operations)> {
        self.0.iter().map(|(target, operations)| (target, *operations))
    }

    /// The operations on all of a target that are in the set by one of its members.
    pub(crate) fn covering(&self, target: &Target) -> Operations {
        let covering = self.iter().filter(|(t, _)| t.covers(target));
        covering.fold(Operations::default(), |bits, (_, operations)| bits.or(operations))
    }

    /// The same set without what a wider member names already.
    fn simplified(&self) -> Self {
        let mut result = Self::default();
        for (target, operations) in self.iter() {
            let wider = self.iter().filter(|(t, _)| *t != target && t.covers(target));
            let known = wider.fold(Operations::default(), |bits, (_, o)| bits.or(o));
            result.insert(target.clone(), operations.without(known));
        }
        result
    }

    /// The set as rules: as few as come of putting resources together, then groups.
    pub(crate) fn rules(&self, scope: &str) -> Vec<RuleWithOperations> {
        let mut by_group: BTreeMap<(Operations, String, String), Vec<String>> = BTreeMap::new();
        for (target, operations) in self.simplified().iter() {
            let key = (operations, target.version.clone(), target.group.clone());
            by_group.entry(key).or_default().push(target.path());
        }
        let mut by_resources: BTreeMap<(Operations, String, Vec<String>), Vec<String>> = BTreeMap::new();
        for ((operations, version, group), resources) in by_group {
            by_resources.entry((operations, version, resources)).or_default().push(group);
        }
        let rule = |((operations, version, resources), groups): ((Operations, String, Vec<String>), Vec<String>)| {
            RuleWithOperations {
                api_groups: Some(groups),
                api_versions: Some(vec![version]),
                operations: Some(operations.names()),
                resources: Some(resources),
                scope: Some(scope.to_owned()),
            }
        };
        by_resources.into_iter().map(rule).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(list: &[(&str, &str, &[&str])]) -> Targets {
        let mut targets = Targets::default();
        for (group, resource, operations) in list {
            let operations: Vec<String> = operations.iter().map(|o| (*o).to_owned()).collect();
            targets.insert(Target::new(group, "v1", resource), Operations::read(&operations));
        }
        targets
    }

    fn rules(targets: &Targets) -> Vec<String> {
        let list = |l: Option<Vec<String>>| l.unwrap().join(",");
        let text =
            |r: RuleWithOperations| format!("{} {:?} {}", list(r.operations), r.api_groups.unwrap(), list(r.resources));
        targets.rules("Namespaced").into_iter().map(text).collect()
    }

    #[test]
    fn rules_with_equal_parts_are_one_and_what_a_wider_rule_names_is_not_repeated() {
        let set = targets(&[
            ("", "pods", &["CREATE"]),
            ("", "pods", &["UPDATE"]),
            ("", "pods/exec", &["CONNECT"]),
            ("", "pods/*", &["CONNECT"]),
            ("", "services", &["CREATE", "UPDATE"]),
            ("apps", "deployments", &["CREATE", "UPDATE", "DELETE", "CONNECT"]),
            ("extensions", "deployments", &["*"]),
        ]);
        let want =
            ["CREATE,UPDATE [\"\"] pods,services", "CONNECT [\"\"] pods/*", "* [\"apps\", \"extensions\"] deployments"];
        assert_eq!(rules(&set), want);
    }
}
