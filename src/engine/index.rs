//! Which policies a request has to be matched against at all.

use std::borrow::Borrow;
use std::collections::HashMap;

use bumpalo::Bump;
use rustc_hash::FxBuildHasher;
use stockade_cel::Object;
use stockade_policy::compiled::{Binding, NamespaceGroup, Policy};
use stockade_policy::matching::{MatchPolicy, MatchResources, RuleWithOperations};
use stockade_policy::selector::{LabelSelector, Operator, Requirement};

use crate::equivalents::{Equivalent, Equivalents};
use crate::matcher::selector::fault;
use crate::request::{GroupVersionResource, Operation, Request, labels};

/// Policies by group and resource, wildcards in buckets of their own, each by the operations and labels it could be
/// about. Candidates still have to be matched; what is not a candidate cannot match.
#[derive(Debug, Default)]
pub struct Index {
    exact: HashMap<String, HashMap<String, Bucket, FxBuildHasher>, FxBuildHasher>,
    any_group: HashMap<String, Bucket, FxBuildHasher>,
    any_resource: HashMap<String, Bucket, FxBuildHasher>,
    any: Bucket,
    /// Whether some policy is found by the labels of its namespace.
    reads_namespaces: bool,
    /// Whether some policy is found by the label that has the name of its namespace. A Namespace that is written may
    /// lack it until the API server fills it in.
    reads_names: bool,
}

/// Policies about one group and resource.
#[derive(Debug, Default)]
struct Bucket {
    everywhere: Vec<Entry>,
    /// Those that need a label of the namespace to have one of some values.
    by_namespace: ByLabel,
    /// Those that need a label of the object or the old object to have one of some values.
    by_object: ByLabel,
}

/// Entries by label key and value.
type ByLabel = HashMap<String, HashMap<String, Vec<Entry>, FxBuildHasher>, FxBuildHasher>;

/// One policy in a bucket.
#[derive(Debug, Clone, Copy)]
struct Entry {
    policy: u32,
    /// Bit per [`Operation`].
    operations: u8,
    /// Also found for resources that are equivalent to the bucket's.
    equivalent: bool,
}

/// What is known of the namespace that namespace selectors are about.
#[derive(Debug, Clone, Copy)]
pub enum NamespaceFacts<'a> {
    /// Its labels.
    Labels(Option<&'a Object<'a>>),
    /// Nothing that could rule a policy out: a cluster-scoped object, or a namespace that could not be read, which is
    /// for the matcher to report.
    Unknown,
}

// === impl Index ===

impl Index {
    /// Indexes policies by their position, for requests that have these equivalents.
    pub fn new<P: Borrow<Policy>>(policies: &[P], groups: &[NamespaceGroup], equivalents: &Equivalents) -> Self {
        let mut index = Self::default();
        let kinds_known = equivalents.kinds_known();
        let groups: HashMap<&str, Vec<Requirement>> =
            groups.iter().filter_map(|g| Some((&*g.name, members_of(g)?))).collect();
        for (number, policy) in policies.iter().map(Borrow::borrow).enumerate() {
            if policy.bindings.is_empty() {
                continue;
            }
            let constraints = &policy.match_constraints;
            let of_groups = needed_of_groups(policy, &groups);
            index.reads_names |= of_groups.is_some();
            let needed = of_groups.or_else(|| needed(policy, kinds_known));
            index.reads_namespaces |= needed.iter().flatten().any(|n| matches!(n, Needed::OfNamespace(_)));
            let number = number as u32;
            let equivalent = constraints.match_policy == MatchPolicy::Equivalent;
            if constraints.resource_rules.is_empty() {
                let entry = Entry { policy: number, operations: u8::MAX, equivalent };
                index.any.insert(entry, needed.as_deref());
            }
            for rule in &constraints.resource_rules {
                let entry = Entry { policy: number, operations: operations(rule), equivalent };
                index.insert(rule, entry, needed.as_deref());
            }
        }
        index
    }

    fn insert(&mut self, rule: &RuleWithOperations, entry: Entry, needed: Option<&[Needed<'_>]>) {
        for group in &rule.api_groups {
            for resource in &rule.resources {
                let resource = resource.split_once('/').map_or(resource.as_str(), |(r, _)| r);
                let bucket = match (group.as_str(), resource) {
                    ("*", "*") => &mut self.any,
                    ("*", r) => self.any_group.entry(r.to_owned()).or_default(),
                    (g, "*") => self.any_resource.entry(g.to_owned()).or_default(),
                    (g, r) => self.exact.entry(g.to_owned()).or_default().entry(r.to_owned()).or_default(),
                };
                bucket.insert(entry, needed);
            }
        }
    }

    /// Numbers of the policies that could match, ascending, each once. Allocates in the arena only. `namespace` is
    /// asked at most once, and only when some policy depends on it.
    pub fn candidates<'a, 'r>(
        &self,
        request: &Request<'r>,
        namespace: impl FnOnce() -> NamespaceFacts<'r>,
        equivalents: &Equivalents,
        arena: &'a Bump,
    ) -> &'a [u32] {
        let mut found = bumpalo::collections::Vec::new_in(arena);
        let labelled = self.reads_namespaces && !(self.reads_names && request.is_namespace());
        let namespace = if labelled { namespace() } else { NamespaceFacts::Unknown };
        let objects = [labels(request.object), labels(request.old_object)];
        let wanted = Wanted { operation: bit(request.operation), namespace, objects, equivalent: false };
        self.collect(request.resource.group, request.resource.resource, wanted, &mut found);
        let others = equivalents.of(request.resource.group, request.resource.resource, request.sub_resource);
        for (i, other) in others.iter().enumerate() {
            let GroupVersionResource { group, resource, .. } = other.resource();
            let same = |r: &Equivalent| (r.resource().group, r.resource().resource) == (group, resource);
            if others[..i].iter().any(same) || (group, resource) == (request.resource.group, request.resource.resource)
            {
                continue;
            }
            self.collect(group, resource, Wanted { equivalent: true, ..wanted }, &mut found);
        }
        found.sort_unstable();
        found.dedup();
        found.into_bump_slice()
    }

    fn collect(&self, group: &str, resource: &str, wanted: Wanted<'_>, into: &mut bumpalo::collections::Vec<'_, u32>) {
        let exact = self.exact.get(group).and_then(|r| r.get(resource));
        let buckets = [exact, self.any_group.get(resource), self.any_resource.get(group), Some(&self.any)];
        for bucket in buckets.into_iter().flatten() {
            bucket.collect(wanted, into);
        }
    }
}

/// What is looked for in a bucket.
#[derive(Clone, Copy)]
struct Wanted<'r> {
    operation: u8,
    namespace: NamespaceFacts<'r>,
    objects: [Option<&'r Object<'r>>; 2],
    equivalent: bool,
}

/// One label that must have one of some values for a policy to match.
#[derive(Clone, Copy)]
enum Needed<'p> {
    OfNamespace(&'p Requirement),
    OfObject(&'p Requirement),
}

/// Labels of which one at least must be there for the policy to judge anything: one of its own selectors', or else one
/// of each binding's. None when there are no such labels.
///
/// What cannot be matched is an error of the policy's, whatever its bindings say, so they count only where that cannot
/// happen unseen: with selectors without fault, namespaces that can be read, and equivalents of known kinds.
fn needed(policy: &Policy, kinds_known: bool) -> Option<Vec<Needed<'_>>> {
    let constraints = &policy.match_constraints;
    if is_faulty(constraints) {
        return None;
    }
    if let Some(own) = Needed::of(constraints) {
        return Some(vec![own]);
    }
    if !kinds_known && constraints.match_policy == MatchPolicy::Equivalent {
        return None;
    }
    policy.bindings.iter().map(|b| bound(b, constraints)).collect()
}

/// The label that has the name of a Namespace; the API server sees to it.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Labels of which the members of a group have one; none when it cannot be told by labels with certain values.
fn members_of(group: &NamespaceGroup) -> Option<Vec<Requirement>> {
    let by_name = || Requirement { key: NAME_LABEL.to_owned(), operator: Operator::In, values: group.names.clone() };
    let named = (!group.names.is_empty()).then(by_name);
    let selected = match &group.selector {
        Some(selector) => Some(selector.requirements.iter().find(|r| r.operator == Operator::In)?.clone()),
        None => None,
    };
    Some(named.into_iter().chain(selected).collect())
}

/// As [`needed`], of the groups that a policy names: what they rule out is never an error.
fn needed_of_groups<'p>(policy: &Policy, groups: &'p HashMap<&str, Vec<Requirement>>) -> Option<Vec<Needed<'p>>> {
    if policy.namespace_groups.is_empty() {
        return None;
    }
    let members: Option<Vec<_>> = policy.namespace_groups.iter().map(|name| groups.get(&**name)).collect();
    Some(members?.into_iter().flatten().map(Needed::OfNamespace).collect())
}

/// The label that a binding needs.
fn bound<'p>(binding: &'p Binding, constraints: &MatchResources) -> Option<Needed<'p>> {
    let resources = binding.match_resources.as_ref().filter(|r| !is_faulty(r))?;
    let needed = Needed::of(resources)?;
    // Where the policy itself asks for the namespace, whether that can be read must come out for any object.
    let hides_errors = matches!(needed, Needed::OfObject(_)) && !constraints.namespace_selector.is_empty();
    (!hides_errors).then_some(needed)
}

/// A selector that is faulty is left to the matcher, which reports it.
fn is_faulty(resources: &MatchResources) -> bool {
    fault(&resources.namespace_selector).is_some() || fault(&resources.object_selector).is_some()
}

// === impl Needed ===

impl<'p> Needed<'p> {
    fn of(resources: &'p MatchResources) -> Option<Self> {
        let one = |s: &'p LabelSelector| s.requirements.iter().find(|r| r.operator == Operator::In);
        let of_object = || one(&resources.object_selector).map(Self::OfObject);
        one(&resources.namespace_selector).map(Self::OfNamespace).or_else(of_object)
    }
}

// === impl Bucket ===

impl Bucket {
    fn insert(&mut self, entry: Entry, needed: Option<&[Needed<'_>]>) {
        let Some(needed) = needed else { return self.everywhere.push(entry) };
        for &one in needed {
            let (map, requirement) = match one {
                Needed::OfNamespace(requirement) => (&mut self.by_namespace, requirement),
                Needed::OfObject(requirement) => (&mut self.by_object, requirement),
            };
            let values = map.entry(requirement.key.clone()).or_default();
            for value in &requirement.values {
                values.entry(value.clone()).or_default().push(entry);
            }
        }
    }

    fn collect(&self, wanted: Wanted<'_>, into: &mut bumpalo::collections::Vec<'_, u32>) {
        let hit = |e: &&Entry| e.operations & wanted.operation != 0 && (!wanted.equivalent || e.equivalent);
        into.extend(self.everywhere.iter().filter(hit).map(|e| e.policy));
        match wanted.namespace {
            NamespaceFacts::Labels(labels) => {
                into.extend(labelled(&self.by_namespace, labels).filter(hit).map(|e| e.policy));
            }
            NamespaceFacts::Unknown => {
                let all = self.by_namespace.values().flat_map(HashMap::values).flatten();
                into.extend(all.filter(hit).map(|e| e.policy));
            }
        }
        for labels in wanted.objects {
            into.extend(labelled(&self.by_object, labels).filter(hit).map(|e| e.policy));
        }
    }
}

/// Entries that some label finds.
fn labelled<'i>(map: &'i ByLabel, labels: Option<&'i Object<'i>>) -> impl Iterator<Item = &'i Entry> {
    let labels = labels.filter(|_| !map.is_empty()).map_or(&[][..], Object::entries);
    labels.iter().filter_map(|l| map.get(l.key)?.get(l.value.as_str()?)).flatten()
}

fn operations(rule: &RuleWithOperations) -> u8 {
    rule.operations.iter().fold(0, |bits, o| match o.as_str() {
        "*" => u8::MAX,
        name => bits | Operation::parse(name).map_or(0, bit),
    })
}

fn bit(operation: Operation) -> u8 {
    match operation {
        Operation::Create => 1,
        Operation::Update => 2,
        Operation::Delete => 4,
        Operation::Connect => 8,
    }
}

#[cfg(test)]
mod tests;
