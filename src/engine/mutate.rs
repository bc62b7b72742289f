//! Mutations, as the API server's MutatingAdmissionPolicy plugin applies them: in order, each on the result of the
//! one before, and once more for policies with `reinvocationPolicy: IfNeeded` after something was changed.

use std::collections::HashSet;

use stockade_cel::Value;
use stockade_cel::limits::POLICY_COST_BUDGET;
use stockade_policy::compiled::{Binding, Exception, Flavour, Mutation, Policy, ReinvocationPolicy};

use crate::conditions;
use crate::conflicts::Conflicts;
use crate::consequence::{Consequence, Failure};
use crate::context::{Context, Seen};
use crate::decision::{FindingAction, FindingResult, Status};
use crate::defaults::Defaults;
use crate::engine::Prepared;
use crate::evaluate::Run;
use crate::matcher::{Match, MatchError};
use crate::outcome::{Outcome, Place, configuration_error};
use crate::params;
use crate::request::{Operation, Request};

mod patch;
mod pin;

/// One policy, binding and params that are active for the request.
struct Invocation<'c> {
    prepared: Prepared<'c>,
    policy: &'c Policy,
    binding: &'c Binding,
    param: Value<'c>,
    matched: Match<'c>,
}

/// What tells invocations apart: policy, binding, and namespace and name of the params.
type Key<'c> = (&'c str, &'c str, &'c str, &'c str);

/// An error under failurePolicy Fail, in the order found.
struct PolicyError {
    message: String,
    /// Errors of evaluation are Invalid, those of configuration Forbidden; the code is 403 for both.
    reason: &'static str,
}

/// What mutations make of a request.
pub(crate) struct Mutated<'c> {
    /// As later policies see it.
    pub(crate) request: Request<'c>,
    /// The object as the policies made it, without defaults that the API server fills by itself.
    pub(crate) object: Value<'c>,
}

/// Mutates the request's object. `prepare` gives the candidates anew for each pass, as labels change; `pins` says whether
/// some policy turns tags into digests, of what all others have made.
pub(crate) fn mutate<'c, I: Iterator<Item = Prepared<'c>>>(
    prepare: impl Fn(&Request<'c>) -> I,
    request: &Request<'c>,
    (context, pins): (&Context<'c>, bool),
    out: &mut Outcome,
) -> Mutated<'c> {
    let mut request = *request;
    // A deleted object is not changed; upstream's plugin does not handle DELETE.
    if request.operation == Operation::Delete {
        return Mutated { request, object: request.object };
    }
    let mut passes = Passes {
        context,
        out,
        conflicts: Conflicts::default(),
        invoked: Vec::new(),
        again: None,
        defaults: Defaults::default(),
    };
    for _ in 0..2 {
        let changed = passes.pass(prepare(&request), &mut request);
        if !changed || passes.out.denial.is_some() {
            break;
        }
        passes.again = Some(passes.invoked.drain(..).collect());
    }
    let conflicts = std::mem::take(&mut passes.conflicts);
    conflicts.report(passes.out);
    if pins && passes.out.denial.is_none() {
        pin::pin(prepare(&request), &mut request, context, passes.out);
    }
    Mutated { request, object: passes.defaults.without(request.object, context.into()) }
}

struct Passes<'c, 'x> {
    context: &'x Context<'c>,
    out: &'x mut Outcome,
    conflicts: Conflicts<'c>,
    /// Invocations with `IfNeeded` that ran in this pass.
    invoked: Vec<Key<'c>>,
    /// In the second pass: those that may run.
    again: Option<HashSet<Key<'c>>>,
    /// Fills defaults into what mutations add.
    defaults: Defaults,
}

impl<'c> Passes<'c, '_> {
    /// Runs all invocations once; true when a patch was applied, whether or not it changed anything.
    fn pass(&mut self, candidates: impl Iterator<Item = Prepared<'c>>, request: &mut Request<'c>) -> bool {
        let mut errors = Vec::new();
        let invocations = self.collect(candidates, request, &mut errors);
        let mut patched = false;
        if !invocations.is_empty() {
            match self.context.namespace_object(request) {
                Ok(namespace) => {
                    for invocation in &invocations {
                        patched |= self.invoke(invocation, request, namespace, &mut errors);
                        if self.out.denial.is_some() {
                            return patched;
                        }
                    }
                }
                Err(error @ MatchError::NamespaceNotFound { .. }) if !self.context.is_essential => {
                    // Upstream ends the request here, before failurePolicy.
                    let message = error.to_string();
                    self.out.deny(Status { code: 404, reason: "NotFound".to_owned(), message });
                }
                Err(error) => {
                    for i in &invocations {
                        let place = Place { policy: i.policy, binding: Some(i.binding) };
                        self.cannot_judge(i.prepared, request, place, "namespaceObject", &error, &mut errors);
                    }
                }
            }
        }
        if let Some(PolicyError { message, reason }) = errors.into_iter().next() {
            self.out.deny(Status { code: 403, reason: reason.to_owned(), message });
        }
        patched
    }

    /// What is active for the request as it is before any of them ran.
    fn collect(
        &mut self,
        candidates: impl Iterator<Item = Prepared<'c>>,
        request: &Request<'c>,
        errors: &mut Vec<PolicyError>,
    ) -> Vec<Invocation<'c>> {
        let mut invocations = Vec::new();
        for prepared in candidates {
            let policy = prepared.policy;
            if policy.flavour == Flavour::Validating || policy.mutations.is_empty() {
                continue;
            }
            let place = Place { policy, binding: None };
            let matched = match prepared.matches(request, self.context) {
                Ok(Some(matched)) => matched,
                Ok(None) => continue,
                Err(error) => {
                    self.cannot_judge(prepared, request, place, "matchConstraints", &error, errors);
                    continue;
                }
            };
            for (number, binding) in policy.bindings.iter().enumerate() {
                let bound = Place { policy, binding: Some(binding) };
                match prepared.binding_matches(number, request, self.context) {
                    Ok(true) => {}
                    Ok(false) => continue,
                    Err(error) => {
                        self.cannot_judge(prepared, request, bound, "matchResources", &error, errors);
                        continue;
                    }
                }
                if let Err(error) = self.context.see(request, &matched) {
                    self.cannot_judge(prepared, request, place, "matchConstraints", &error, errors);
                    continue;
                }
                match params::collect(policy, binding, request.namespace, self.context) {
                    Ok(params) => {
                        let invocation = |&param| Invocation { prepared, policy, binding, param, matched };
                        invocations.extend(params.iter().map(invocation));
                    }
                    Err(error) => self.cannot_judge(prepared, request, bound, "paramRef", &error, errors),
                }
            }
        }
        invocations
    }

    /// Runs one invocation; true when a patch was applied.
    fn invoke(
        &mut self,
        invocation: &Invocation<'c>,
        request: &mut Request<'c>,
        namespace: Value<'c>,
        errors: &mut Vec<PolicyError>,
    ) -> bool {
        let Invocation { prepared, policy, binding, param, matched } = *invocation;
        let place = Place { policy, binding: Some(binding) };
        let before_it = *request;
        let consequence = Consequence { prepared, request: &before_it, context: self.context, image: None };
        let found = self.out.count();
        // Whether this converts was tried when the invocations were collected, and a mutation keeps the kind.
        let Ok(seen) = self.context.see(request, &matched) else { return false };
        match conditions::hold(policy, &seen, param, self.context) {
            Ok(true) => {}
            Ok(false) => return false,
            Err(error) => {
                self.failed(consequence, place, ("matchConditions", 0), &error, errors);
                return false;
            }
        }
        let key = invocation.key();
        if self.again.as_ref().is_some_and(|again| !again.contains(&key)) {
            return false;
        }
        let before = seen.object();
        let mut object = before;
        let mut patched = false;
        for (number, mutation) in policy.mutations.iter().enumerate() {
            if matches!(object, Value::Null) {
                continue;
            }
            let now = seen.with_object(object);
            let (rule, line) = (format!("mutations[{number}]"), expression_line(mutation));
            let waived = consequence.waiver(&rule);
            match self.apply(mutation, &now, policy, param, namespace) {
                Ok(new) if let Some(exception) = waived => {
                    self.left_out(consequence, place, exception, (&rule, line), (object, new));
                }
                Ok(new) => {
                    // Only built-in kinds have defaults here, and those are never seen in another version.
                    let own_kind = matched.kind == request.kind;
                    object = if own_kind { self.defaults.fill(object, new, self.context.into()) } else { new };
                    patched = true;
                }
                Err(patch::MutationError::Policy(error)) => {
                    self.failed(consequence, place, (&rule, line), &error, errors);
                }
                Err(patch::MutationError::Request(status)) => {
                    let (result, message) = (FindingResult::Error, status.message.as_str());
                    if consequence.is_waived(place, Failure { rule: &rule, result, message, line }, self.out) {
                        continue;
                    }
                    let how = (consequence.fatal_action(), FindingResult::Error);
                    self.out.find(place.finding(rule, how, status.message.clone(), line));
                    if self.context.is_essential {
                        continue;
                    }
                    self.out.deny(status);
                    return patched;
                }
            }
        }
        if patched {
            self.changed(invocation, before, object, request);
        }
        // Of a policy that also validates, that tells.
        let only_changes = policy.validations.is_empty() && policy.audit_annotations.is_empty();
        if self.context.passes && only_changes && self.again.is_none() && self.out.count() == found {
            consequence.passed(place, "mutations", self.out);
        }
        if policy.reinvocation == ReinvocationPolicy::IfNeeded {
            self.invoked.push(key);
        }
        patched
    }

    /// Tells of a mutation that an exception keeps from being applied, once, if it would have changed anything.
    fn left_out(
        &mut self,
        consequence: Consequence<'c, '_>,
        place: Place<'c>,
        exception: &Exception,
        (rule, line): (&str, u32),
        (before, after): (Value<'c>, Value<'c>),
    ) {
        let operations = stockade_schema::json_patch::diff(before, after, self.context.arena());
        if operations.is_empty() || self.again.is_some() {
            return;
        }
        let message = format!("would change {}", patch::summary(&operations));
        let failure = Failure { rule, result: FindingResult::Fail, message: &message, line };
        consequence.waive(place, exception, failure, self.out);
    }

    fn apply(
        &self,
        mutation: &'c Mutation,
        seen: &Seen<'c>,
        policy: &'c Policy,
        param: Value<'c>,
        namespace: Value<'c>,
    ) -> Result<Value<'c>, patch::MutationError> {
        let roots = seen.roots(param, namespace, self.context.arena());
        let mut run = Run::new(self.context, roots, policy, POLICY_COST_BUDGET);
        let (Mutation::ApplyConfiguration(expression) | Mutation::JsonPatch(expression)) = mutation;
        let value = run.evaluate(&expression.program).map_err(|e| e.to_string()).and_then(|r| r);
        let value = value.map_err(patch::MutationError::Policy)?;
        match mutation {
            Mutation::ApplyConfiguration(_) => patch::merge(seen.object(), value, self.context.into()),
            Mutation::JsonPatch(_) => patch::patch(seen.object(), value, self.context.into()),
        }
    }

    /// Takes over what an invocation made of the object.
    fn changed(&mut self, invocation: &Invocation<'c>, before: Value<'c>, after: Value<'c>, request: &mut Request<'c>) {
        let Invocation { policy, binding, matched, .. } = *invocation;
        let place = Place { policy, binding: Some(binding) };
        let operations = stockade_schema::json_patch::diff(before, after, self.context.arena());
        if operations.is_empty() {
            return;
        }
        self.conflicts.note(place, &operations);
        let message = format!("changed {}", patch::summary(&operations));
        let how = (FindingAction::Mutate, FindingResult::Mutated);
        self.out.find(place.finding("mutations", how, message, 0));
        // Back to the request's own version; the way there was tried on the way here.
        if let Ok(object) = crate::conversion::convert(after, matched.kind, request.kind, self.context.into()) {
            request.object = object;
        }
    }

    fn cannot_judge(
        &mut self,
        prepared: Prepared<'c>,
        request: &Request<'c>,
        place: Place<'c>,
        rule: &str,
        error: &dyn std::fmt::Display,
        errors: &mut Vec<PolicyError>,
    ) {
        let consequence = Consequence { prepared, request, context: self.context, image: None };
        let message = configuration_error(place, error);
        self.note(consequence, place, (rule, 0), (&message, "Forbidden"), errors);
    }

    fn failed(
        &mut self,
        consequence: Consequence<'c, '_>,
        place: Place<'c>,
        at: (&str, u32),
        error: &str,
        errors: &mut Vec<PolicyError>,
    ) {
        self.note(consequence, place, at, (error, "Invalid"), errors);
    }

    fn note(
        &mut self,
        consequence: Consequence<'c, '_>,
        place: Place<'c>,
        (rule, line): (&str, u32),
        (message, reason): (&str, &'static str),
        errors: &mut Vec<PolicyError>,
    ) {
        let action = consequence.error_action();
        if action == FindingAction::Deny {
            if consequence.is_waived(place, Failure { rule, result: FindingResult::Error, message, line }, self.out) {
                return;
            }
            errors.push(PolicyError { message: place.mutation_denied(message), reason });
        }
        self.out.find(place.finding(rule, (action, FindingResult::Error), message, line));
    }
}

impl<'c> Invocation<'c> {
    fn key(&self) -> Key<'c> {
        let meta = |key| params::meta(self.param, key);
        (&self.policy.name, &self.binding.name, meta("namespace"), meta("name"))
    }
}

fn expression_line(mutation: &Mutation) -> u32 {
    let (Mutation::ApplyConfiguration(e) | Mutation::JsonPatch(e)) = mutation;
    e.line
}
