//! Which policies a request has to be matched against at all.

use std::collections::HashMap;

use bumpalo::Bump;
use rustc_hash::FxBuildHasher;
use stockade_policy::compiled::Policy;
use stockade_policy::matching::{MatchPolicy, RuleWithOperations};
use stockade_policy::selector::Operator;

use crate::equivalents::Equivalents;
use crate::request::{Operation, Request};

/// Policies by group and resource, wildcards in buckets of their own, each with the operations and namespaces it
/// could be about. Candidates still have to be matched; what is not a candidate cannot match.
#[derive(Debug, Default)]
pub struct Index {
    exact: HashMap<String, HashMap<String, Bucket, FxBuildHasher>, FxBuildHasher>,
    any_group: HashMap<String, Bucket, FxBuildHasher>,
    any_resource: HashMap<String, Bucket, FxBuildHasher>,
    any: Bucket,
}

/// Policies about one group and resource.
#[derive(Debug, Default)]
struct Bucket {
    /// Of any namespace, or cluster-scoped.
    everywhere: Vec<Entry>,
    /// Of policies that select namespaces by name alone (`kubernetes.io/metadata.name`).
    by_namespace: HashMap<String, Vec<Entry>, FxBuildHasher>,
}

/// One policy in a bucket.
#[derive(Debug, Clone, Copy)]
struct Entry {
    policy: u32,
    /// Bit per [`Operation`].
    operations: u8,
    /// Also found for resources that are equivalent to the bucket's.
    equivalent: bool,
}

/// The label that every namespace has with its name as value, set by the API server.
const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";

// === impl Index ===

impl Index {
    /// Indexes policies by their position.
    pub fn new(policies: &[Policy]) -> Self {
        let mut index = Self::default();
        for (number, policy) in policies.iter().enumerate() {
            if policy.bindings.is_empty() {
                continue;
            }
            let constraints = &policy.match_constraints;
            let namespaces = names_alone(policy);
            let number = number as u32;
            let equivalent = constraints.match_policy == MatchPolicy::Equivalent;
            if constraints.resource_rules.is_empty() {
                let entry = Entry { policy: number, operations: u8::MAX, equivalent };
                index.any.insert(entry, namespaces);
            }
            for rule in &constraints.resource_rules {
                let entry = Entry { policy: number, operations: operations(rule), equivalent };
                index.insert(rule, entry, namespaces);
            }
        }
        index
    }

    fn insert(&mut self, rule: &RuleWithOperations, entry: Entry, namespaces: Option<&[String]>) {
        for group in &rule.api_groups {
            for resource in &rule.resources {
                let resource = resource.split_once('/').map_or(resource.as_str(), |(r, _)| r);
                let bucket = match (group.as_str(), resource) {
                    ("*", "*") => &mut self.any,
                    ("*", r) => self.any_group.entry(r.to_owned()).or_default(),
                    (g, "*") => self.any_resource.entry(g.to_owned()).or_default(),
                    (g, r) => self.exact.entry(g.to_owned()).or_default().entry(r.to_owned()).or_default(),
                };
                bucket.insert(entry, namespaces);
            }
        }
    }

    /// Numbers of the policies that could match, ascending, each once. Allocates in the arena only.
    pub fn candidates<'a>(&self, request: &Request<'_>, equivalents: &Equivalents, arena: &'a Bump) -> &'a [u32] {
        let mut found = bumpalo::collections::Vec::new_in(arena);
        // A Namespace being written is judged by its own labels, which need not say its name.
        let namespace = if request.resource.resource == "namespaces" { None } else { Some(request.namespace) };
        let namespace = namespace.filter(|n| !n.is_empty());
        let wanted = Wanted { operation: bit(request.operation), namespace, equivalent: false };
        self.collect(request.resource.group, request.resource.resource, wanted, &mut found);
        let others = equivalents.of(request.resource.group, request.resource.resource, request.sub_resource);
        for (i, other) in others.iter().enumerate() {
            let (group, resource) = (other.resource.group, other.resource.resource);
            let same =
                |r: &crate::equivalents::Equivalent| r.resource.group == group && r.resource.resource == resource;
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
    /// None where a selector of namespace names says nothing.
    namespace: Option<&'r str>,
    equivalent: bool,
}

// === impl Bucket ===

impl Bucket {
    fn insert(&mut self, entry: Entry, namespaces: Option<&[String]>) {
        match namespaces {
            None => self.everywhere.push(entry),
            Some(names) => {
                for name in names {
                    self.by_namespace.entry(name.clone()).or_default().push(entry);
                }
            }
        }
    }

    fn collect(&self, wanted: Wanted<'_>, into: &mut bumpalo::collections::Vec<'_, u32>) {
        let hit = |e: &&Entry| e.operations & wanted.operation != 0 && (!wanted.equivalent || e.equivalent);
        into.extend(self.everywhere.iter().filter(hit).map(|e| e.policy));
        match wanted.namespace {
            Some(name) => {
                let named = self.by_namespace.get(name).into_iter().flatten();
                into.extend(named.filter(hit).map(|e| e.policy));
            }
            // Cluster-scoped objects and Namespaces themselves: a namespace selector does not rule them out here.
            None => into.extend(self.by_namespace.values().flatten().filter(hit).map(|e| e.policy)),
        }
    }
}

/// The only namespaces, by name, that a policy could be about; none when that cannot be said. A selector that is
/// faulty is left to the matcher, which reports it.
fn names_alone(policy: &Policy) -> Option<&[String]> {
    let selector = &policy.match_constraints.namespace_selector;
    if crate::matcher::selector::fault(selector).is_some() {
        return None;
    }
    let requirements = &selector.requirements;
    let by_name = requirements.iter().find(|r| r.key == NAMESPACE_NAME_LABEL && r.operator == Operator::In)?;
    (requirements.len() == 1 && !by_name.values.is_empty()).then_some(&by_name.values)
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
