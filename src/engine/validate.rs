//! Validations and audit annotations, as the API server's ValidatingAdmissionPolicy plugin judges them.

use bumpalo::collections::Vec as ArenaVec;
use stockade_cel::Value;
use stockade_cel::limits::{MAX_MESSAGE_BYTES, PER_CALL_COST, POLICY_COST_BUDGET};
use stockade_policy::compiled::{Actions, AuditAnnotation, Binding, Flavour, Policy, Reason, Validation};

use crate::conditions;
use crate::consequence::{Consequence, Failure};
use crate::context::{Context, Roots, Seen};
use crate::decision::{Budgeted, FindingAction, FindingResult, Status};
use crate::engine::Prepared;
use crate::evaluate::Run;
use crate::images::verdict::{Fault, FaultKind};
use crate::matcher::{Match, MatchError};
use crate::outcome::{FAILURE_ANNOTATION, Outcome, Place, annotation_value, configuration_error, failure_annotation};
use crate::params;
use crate::request::Request;
use crate::rollout::Source;
use crate::shadow::{self, Shadow};

mod images;

pub(crate) use images::is_excepted;

/// How one validation ended.
enum Verdict {
    Admitted,
    /// The expression was false.
    Denied(Reason, String),
    /// It could not be evaluated.
    Errored(String),
    /// Something is wrong with an image.
    Image(Fault),
}

/// How one audit annotation ended.
enum Annotation<'c> {
    /// Published unless empty.
    Value(&'c str),
    Error(String),
    /// Neither string nor null, which counts whatever the failurePolicy.
    WrongType(String),
}

/// Judges all candidates in order. A shadow is judged like them, and nothing comes of it but a comparison.
pub(crate) fn validate<'c>(
    candidates: impl Iterator<Item = Prepared<'c>>,
    request: &Request<'c>,
    context: &Context<'c>,
    out: &mut Outcome,
) {
    let mut shadows = Vec::new();
    for prepared in candidates {
        let policy = prepared.policy;
        let judges = !policy.validations.is_empty() || !policy.audit_annotations.is_empty();
        if policy.flavour == Flavour::Mutating || (policy.flavour == Flavour::Admission && !judges) {
            continue;
        }
        let consequence = Consequence { prepared, request, context, image: None };
        let judged = match &policy.shadow_of {
            None => judge(consequence, out),
            Some(of) => {
                let mut silent = Outcome::default();
                let judged = judge(consequence, &mut silent);
                silent.wanted.drain(..).for_each(|wanted| out.want(wanted));
                let has_judged = judged.as_ref().is_ok_and(|judged| *judged);
                shadows.push(Shadow::new((policy, prepared.number), of, has_judged, silent));
                judged
            }
        };
        if let Err(Refused(status)) = judged {
            out.denial = Some(status);
            return;
        }
    }
    shadow::compare(shadows, !request.dry_run, out);
}

/// Judges one policy with all its bindings. Whether any expression of it was asked.
fn judge<'c>(consequence: Consequence<'c, '_>, out: &mut Outcome) -> Result<bool, Refused> {
    let Consequence { prepared, request, context, .. } = consequence;
    let policy = prepared.policy;
    let place = Place { policy, binding: None };
    let before = out.findings.len();
    let matched = match prepared.matches(request, context) {
        Ok(Some(matched)) => matched,
        Ok(None) => return Ok(false),
        Err(error) => {
            cannot_judge(consequence, place, "matchConstraints", &error, out);
            return Ok(false);
        }
    };
    let mut audit = Vec::new();
    let mut seen = None;
    let mut judged = false;
    for (number, binding) in policy.bindings.iter().enumerate() {
        let place = Place { policy, binding: Some(binding) };
        match prepared.binding_matches(number, request, context) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(error) => {
                cannot_judge(consequence, place, "matchResources", &error, out);
                continue;
            }
        }
        let found = out.count();
        let mut judge = Judge { place, policy, binding, consequence, context, out, audit: &mut audit, judged: false };
        judge.binding(request, &matched, &mut seen)?;
        judged |= judge.judged;
        if context.passes && judge.judged && out.count() == found {
            consequence.passed(place, "validations", out);
        }
    }
    for (annotation, values) in audit {
        out.annotate(format!("{}/{}", policy.name, annotation.key), values.join(", "));
    }
    if judged && !request.dry_run && consequence.is_budgeted() {
        let denied = out.findings[before..].iter().any(|f| f.action == FindingAction::Deny);
        out.budgeted.push(Budgeted { policy: prepared.number, source: Source::of(request), denied });
    }
    Ok(judged)
}

/// An error before any expression was evaluated.
fn cannot_judge<'c>(
    consequence: Consequence<'c, '_>,
    place: Place<'c>,
    rule: &str,
    error: &dyn std::fmt::Display,
    out: &mut Outcome,
) {
    let message = configuration_error(place, error);
    let failure = Failure { rule, result: FindingResult::Error, message: &message, line: 0 };
    consequence.error(place, consequence.error_action(), failure, out);
}

/// The request is refused whatever the policies say.
struct Refused(Status);

/// One binding being judged.
struct Judge<'c, 'x> {
    place: Place<'c>,
    policy: &'c Policy,
    binding: &'c Binding,
    consequence: Consequence<'c, 'x>,
    context: &'x Context<'c>,
    out: &'x mut Outcome,
    /// Distinct values of each annotation over all bindings and params.
    audit: &'x mut Vec<(&'c AuditAnnotation, Vec<String>)>,
    /// Whether it came to the validations.
    judged: bool,
}

impl<'c> Judge<'c, '_> {
    fn binding(
        &mut self,
        request: &Request<'c>,
        matched: &Match<'c>,
        seen: &mut Option<Seen<'c>>,
    ) -> Result<(), Refused> {
        let params = match params::collect(self.policy, self.binding, request.namespace, self.context) {
            Ok(params) => params,
            Err(error) => {
                cannot_judge(self.consequence, self.place, "paramRef", &error, self.out);
                return Ok(());
            }
        };
        if params.is_empty() {
            return Ok(());
        }
        let seen = match seen {
            Some(seen) => *seen,
            None => match self.context.see(request, matched) {
                Ok(new) => *seen.insert(new),
                Err(error) => {
                    cannot_judge(self.consequence, self.place, "matchConstraints", &error, self.out);
                    return Ok(());
                }
            },
        };
        let namespace = match self.context.namespace_object(request) {
            Ok(namespace) => namespace,
            Err(error @ MatchError::NamespaceNotFound { .. }) if !self.context.is_essential => {
                // Upstream ends the request here, before failurePolicy.
                let message = error.to_string();
                let how = (FindingAction::Deny, FindingResult::Error);
                self.out.find(self.place.finding("namespaceObject", how, message.clone(), 0));
                return Err(Refused(Status { code: 404, reason: "NotFound".to_owned(), message }));
            }
            Err(error) => {
                cannot_judge(self.consequence, self.place, "namespaceObject", &error, self.out);
                return Ok(());
            }
        };
        for &param in params {
            self.params(&seen, param, namespace);
        }
        Ok(())
    }

    fn params(&mut self, seen: &Seen<'c>, param: Value<'c>, namespace: Value<'c>) {
        match conditions::hold(self.policy, seen, param, self.context) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return self.conclude(0, "matchConditions", 0, Verdict::Errored(error)),
        }
        self.judged = true;
        if let Some(rules) = self.policy.image_rules.as_deref() {
            return self.images(rules, seen, namespace);
        }
        let roots = seen.roots(param, namespace, self.context.arena());
        // When either list spends its budget, upstream has but that one error.
        let (verdicts, annotations) = match (self.validations(roots), self.audit_annotations(roots)) {
            (Ok(verdicts), Ok(annotations)) => (verdicts, annotations),
            (Err(error), _) => return self.conclude(0, "validations", 0, Verdict::Errored(error)),
            (_, Err(error)) => return self.conclude(0, "auditAnnotations", 0, Verdict::Errored(error)),
        };
        for (number, (validation, verdict)) in self.policy.validations.iter().zip(verdicts).enumerate() {
            if matches!(verdict, Verdict::Admitted) {
                continue;
            }
            let rule = format!("validations[{number}]");
            self.conclude(number, &rule, validation.expression.line, verdict);
        }
        for (number, (annotation, outcome)) in self.policy.audit_annotations.iter().zip(annotations).enumerate() {
            self.annotation(number, annotation, outcome);
        }
    }

    /// One verdict for each validation.
    ///
    /// # Errors
    /// The budget is spent: then upstream has but this one error.
    fn validations(&self, roots: &'c Roots<'c>) -> Result<ArenaVec<'c, Verdict>, String> {
        let policy = self.policy;
        let mut run = Run::new(self.context, roots, policy, POLICY_COST_BUDGET);
        let mut verdicts = ArenaVec::with_capacity_in(policy.validations.len(), self.context.arena());
        let mut failures = false;
        for validation in &policy.validations {
            let verdict = match run.evaluate(&validation.expression.program).map_err(|e| e.to_string())? {
                Ok(Value::Bool(true)) => Verdict::Admitted,
                Ok(_) => Verdict::Denied(validation.reason, String::new()),
                Err(error) => Verdict::Errored(error),
            };
            failures |= matches!(verdict, Verdict::Denied(..));
            verdicts.push(verdict);
        }
        self.messages(roots, run.remaining(), failures, &mut verdicts);
        Ok(verdicts)
    }

    /// Fills the messages of what was denied.
    ///
    /// Upstream evaluates every messageExpression, also of validations that passed, and errors them all when that
    /// spends the rest of the budget. Where it cannot, only those that are shown are evaluated.
    fn messages(&self, roots: &'c Roots<'c>, budget: u64, failures: bool, verdicts: &mut [Verdict]) {
        let policy = self.policy;
        let expressions = policy.validations.iter().filter(|v| v.message_expression.is_some()).count();
        if expressions == 0 && !failures {
            return;
        }
        let most_cost = ((expressions + policy.variables.len()) as u64).saturating_mul(PER_CALL_COST);
        let all = most_cost > budget && expressions > 0;
        if !all && !failures {
            return;
        }
        let mut run = Run::new(self.context, roots, policy, budget);
        for (number, validation) in policy.validations.iter().enumerate() {
            let denied = matches!(verdicts[number], Verdict::Denied(..));
            let computed = match &validation.message_expression {
                Some(expression) if all || denied => match run.evaluate(&expression.program) {
                    Ok(value) => value.ok().and_then(Value::as_str).and_then(usable),
                    Err(out) => {
                        let error = format!("failed messageExpression: {out}");
                        for verdict in verdicts.iter_mut().filter(|v| !matches!(v, Verdict::Errored(_))) {
                            *verdict = Verdict::Errored(error.clone());
                        }
                        return;
                    }
                },
                _ => None,
            };
            if let Verdict::Denied(_, message) = &mut verdicts[number] {
                *message = computed.map_or_else(|| fallback(validation), str::to_owned);
            }
        }
    }

    /// One outcome for each audit annotation.
    ///
    /// # Errors
    /// The budget is spent.
    fn audit_annotations(&self, roots: &'c Roots<'c>) -> Result<Vec<Annotation<'c>>, String> {
        let policy = self.policy;
        if policy.audit_annotations.is_empty() {
            return Ok(Vec::new());
        }
        let mut run = Run::new(self.context, roots, policy, POLICY_COST_BUDGET);
        let mut outcomes = Vec::with_capacity(policy.audit_annotations.len());
        for annotation in &policy.audit_annotations {
            let program = &annotation.value.program;
            outcomes.push(match run.evaluate(program).map_err(|e| e.to_string())? {
                Ok(Value::String(text)) => Annotation::Value(text.trim()),
                Ok(Value::Null) => Annotation::Value(""),
                Ok(_) => Annotation::WrongType(format!(
                    "valueExpression '{}' resulted in unsupported return type. Return type must be either string or \
                     null.",
                    program.text()
                )),
                Err(error) => Annotation::Error(error),
            });
        }
        Ok(outcomes)
    }

    fn annotation(&mut self, number: usize, annotation: &'c AuditAnnotation, outcome: Annotation<'_>) {
        let (error, action) = match outcome {
            Annotation::Value(text) => return self.publish(annotation, text),
            Annotation::Error(error) => (error, self.consequence.error_action()),
            Annotation::WrongType(error) => (error, self.consequence.fatal_action()),
        };
        let (rule, line) = (format!("auditAnnotations[{number}]"), annotation.value.line);
        let failure = Failure { rule: &rule, result: FindingResult::Error, message: &error, line };
        self.consequence.error(self.place, action, failure, self.out);
    }

    fn publish(&mut self, annotation: &'c AuditAnnotation, value: &str) {
        let value = annotation_value(value);
        if value.is_empty() {
            return;
        }
        match self.audit.iter_mut().find(|(a, _)| a.key == annotation.key) {
            Some((_, values)) if values.iter().any(|v| v == value) => {}
            Some((_, values)) => values.push(value.to_owned()),
            None => self.audit.push((annotation, vec![value.to_owned()])),
        }
    }

    /// Does what the binding's actions say with one verdict.
    fn conclude(&mut self, number: usize, rule: &str, line: u32, verdict: Verdict) {
        // Whether images that cannot be looked at are admitted is not for failurePolicy to say.
        let by_failure_policy = matches!(verdict, Verdict::Errored(_))
            || matches!(&verdict, Verdict::Image(fault) if fault.kind == FaultKind::Errored);
        let (status, message, result) = match verdict {
            Verdict::Admitted => return,
            Verdict::Denied(reason, message) => (code(reason), message, FindingResult::Fail),
            Verdict::Errored(message) => (code(Reason::Invalid), message, FindingResult::Error),
            Verdict::Image(Fault { kind, message, .. }) => (kind.status(), message, kind.result()),
        };
        if by_failure_policy && self.consequence.error_action() == FindingAction::Ignore {
            let how = (FindingAction::Ignore, result);
            return self.out.find(self.place.finding(rule, how, message, line));
        }
        if self.consequence.is_waived(self.place, Failure { rule, result, message: &message, line }, self.out) {
            return;
        }
        let actions = self.consequence.actions(self.binding.actions);
        let Actions { deny, warn, audit } = actions;
        if deny {
            let (code, reason) = status;
            let message = self.place.validation_denied(&message);
            self.out.deny(Status { code, reason: reason.to_owned(), message });
        }
        if warn {
            let early = self.binding.actions.deny && !deny;
            self.out.warn(match early {
                true => self.consequence.early_warning(self.place, &message),
                false => self.place.validation_warning(&message),
            });
        }
        if audit {
            let value = failure_annotation(self.place, number, &message, actions);
            self.out.annotate(FAILURE_ANNOTATION.to_owned(), value);
        }
        for (does, action) in [(deny, FindingAction::Deny), (warn, FindingAction::Warn), (audit, FindingAction::Audit)]
        {
            if does {
                self.out.find(self.place.finding(rule, (action, result), message.clone(), line));
            }
        }
    }
}

/// A computed message that may be shown: neither empty nor too long nor of several lines.
fn usable(message: &str) -> Option<&str> {
    let message = message.trim();
    (!message.is_empty() && message.len() <= MAX_MESSAGE_BYTES && !message.contains('\n')).then_some(message)
}

fn fallback(validation: &Validation) -> String {
    match validation.message.as_deref().map(str::trim) {
        Some(message) if !message.is_empty() => message.to_owned(),
        _ => format!("failed expression: {}", validation.expression.program.text().trim()),
    }
}

pub(crate) fn code(reason: Reason) -> (u16, &'static str) {
    match reason {
        Reason::Unauthorized => (401, "Unauthorized"),
        Reason::Forbidden => (403, "Forbidden"),
        Reason::Invalid => (422, "Invalid"),
        Reason::RequestEntityTooLarge => (413, "RequestEntityTooLarge"),
    }
}
