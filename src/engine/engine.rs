//! The engine: a compiled policy set with its index, and [`Engine::decide`].

use std::sync::Arc;
use std::time::Instant;

use bumpalo::Bump;
use stockade_cel::Symbols;
use stockade_cel::authorizer::Authorizer;
use stockade_cel::functions::{Host, Scope};
use stockade_policy::compiled::{Policy, PolicySet};
use stockade_schema::json_patch::{self, Operation as PatchOperation};

use crate::authorizer::RequestAuthorizer;
use crate::context::Context;
use crate::decision::{Decision, Status};
use crate::equivalents::Equivalents;
use crate::essentials::Essentials;
use crate::exceptions;
use crate::facts::ClusterFacts;
use crate::groups::Groups;
use crate::host::FactsHost;
use crate::images::asked::Asked;
use crate::index::{Index, NamespaceFacts};
use crate::matcher::{Match, MatchError, Matcher, has_namespace, selected_namespace};
use crate::mutate::{Mutated, mutate};
use crate::outcome::Outcome;
use crate::request::{Operation, Request, labels};
use crate::rollout::Rollouts;
use crate::shadow::Shadows;
use crate::validate::validate;

/// A policy set ready to decide. Immutable; swap the whole behind an `Arc` when policies change.
///
/// ```no_run
/// use std::sync::Arc;
///
/// use bumpalo::Bump;
/// use stockade_cel::document;
/// use stockade_engine::engine::{DecideOptions, Engine};
/// use stockade_engine::folder_facts::FolderFacts;
/// use stockade_engine::request::Request;
/// use stockade_policy::compiled::PolicySet;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let engine = Engine::new(Arc::new(PolicySet::default()));
/// let facts = FolderFacts::new([])?;
/// let body = std::fs::read("review.json")?;
/// let arena = Bump::new();
/// let review = document::decode(&body, &arena, engine.symbols())?;
/// let request = Request::from_review(review)?;
/// let decision = engine.decide(&request, &facts, &arena, &DecideOptions::default());
/// assert!(decision.allowed);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Engine {
    set: Arc<PolicySet>,
    index: Index,
    /// Parallel to the set's policies.
    matchers: Vec<PolicyMatchers>,
    equivalents: Arc<Equivalents>,
    rollouts: Rollouts,
    shadows: Shadows,
    pub(crate) own_namespace: Arc<str>,
    /// Whether some policy looks into images.
    judges_images: bool,
    /// Whether some policy turns tags into digests.
    pins: bool,
    /// None where every request counts as one of users.
    essentials: Option<Essentials>,
}

#[derive(Debug)]
struct PolicyMatchers {
    constraints: Matcher,
    /// None when the policy names none.
    groups: Option<Box<Groups>>,
    /// None when there is none for the policy.
    exceptions: Option<Box<exceptions::OfPolicy>>,
    /// Parallel to the policy's bindings; none where a binding narrows nothing.
    bindings: Vec<Option<Matcher>>,
}

/// Which policies take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verb {
    /// Mutating ones only: what `/mutate` answers.
    Mutate,
    /// Validating ones only: what `/validate` answers.
    Validate,
    /// Mutating ones, then validating ones on the result: what the command line shows. Only then the decision holds
    /// the object.
    #[default]
    Both,
}

/// How to decide.
#[derive(Debug, Clone, Copy, Default)]
pub struct DecideOptions {
    /// Which policies take part.
    pub verb: Verb,
    /// When it has passed, every expression that is left ends in an error, which counts under its policy's
    /// failurePolicy: nothing is admitted that a policy with Fail has not judged. A single expression is bounded by
    /// its cost limit. None means no deadline.
    pub deadline: Option<Instant>,
    /// Whether a policy that was judged and passed is a finding too: what reports count.
    pub passes: bool,
    /// Seconds since 1970, by which exceptions end; none asks the clock.
    pub now: Option<i64>,
}

/// What a decision says that cannot be made before images are looked at.
const NOT_LOOKED_AT: &str = "images of the object have not been looked at";

/// One candidate with its prepared matchers.
#[derive(Clone, Copy)]
pub(crate) struct Prepared<'c> {
    pub(crate) policy: &'c Policy,
    /// Its position in the set.
    pub(crate) number: u32,
    matchers: &'c PolicyMatchers,
    pub(crate) engine: &'c Engine,
}

// === impl Engine ===

impl Engine {
    /// Indexes a set, for the built-in resources of Kubernetes 1.36.
    pub fn new(set: Arc<PolicySet>) -> Self {
        Self::with_equivalents(set, Arc::new(Equivalents::builtin()))
    }

    /// Indexes a set for a cluster whose resources have these equivalents.
    pub fn with_equivalents(set: Arc<PolicySet>, equivalents: Arc<Equivalents>) -> Self {
        let exceptions = exceptions::by_policy(&set);
        let matchers = |p: &Arc<Policy>| PolicyMatchers {
            constraints: Matcher::new(&p.match_constraints),
            groups: Groups::of(p, &set.groups),
            exceptions: exceptions.get(&*p.name).cloned().map(Box::new),
            bindings: p.bindings.iter().map(|b| b.match_resources.as_ref().map(Matcher::new)).collect(),
        };
        Self {
            index: Index::new(&set.policies, &set.groups, &equivalents),
            matchers: set.policies.iter().map(matchers).collect(),
            equivalents,
            rollouts: Rollouts::new(&set.policies),
            shadows: Shadows::new(&set.policies),
            judges_images: set.policies.iter().any(|p| p.asks_about_images()),
            pins: set.policies.iter().any(|p| p.pins()),
            own_namespace: exceptions::OWN_NAMESPACE.into(),
            essentials: None,
            set,
        }
    }

    /// Names the namespace whose exceptions also waive cluster-scoped objects, in place of [`exceptions::OWN_NAMESPACE`].
    #[must_use]
    pub fn own_namespace(mut self, name: &str) -> Self {
        self.own_namespace = name.into();
        self
    }

    /// Names the requests for which every policy counts as one with `failurePolicy: Ignore`. Without it errors count under
    /// the `failurePolicy` of their policies everywhere, as those of the API server's own policies do.
    #[must_use]
    pub fn essentials(mut self, essentials: Essentials) -> Self {
        self.essentials = Some(essentials);
        self
    }

    /// Whether a request is one of those ([`Self::essentials`]).
    pub fn is_essential(&self, request: &Request<'_>) -> bool {
        self.essentials.as_ref().is_some_and(|e| e.contain(request))
    }

    /// Goes on where the engine before it was: counts towards the budgets of rollouts, and those that are on hold.
    #[must_use]
    pub fn continuing(mut self, before: &Engine) -> Self {
        self.rollouts.inherit(&before.rollouts);
        self.shadows.inherit(&before.shadows);
        self
    }

    /// Whether some policy looks into images: only then [`crate::images::ImageFacts`] are asked.
    pub fn judges_images(&self) -> bool {
        self.judges_images
    }

    /// Counts towards the budgets of rollouts.
    pub fn rollouts(&self) -> &Rollouts {
        &self.rollouts
    }

    /// What shadows have come to.
    pub fn shadows(&self) -> &Shadows {
        &self.shadows
    }

    /// The policies.
    pub fn set(&self) -> &Arc<PolicySet> {
        &self.set
    }

    /// Which resources hold the same objects.
    pub fn equivalents(&self) -> &Arc<Equivalents> {
        &self.equivalents
    }

    /// Field numbers: what a review must be decoded with.
    pub fn symbols(&self) -> &Symbols {
        &self.set.symbols
    }

    /// Decides one request. The decision owns all it holds; the arena, which also holds the decoded review, can be
    /// thrown away or reset afterwards.
    ///
    /// Errors never admit: they count under the failurePolicy of the policy in which they happen; but for what is
    /// essential ([`Self::essentials`]), where they are told and nothing else.
    pub fn decide<'a>(
        &'a self,
        request: &Request<'a>,
        facts: &'a dyn ClusterFacts,
        arena: &'a Bump,
        options: &DecideOptions,
    ) -> Decision {
        let host = FactsHost::new(facts, request.namespace);
        let authorizer = facts.authorizer().map(|a| RequestAuthorizer::new(a, request, options.deadline));
        let scope = Scope {
            arena,
            symbols: self.symbols(),
            authorizer: authorizer.as_ref().map(|a| a as &dyn Authorizer),
            host: Some(&host as &dyn Host),
        };
        let is_essential = self.is_essential(request);
        let asked = Asked::new(facts.images(), &self.set, request.namespace);
        let context = Context::new(facts, (scope, &asked), options, request, is_essential);
        let mut out = Outcome::default();
        let prepare = preparing(&context, |request| self.candidates(request, &context));
        let mutated = match options.verb {
            Verb::Validate => Mutated { request: *request, object: request.object },
            Verb::Mutate | Verb::Both => mutate(prepare, request, (&context, self.pins), &mut out),
        };
        if options.verb != Verb::Mutate && out.denial.is_none() {
            validate(prepare(&mutated.request), &mutated.request, &context, &mut out);
        }
        asked.wanted().into_iter().for_each(|wanted| out.want(wanted));
        if !out.wanted.is_empty() {
            // Whoever overlooks what is wanted must not admit.
            out.denial =
                Some(Status { code: 500, reason: "InternalError".to_owned(), message: NOT_LOOKED_AT.to_owned() });
        }
        let unchanged = match (request.object.as_object(), mutated.object.as_object()) {
            (Some(before), Some(after)) => std::ptr::eq(before, after),
            _ => true,
        };
        let patch = if unchanged { Vec::new() } else { json_patch::diff(request.object, mutated.object, arena) };
        decision(out, &patch, &mutated, options.verb)
    }

    /// What a request has to be matched against, in order.
    fn candidates<'c>(
        &'c self,
        request: &Request<'c>,
        context: &Context<'c>,
    ) -> impl Iterator<Item = Prepared<'c>> + use<'c> {
        let namespace = || match has_namespace(request).then(|| selected_namespace(request, context)) {
            Some(Ok(namespace)) => NamespaceFacts::Labels(labels(namespace)),
            Some(Err(_)) | None => NamespaceFacts::Unknown,
        };
        let numbers = match request.is_exempt() {
            true => &[],
            false => self.index.candidates(request, namespace, &self.equivalents, context.arena()),
        };
        numbers.iter().filter_map(|&n| self.prepared(n))
    }

    fn prepared(&self, number: u32) -> Option<Prepared<'_>> {
        let at = number as usize;
        Some(Prepared { policy: self.set.policies.get(at)?, number, matchers: self.matchers.get(at)?, engine: self })
    }
}

/// The closure itself; its signature says that requests live as long as the context, which a closure cannot.
fn preparing<'c, I, F>(_: &Context<'c>, prepare: F) -> F
where
    F: Fn(&Request<'c>) -> I,
    I: Iterator<Item = Prepared<'c>>,
{
    prepare
}

// === impl Prepared ===

impl<'c> Prepared<'c> {
    pub(crate) fn matches(
        &self,
        request: &Request<'c>,
        context: &Context<'c>,
    ) -> Result<Option<Match<'c>>, MatchError> {
        let matched = self.matchers.constraints.matches(request, context, &self.engine.equivalents);
        match &self.matchers.groups {
            // A policy that does not apply never fails a request: that groups rule it out wins over an error.
            Some(groups) if !matches!(matched, Ok(None)) => match groups.hold(request, context)? {
                true => matched,
                false => Ok(None),
            },
            _ => matched,
        }
    }

    /// Exceptions that name the policy.
    pub(crate) fn exceptions(&self) -> Option<&'c exceptions::OfPolicy> {
        self.matchers.exceptions.as_deref()
    }

    /// Whether its rollout has stopped on this replica.
    pub(crate) fn is_held(&self) -> bool {
        self.engine.rollouts.is_held(self.number)
    }

    /// Whether its rollout has a budget to count for.
    pub(crate) fn has_budget(&self) -> bool {
        self.engine.rollouts.counts(self.number)
    }

    pub(crate) fn binding_matches(
        &self,
        number: usize,
        request: &Request<'c>,
        context: &Context<'c>,
    ) -> Result<bool, MatchError> {
        match self.matchers.bindings.get(number) {
            Some(Some(matcher)) => Ok(matcher.matches(request, context, &self.engine.equivalents)?.is_some()),
            _ => Ok(true),
        }
    }
}

fn decision(mut out: Outcome, patch: &[PatchOperation<'_>], mutated: &Mutated<'_>, verb: Verb) -> Decision {
    let denial = out.denial.take();
    let allowed = denial.is_none();
    // A refused request is not changed, and a webhook has no use for a copy of the object: it sends the patch.
    let shows_object = allowed && verb == Verb::Both && mutated.request.operation != Operation::Delete;
    let object = match mutated.object {
        stockade_cel::Value::Null => None,
        object => shows_object.then(|| serde_json::to_value(object).unwrap_or_default()),
    };
    Decision {
        allowed,
        status: denial,
        warnings: std::mem::take(&mut out.warnings),
        audit_annotations: std::mem::take(&mut out.audit_annotations),
        patch: if allowed { patch.iter().filter_map(|o| serde_json::to_value(o).ok()).collect() } else { Vec::new() },
        object,
        shadow: std::mem::take(&mut out.shadow),
        budgeted: std::mem::take(&mut out.budgeted),
        compared: std::mem::take(&mut out.compared),
        wanted: std::mem::take(&mut out.wanted),
        findings: out.into_findings(),
    }
}
