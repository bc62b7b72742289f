//! What some policy judges, from the compiled set.

use stockade_policy::compiled::{Binding, FailurePolicy, Policy, PolicySet, ReinvocationPolicy, Rollout};
use stockade_policy::matching::{MatchPolicy, MatchResources, RuleWithOperations, Scope};
use stockade_schema::{Kinds, Scope as KindScope};

use super::selectors::Common;
use super::targets::{ANY, Operations, Target, Targets};

/// Which of the two configurations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Validate,
    Mutate,
}

/// All that some policy judges under one verb. Never less; more only where less cannot be proved.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// By policies that refuse what they could not judge.
    pub(crate) strict: Scoped,
    /// By policies that admit what they could not judge: `failurePolicy: Ignore`, or actions that refuse nothing.
    pub(crate) lenient: Scoped,
    /// What the namespaces of all of it have in common.
    pub(crate) namespaces: Common,
    /// What the objects of all of it have in common.
    pub(crate) objects: Common,
    /// Whether some mutation wants to run again.
    pub(crate) reinvoke: bool,
}

/// Targets by scope: webhooks have one entry for each, because namespace selectors say nothing of the other.
#[derive(Debug, Default)]
pub(crate) struct Scoped {
    pub(crate) namespaced: Targets,
    pub(crate) cluster: Targets,
}

// === impl Asked ===

impl Asked {
    /// Reads a set. With `lenient` no policy is strict, whatever it says.
    pub(crate) fn of(set: &PolicySet, verb: Verb, lenient: bool) -> Self {
        let mut asked = Self::default();
        for policy in set.policies.iter().filter(|p| judges(p, verb)) {
            // What pins does so again when another webhook adds a container.
            asked.reinvoke |=
                policy.reinvocation == ReinvocationPolicy::IfNeeded || (verb == Verb::Mutate && policy.pins());
            for binding in &policy.bindings {
                let strict = !lenient && refuses(policy, binding, verb);
                let class = if strict { &mut asked.strict } else { &mut asked.lenient };
                class.add(&policy.match_constraints, binding.match_resources.as_ref(), verb);
                let both = || std::iter::once(&policy.match_constraints).chain(&binding.match_resources);
                asked.namespaces.and(both().map(|m| &m.namespace_selector));
                // The policy's may match the new object and the binding's the old one: together they would ask too little.
                let by_object = both().map(|m| &m.object_selector).find(|s| !s.requirements.is_empty());
                asked.objects.and(by_object);
            }
        }
        asked
    }
}

fn judges(policy: &Policy, verb: Verb) -> bool {
    match verb {
        Verb::Validate => {
            !policy.validations.is_empty() || !policy.audit_annotations.is_empty() || policy.image_rules.is_some()
        }
        Verb::Mutate => !policy.mutations.is_empty() || policy.pins(),
    }
}

/// Whether a request that the policy could not judge is refused.
fn refuses(policy: &Policy, binding: &Binding, verb: Verb) -> bool {
    let denies = |rollout: &Rollout| !rollout.held && rollout.deny.as_ref().is_some_and(|stage| stage.percentage > 0);
    let acts = match verb {
        Verb::Validate => binding.actions.deny && policy.rollout.as_ref().is_none_or(denies),
        // A tag that is not pinned is verified all the same.
        Verb::Mutate => !policy.mutations.is_empty(),
    };
    acts && policy.shadow_of.is_none() && policy.failure_policy == FailurePolicy::Fail
}

// === impl Scoped ===

impl Scoped {
    fn add(&mut self, constraints: &MatchResources, binding: Option<&MatchResources>, verb: Verb) {
        let everything = [RuleWithOperations {
            operations: vec![ANY.to_owned()],
            api_groups: vec![ANY.to_owned()],
            api_versions: vec![ANY.to_owned()],
            resources: vec!["*/*".to_owned()],
            ..RuleWithOperations::default()
        }];
        let or_everything = |rules| if <[_]>::is_empty(rules) { &everything[..] } else { rules };
        let narrower = or_everything(binding.map_or(&[][..], |b| &b.resource_rules));
        // One that is Exact does not exclude the same objects in another version, for which the target stands too.
        let excluding =
            std::iter::once(constraints).chain(binding).filter(|m| m.match_policy == MatchPolicy::Equivalent);
        let excluded: Vec<Part> = excluding.flat_map(|m| &m.exclude_resource_rules).flat_map(parts).collect();
        for part in or_everything(&constraints.resource_rules).iter().flat_map(parts) {
            for other in narrower.iter().flat_map(parts) {
                let Some(both) = part.narrowed(&other) else { continue };
                self.insert(both, &excluded, verb);
            }
        }
    }

    fn insert(&mut self, part: Part, excluded: &[Part], verb: Verb) {
        // What the policy names to be left alone is left out only where all of it is: never a part of a target.
        let gone = excluded.iter().filter(|e| !e.by_name && e.target.covers(&part.target) && e.within(part.scope));
        let mut operations = gone.fold(part.operations, |left, e| left.without(e.operations));
        if verb == Verb::Mutate {
            // There is no object to change (upstream `mutating.NewMutatingAdmissionPolicyDispatcher`).
            operations = operations.without(Operations::DELETE);
        }
        if is_never_judged(&part.target.group, &part.target.resource) {
            return;
        }
        let known = scope_of(&part.target);
        if part.scope != Scope::Cluster && known != Some(KindScope::Cluster) {
            self.namespaced.insert(part.target.clone(), operations);
        }
        if part.scope != Scope::Namespaced && known != Some(KindScope::Namespaced) {
            self.cluster.insert(part.target, operations);
        }
    }
}

/// Reviews of access and identity: the engine judges them under no policy ([`stockade_engine::Request::is_exempt`]).
pub(crate) const NEVER_JUDGED: [(&str, &str); 6] = [
    ("authentication.k8s.io", "selfsubjectreviews"),
    ("authentication.k8s.io", "tokenreviews"),
    ("authorization.k8s.io", "localsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectrulesreviews"),
    ("authorization.k8s.io", "subjectaccessreviews"),
];

fn is_never_judged(group: &str, resource: &str) -> bool {
    NEVER_JUDGED.contains(&(group, resource))
}

/// Scope of a built-in resource; none of others and of wildcards.
fn scope_of(target: &Target) -> Option<KindScope> {
    let mut resources = Kinds::builtin().resources();
    resources.find(|r| target.names(r.group, r.resource)).map(|r| r.scope)
}

/// One target of one rule.
struct Part {
    target: Target,
    operations: Operations,
    scope: Scope,
    /// Only for objects of some names, which the rules of a webhook cannot say.
    by_name: bool,
}

fn parts(rule: &RuleWithOperations) -> impl Iterator<Item = Part> + '_ {
    let operations = Operations::read(&rule.operations);
    let versions = move |group| rule.api_versions.iter().map(move |version| (group, version));
    let named = rule.api_groups.iter().flat_map(versions);
    let targets = named.flat_map(|(group, version): (&String, &String)| {
        rule.resources.iter().map(move |resource| Target::new(group, version, resource))
    });
    let by_name = !rule.resource_names.is_empty();
    targets.map(move |target| Part { target, operations, scope: rule.scope, by_name })
}

// === impl Part ===

impl Part {
    /// What matches both a policy's rule and its binding's. Of two targets that can meet, the narrower one; each finds
    /// the requests made in an equivalent version, so either would do.
    fn narrowed(&self, other: &Self) -> Option<Self> {
        let operations = self.operations.and(other.operations);
        let scope = match (self.scope, other.scope) {
            (Scope::All, scope) | (scope, Scope::All) => scope,
            (a, b) if a == b => a,
            _ => return None,
        };
        // A group or version may differ and yet be equivalent; names of resources and subresources are the same in all.
        let same = |a: &str, b: &str| a == ANY || b == ANY || a == b;
        let can_meet = same(&self.target.resource, &other.target.resource) && same(&self.target.sub, &other.target.sub);
        if operations.is_empty() || !can_meet {
            return None;
        }
        let target = if self.target.covers(&other.target) { &other.target } else { &self.target };
        Some(Self { target: target.clone(), operations, scope, by_name: false })
    }

    fn within(&self, scope: Scope) -> bool {
        self.scope == Scope::All || self.scope == scope
    }
}
