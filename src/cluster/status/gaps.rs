//! Who is in a group of namespaces, and what each of them lacks.

use bumpalo::Bump;
use stockade_cel::Value;
use stockade_engine::facts::{Fact, Into, MAX_LISTED, NAMESPACE};
use stockade_engine::network::{Direction, NETWORK_POLICY, isolates, pod_selector};
use stockade_engine::request::labels;
use stockade_policy::compiled::{NamespaceGroup, Policy};

use super::view::View;
use crate::kinds::namespace_group::Gap;

/// Members and what they lack, both sorted by name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gaps {
    pub(super) members: Vec<String>,
    pub(super) gaps: Vec<Gap>,
}

/// One namespace, with its object.
#[derive(Clone, Copy)]
struct Namespace<'a> {
    name: &'a str,
    object: Value<'a>,
}

/// Who is in a group, and what is missing; none while Namespaces or NetworkPolicies are not known, or are more than
/// anybody may list.
pub(super) fn gaps(view: &View<'_>, group: &NamespaceGroup) -> Option<Gaps> {
    let arena = Bump::new();
    let into = Into { arena: &arena, symbols: view.generation.engine.symbols() };
    let mut found = Gaps { members: Vec::new(), gaps: Vec::new() };
    for object in known(view.facts.list(NAMESPACE, "", into))? {
        let name = object.path(&["metadata", "name"]).and_then(Value::as_str).unwrap_or_default();
        let namespace = Namespace { name, object: *object };
        if !namespace.is_in(group) {
            continue;
        }
        let missing = missing(view, group, namespace, into)?;
        if !missing.is_empty() {
            found.gaps.push(Gap { namespace: name.to_owned(), missing });
        }
        found.members.push(name.to_owned());
    }
    found.members.sort_unstable();
    found.gaps.sort_unstable_by(|a, b| a.namespace.cmp(&b.namespace));
    Some(found)
}

fn known<'a>(listed: Fact<&'a [Value<'a>]>) -> Option<&'a [Value<'a>]> {
    match listed {
        Fact::Known(list) if list.len() <= MAX_LISTED => Some(list),
        Fact::Known(_) | Fact::NotReady => None,
    }
}

fn missing(view: &View<'_>, group: &NamespaceGroup, namespace: Namespace<'_>, into: Into<'_>) -> Option<Vec<String>> {
    let groups = &view.generation.engine.set().groups;
    let required = group.required_policies.iter();
    let lacks = |name: &&String| !view.policy(name).is_some_and(|policy| namespace.is_guarded(policy, groups));
    let mut missing: Vec<String> = required.filter(lacks).map(|name| format!("policy {name}")).collect();
    let (ingress, egress) = (group.default_deny.ingress, group.default_deny.egress);
    if !ingress && !egress {
        return Some(missing);
    }
    let policies = known(view.facts.list(NETWORK_POLICY, namespace.name, into))?;
    for (wanted, direction, name) in [(ingress, Direction::Ingress, "Ingress"), (egress, Direction::Egress, "Egress")] {
        if wanted && !policies.iter().any(|policy| denies_by_default(*policy, direction)) {
            missing.push(format!("default-deny {name}"));
        }
    }
    Some(missing)
}

/// Whether a NetworkPolicy isolates all Pods of its namespace in a direction, and does not open it again to all.
fn denies_by_default(policy: Value<'_>, direction: Direction) -> bool {
    let rules = match direction {
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    };
    let rules = policy.path(&["spec", rules]).and_then(Value::as_list).unwrap_or(&[]);
    let opens = |rule: &Value<'_>| {
        ["from", "to", "ports"].iter().all(|name| rule.get(name).and_then(Value::as_list).is_none_or(<[_]>::is_empty))
    };
    let selects_all = pod_selector(policy).is_ok_and(|selector| selector.is_empty());
    selects_all && isolates(policy, direction) && !rules.iter().any(opens)
}

// === impl Namespace ===

impl Namespace<'_> {
    fn is_in(&self, group: &NamespaceGroup) -> bool {
        let named = group.names.iter().any(|name| name == self.name);
        named || group.selector.as_ref().is_some_and(|s| s.matches(labels(self.object)))
    }

    /// Whether what a policy finds wrong in this namespace is refused, for every object.
    fn is_guarded(&self, policy: &Policy, groups: &[NamespaceGroup]) -> bool {
        let labels = labels(self.object);
        let denies = policy.bindings.iter().any(|binding| {
            let matches = binding.match_resources.as_ref().is_none_or(|m| m.namespace_selector.matches(labels));
            binding.actions.deny && matches
        });
        let grouped = policy.namespace_groups.is_empty()
            || groups.iter().any(|g| policy.namespace_groups.contains(&g.name) && self.is_in(g));
        let reached = policy.rollout.as_ref().is_none_or(|rollout| {
            let whole = |stage: &stockade_policy::compiled::Stage| {
                stage.percentage == 100 && stage.namespace_selector.as_ref().is_none_or(|s| s.matches(labels))
            };
            !rollout.held && rollout.deny.as_ref().is_some_and(whole)
        });
        let selected = policy.match_constraints.namespace_selector.matches(labels);
        denies && grouped && reached && selected && policy.shadow_of.is_none()
    }
}
