//! What exists already, judged as if it were created now.
//!
//! An audit has an object and no request. It is judged as a CREATE without an old object, by nobody. A policy whose
//! verdict needs more than that is not judged at all, and says so: [`Auditor::unjudged`].

use std::sync::Arc;

use bumpalo::Bump;
use stockade_cel::value::Entry;
use stockade_cel::{Object, Symbols, Value};
use stockade_policy::compiled::{Exception, Policy, PolicySet};
use stockade_policy::matching::RuleWithOperations;
use stockade_schema::{Kinds, Scope};

pub use self::counts::{Counts, Waived};
use crate::decision::{Finding, FindingAction, FindingResult};
use crate::engine::{DecideOptions, Engine, Verb};
use crate::facts::{ClusterFacts, Kind};
use crate::images::Wanted;
use crate::request::{GroupVersionKind, GroupVersionResource, Operation, Request, guess_scope, plural};

mod counts;

/// Policies that can judge what exists.
#[derive(Debug)]
pub struct Auditor {
    engine: Engine,
    unjudged: Vec<Unjudged>,
}

/// A policy that an audit leaves out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unjudged {
    /// Its name.
    pub policy: Arc<str>,
    /// Why.
    pub reason: Reason,
}

/// Why a policy cannot judge what exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// It only changes objects.
    Mutates,
    /// It is in force nowhere.
    Unbound,
    /// It is not about the creation of whole objects: its rules name other operations or subresources only.
    Operation,
    /// Its verdict can depend on who sends the request.
    Requester,
    /// It is tried out beside another version, which is the one that counts.
    Shadow,
    /// It is about images, and nobody looks at registries here.
    Images,
}

/// One object as the cluster, or a file, holds it.
#[derive(Debug, Clone, Copy)]
pub struct Existing<'a> {
    /// The object; `apiVersion` and `kind`, which lists leave out of their items, need not be there.
    pub object: Value<'a>,
    /// Its kind.
    pub kind: GroupVersionKind<'a>,
    /// The resource it is listed as.
    pub resource: GroupVersionResource<'a>,
    /// Whether it lives in a namespace.
    pub namespaced: bool,
}

/// What all policies found out about one object.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Judgement {
    /// Rules that did not simply pass, in policy order.
    pub results: Vec<RuleResult>,
    /// Bindings of which all rules passed.
    pub passes: u32,
    /// Images that had to be looked at first: have what is wanted gathered and judge again. When there are any, nothing
    /// else here is a judgement.
    pub wanted: Vec<Wanted>,
}

/// One rule that did not simply pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleResult {
    /// Policy name.
    pub policy: String,
    /// Binding name.
    pub binding: String,
    /// `validations[0]`
    pub rule: String,
    /// How it ended.
    pub outcome: Outcome,
    /// For people.
    pub message: String,
    /// Place of the expression in the policy file (`policies/a.yaml:12`).
    pub trace: Option<String>,
    /// `namespace/name` of the exception that waives it.
    pub exception: Option<String>,
}

/// How a rule ended, in the words of OpenReports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// An exception covers it, and nothing failed: it is not needed there.
    WaivedPass,
    /// False or not to be evaluated, and waived by an exception.
    WaivedFail,
    /// False, where the policy only warns.
    Warn,
    /// It could not be evaluated.
    Error,
    /// False.
    Fail,
}

// === impl Auditor ===

impl Auditor {
    /// Takes the policies of an engine that can judge what exists, by facts that know nothing of images.
    pub fn new(engine: &Engine) -> Self {
        Self::of(engine, |policy| policy.asks_about_images().then_some(Reason::Images).or(Reason::of(policy)))
    }

    /// The same, by facts that know of images ([`crate::images::WithImages`]).
    pub fn with_images(engine: &Engine) -> Self {
        Self::of(engine, Reason::of)
    }

    fn of(engine: &Engine, reason: impl Fn(&Policy) -> Option<Reason>) -> Self {
        let set = engine.set();
        let (mut policies, mut unjudged) = (Vec::new(), Vec::new());
        for policy in &set.policies {
            match reason(policy) {
                None => policies.push(without_pins(policy)),
                Some(reason) => unjudged.push(Unjudged { policy: Arc::clone(&policy.name), reason }),
            }
        }
        let set = PolicySet {
            policies,
            symbols: set.symbols.clone(),
            exceptions: set.exceptions.clone(),
            groups: set.groups.clone(),
        };
        let of_audit = Engine::with_equivalents(Arc::new(set), Arc::clone(engine.equivalents()));
        Self { engine: of_audit.own_namespace(&engine.own_namespace), unjudged }
    }

    /// The policies that judge.
    pub fn policies(&self) -> &[Arc<Policy>] {
        &self.engine.set().policies
    }

    /// The exceptions from them.
    pub fn exceptions(&self) -> &[Exception] {
        &self.engine.set().exceptions
    }

    /// The policies left out, in order.
    pub fn unjudged(&self) -> &[Unjudged] {
        &self.unjudged
    }

    /// Field numbers: what objects must be decoded with.
    pub fn symbols(&self) -> &Symbols {
        self.engine.symbols()
    }

    /// Judges one object. The arena takes what is read and computed on the way; reset it between objects.
    pub fn judge<'a>(&'a self, existing: &Existing<'a>, facts: &'a dyn ClusterFacts, arena: &'a Bump) -> Judgement {
        let request = existing.creation(self.symbols(), arena);
        let options = DecideOptions { verb: Verb::Validate, passes: true, ..DecideOptions::default() };
        let decision = self.engine.decide(&request, facts, arena, &options);
        match decision.wanted.is_empty() {
            true => Judgement::of(decision.findings),
            false => Judgement { wanted: decision.wanted, ..Judgement::default() },
        }
    }
}

/// The policy as it judges what exists. What came by a tag would be pinned if it were created now: that it is not yet
/// is no violation, as nobody could have pinned it before.
fn without_pins(policy: &Arc<Policy>) -> Arc<Policy> {
    match policy.image_rules.as_deref() {
        Some(rules) if rules.digest.mutate => {
            let mut rules = rules.clone();
            rules.digest.mutate = false;
            Arc::new(Policy { image_rules: Some(Arc::new(rules)), ..Policy::clone(policy) })
        }
        _ => Arc::clone(policy),
    }
}

/// Whether some rule of a policy could be about the objects of a resource, whatever their names and namespaces.
pub fn is_about(policy: &Policy, group: &str, resource: &str) -> bool {
    let rules = &policy.match_constraints.resource_rules;
    let names = |rule: &RuleWithOperations| {
        rule.api_groups.iter().any(|g| g == "*" || g == group)
            && rule.resources.iter().any(|r| {
                let (name, sub) = r.split_once('/').unwrap_or((r, ""));
                matches!(sub, "" | "*") && (name == "*" || name == resource)
            })
    };
    rules.is_empty() || rules.iter().any(|r| creates(r) && names(r))
}

// === impl Reason ===

impl Reason {
    /// `requester`, …: for metrics and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mutates => "mutates",
            Self::Unbound => "unbound",
            Self::Operation => "operation",
            Self::Requester => "requester",
            Self::Shadow => "shadow",
            Self::Images => "images",
        }
    }

    fn of(policy: &Policy) -> Option<Self> {
        let rules = &policy.match_constraints.resource_rules;
        let judges = !policy.validations.is_empty() || policy.image_rules.is_some();
        let reasons = [
            (!judges, Self::Mutates),
            (policy.shadow_of.is_some(), Self::Shadow),
            (policy.bindings.is_empty(), Self::Unbound),
            (!rules.is_empty() && !rules.iter().any(creates), Self::Operation),
            (policy.reads_requester, Self::Requester),
        ];
        reasons.into_iter().find(|(applies, _)| *applies).map(|(_, reason)| reason)
    }
}

/// Whether a rule is about the creation of whole objects.
fn creates(rule: &RuleWithOperations) -> bool {
    rule.operations.iter().any(|o| o == "*" || o == Operation::Create.name())
        && rule.resources.iter().any(|r| r.split_once('/').is_none_or(|(_, sub)| sub == "*"))
}

// === impl Existing ===

impl<'a> Existing<'a> {
    /// An object that says itself what it is, as a file holds it. The resource of a custom kind is guessed from the
    /// kind, its scope is asked of the facts. None without apiVersion or kind.
    pub fn of(object: Value<'a>, facts: &dyn ClusterFacts, arena: &'a Bump) -> Option<Self> {
        let text = |key| object.get(key).and_then(Value::as_str).filter(|t| !t.is_empty());
        let (api_version, name) = (text("apiVersion")?, text("kind")?);
        let kind = GroupVersionKind::from_api_version(api_version, name);
        let known = Kinds::builtin().resource_of_kind(kind.group, kind.version, kind.kind);
        let (resource, namespaced) = match known {
            Some(r) => (r.resource, r.scope == Scope::Namespaced),
            None => {
                let namespaced = facts.namespaced(Kind { api_version, kind: name });
                let namespaced = namespaced.unwrap_or_else(|| guess_scope(name) == Scope::Namespaced);
                (&*arena.alloc_str(&plural(name)), namespaced)
            }
        };
        let resource = GroupVersionResource { group: kind.group, version: kind.version, resource };
        Some(Self { object, kind, resource, namespaced })
    }

    /// `metadata.name`; empty when there is none.
    pub fn name(&self) -> &'a str {
        self.metadata("name")
    }

    /// The namespace it lives in, `default` when a file leaves it out; empty for a cluster-scoped object.
    pub fn namespace(&self) -> &'a str {
        match (self.namespaced, self.metadata("namespace")) {
            (false, _) => "",
            (true, "") => "default",
            (true, namespace) => namespace,
        }
    }

    fn metadata(&self, key: &str) -> &'a str {
        self.object.path(&["metadata", key]).and_then(Value::as_str).unwrap_or("")
    }

    /// The request that would create it.
    fn creation(&self, symbols: &Symbols, arena: &'a Bump) -> Request<'a> {
        let Self { kind, resource, .. } = *self;
        let is_namespace = (resource.group, resource.resource) == ("", "namespaces");
        Request {
            uid: "",
            kind,
            resource,
            sub_resource: "",
            request_kind: kind,
            request_resource: resource,
            request_sub_resource: "",
            name: self.name(),
            namespace: if is_namespace { self.name() } else { self.namespace() },
            operation: Operation::Create,
            user_info: Value::Object(&Object::EMPTY),
            object: self.typed(symbols, arena),
            old_object: Value::Null,
            dry_run: false,
            options: Value::Null,
        }
    }

    /// The object with its apiVersion and kind.
    fn typed(&self, symbols: &Symbols, arena: &'a Bump) -> Value<'a> {
        let Some(members) = self.object.as_object() else { return self.object };
        if members.get("apiVersion").is_some() && members.get("kind").is_some() {
            return self.object;
        }
        let GroupVersionKind { group, version, kind } = self.kind;
        let api_version = match group {
            "" => version,
            _ => bumpalo::format!(in arena, "{}/{}", group, version).into_bump_str(),
        };
        let entry = |key, text| Entry { symbol: symbols.lookup(key), key, value: Value::String(text) };
        let mut entries = bumpalo::collections::Vec::with_capacity_in(members.len() + 2, arena);
        entries.extend([entry("apiVersion", api_version), entry("kind", kind)]);
        entries.extend(members.entries().iter().filter(|e| !matches!(e.key, "apiVersion" | "kind")));
        // The keys are those of an object that was decoded, and two that it lacks.
        Object::new(entries.into_bump_slice(), arena).map_or(self.object, |o| Value::Object(arena.alloc(o)))
    }
}

// === impl Judgement ===

impl Judgement {
    /// A rule of a binding is one result, whatever the number of its actions: the strongest is told.
    fn of(findings: Vec<Finding>) -> Self {
        let mut judgement = Self::default();
        for finding in findings {
            if finding.result == FindingResult::Pass && finding.action == FindingAction::Pass {
                judgement.passes += 1;
                continue;
            }
            let Some(outcome) = Outcome::of(&finding) else { continue };
            let Finding { policy, binding, rule, mut message, trace, exception, .. } = finding;
            if outcome == Outcome::WaivedPass {
                "passes without the exception".clone_into(&mut message);
            }
            let result = RuleResult { policy, binding, rule, outcome, message, trace, exception };
            match judgement.results.iter_mut().rev().find(|r| r.is_same_rule(&result)) {
                Some(told) => told.outcome = told.outcome.max(outcome),
                None => judgement.results.push(result),
            }
        }
        judgement
    }
}

impl RuleResult {
    fn is_same_rule(&self, other: &Self) -> bool {
        self.policy == other.policy
            && self.binding == other.binding
            && self.rule == other.rule
            && self.message == other.message
    }
}

// === impl Outcome ===

impl Outcome {
    /// `fail`, `warn`, `error` or `skip`.
    pub fn name(self) -> &'static str {
        match self {
            Self::WaivedPass | Self::WaivedFail => "skip",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fail => "fail",
        }
    }

    /// What an exception that is named made of it: `fail`, or `pass` where it is not needed. None where there is none.
    pub fn waived(self) -> Option<&'static str> {
        match self {
            Self::WaivedPass => Some("pass"),
            Self::WaivedFail => Some("fail"),
            Self::Warn | Self::Error | Self::Fail => None,
        }
    }

    fn of(finding: &Finding) -> Option<Self> {
        match (finding.action, finding.result) {
            (FindingAction::Waive, FindingResult::Pass) => Some(Self::WaivedPass),
            (FindingAction::Waive, _) => Some(Self::WaivedFail),
            (_, FindingResult::Error) => Some(Self::Error),
            (FindingAction::Warn, FindingResult::Fail) => Some(Self::Warn),
            (_, FindingResult::Fail) => Some(Self::Fail),
            (_, FindingResult::Mutated | FindingResult::Pass) => None,
        }
    }
}

#[cfg(test)]
mod tests;
