//! An ImagePolicy judging the images of a request.

use stockade_cel::limits::POLICY_COST_BUDGET;
use stockade_cel::{Value, document};
use stockade_policy::compiled::Validation;
use stockade_policy::images::{Attestation, ImageReference, ImageRules, Unavailable};

use super::{Judge, Verdict, fallback, usable};
use crate::context::Seen;
use crate::decision::{FindingAction, FindingResult};
use crate::evaluate::Run;
use crate::images::request::{credentials, places, wanted};
use crate::images::verdict::{self, Fault, FaultKind, quoted, shortened};
use crate::images::{Answer, Cause, Evidence, MAX_WANTED, NOBODY_LOOKS, Resolved, Statement, Unseen, value};
use crate::pod_template::ImagePlace;
use crate::request::{Request, labels};

/// Why an outage is refused that the policy would let pass elsewhere.
const NOT_NAMED: &str = "; the policy's unavailable is not about this registry, which it names neither in images nor in \
                         registries";

impl<'c> Judge<'c, '_> {
    /// Judges every image that the policy is about; or says what is wanted first, and then nothing else.
    pub(super) fn images(&mut self, rules: &'c ImageRules, seen: &Seen<'c>, namespace: Value<'c>) {
        let request = self.consequence.request;
        let asks = !rules.authorities.is_empty() || !rules.attestations.is_empty();
        let credentials = credentials(request.namespace, seen.object());
        let mut count = 0;
        for place in places(request, seen.object(), seen.old_object()) {
            let Ok(reference) = ImageReference::parse(place.image) else {
                let message = format!("{:?} is no image reference", shortened(place.image));
                self.tell(place, errored("images", message), rules.unavailable);
                continue;
            };
            if !rules.selects(&reference) {
                continue;
            }
            count += 1;
            if count > MAX_WANTED {
                return self.tell(place, too_many(), rules.unavailable);
            }
            if requires_digest(rules, request, namespace) && reference.digest().is_none() {
                self.tell(place, no_digest(&reference), rules.unavailable);
            }
            if !asks {
                continue;
            }
            let Some(facts) = self.context.facts.images() else {
                return self.conclude(0, "images", 0, Verdict::Errored(NOBODY_LOOKS.to_owned()));
            };
            let wanted = wanted(&reference, rules, self.consequence.prepared.engine.set(), &credentials);
            match facts.evidence(&wanted) {
                None => self.out.want(wanted),
                Some(evidence) => {
                    let mut faults = self.faults(rules, &evidence, seen, namespace);
                    if faults.is_empty() && self.pins(rules, namespace) {
                        faults.extend(not_pinned(&reference, &evidence));
                    }
                    let unavailable = rules.unavailable_of(&reference);
                    for mut fault in faults {
                        if fault.kind == FaultKind::Unavailable(Cause::Outage) && unavailable != rules.unavailable {
                            fault.message.push_str(NOT_NAMED);
                        }
                        self.tell(place, fault, unavailable);
                    }
                }
            }
        }
    }

    /// Whether what is verified here must have been pinned before. The registration of the mutating webhook fails open,
    /// and a registry may be slow for it alone: what came here by its tag could be another image when it is pulled.
    fn pins(&self, rules: &ImageRules, namespace: Value<'c>) -> bool {
        let denies = self.place.binding.is_some_and(|binding| self.consequence.actions(binding.actions).deny);
        self.policy.pins() && denies && !is_excepted(rules, self.consequence.request, namespace)
    }

    /// All that is wrong with one image.
    fn faults(&self, rules: &'c ImageRules, evidence: &Evidence, seen: &Seen<'c>, namespace: Value<'c>) -> Vec<Fault> {
        if let Some(fault) = verdict::resolution(evidence) {
            return vec![fault];
        }
        let attested = rules.attestations.iter().enumerate();
        let attested = attested.filter_map(|(n, a)| self.attestation(n, a, evidence, seen, namespace));
        verdict::signatures(rules, evidence).into_iter().chain(attested).collect()
    }

    /// What is wrong with an attestation: of all statements that were signed, one has to hold.
    fn attestation(
        &self,
        number: usize,
        attestation: &'c Attestation,
        evidence: &Evidence,
        seen: &Seen<'c>,
        namespace: Value<'c>,
    ) -> Option<Fault> {
        let answers =
            || attestation.authorities.iter().map(|a| evidence.attested_by(&attestation.predicate_type, a.id));
        let mut fault = None;
        for statement in answers().flatten().filter_map(|a| a.verified()).flatten() {
            fault = self.statement(number, attestation, statement, evidence, (seen, namespace));
            fault.as_ref()?;
        }
        // Another statement, of whom could not be asked, might hold.
        match fault {
            Some(fault) if !answers().any(|a| a.is_none_or(|a| a.is_unavailable())) => Some(fault),
            _ => {
                let Attestation { name, predicate_type, authorities, .. } = attestation;
                Some(verdict::attestation(name, number, authorities, evidence, predicate_type))
            }
        }
    }

    /// What does not hold of one statement.
    fn statement(
        &self,
        number: usize,
        attestation: &'c Attestation,
        statement: &Statement,
        evidence: &Evidence,
        (seen, namespace): (&Seen<'c>, Value<'c>),
    ) -> Option<Fault> {
        let (arena, symbols) = (self.context.arena(), self.context.symbols());
        let fault = |kind, line, why: &str| {
            let message = format!("attestation {} of image {}: {why}", attestation.name, evidence.reference);
            Some(Fault { kind, rule: format!("attestations[{number}]"), line, message })
        };
        if attestation.validations.is_empty() {
            return None;
        }
        let decoded = match document::decode(arena.alloc_str(&statement.json).as_bytes(), arena, symbols) {
            Ok(decoded) => decoded,
            Err(error) => return fault(FaultKind::Errored, 0, &format!("the statement cannot be read: {error}")),
        };
        match &evidence.details {
            Some(Answer::Unavailable(Unseen { cause, why })) => {
                let why = format!("the configuration of the image cannot be read now: {}", quoted(why));
                return fault(FaultKind::Unavailable(*cause), 0, &why);
            }
            Some(Answer::Invalid(why) | Answer::NotSigned(why)) => {
                let why = format!("the configuration of the image cannot be read: {}", quoted(why));
                return fault(FaultKind::Invalid, 0, &why);
            }
            Some(Answer::Verified(_)) | None => {}
        }
        let image = value::image(evidence, self.context.into());
        let predicate = decoded.get("predicate").unwrap_or(Value::Null);
        let roots = seen.attestation_roots(namespace, [image, predicate, decoded], self.context);
        let mut run = Run::new(self.context, roots, self.policy, POLICY_COST_BUDGET);
        for validation in &attestation.validations {
            let Validation { expression, message_expression, reason, .. } = validation;
            let outcome = run.evaluate(&expression.program).unwrap_or_else(|out| Err(out.to_string()));
            match outcome {
                Ok(Value::Bool(true)) => {}
                Ok(_) => {
                    let computed = message_expression.as_ref().and_then(|m| run.evaluate(&m.program).ok()?.ok());
                    let why = computed.and_then(Value::as_str).and_then(usable).map(str::to_owned);
                    let why = why.unwrap_or_else(|| fallback(validation));
                    return fault(FaultKind::DoesNotHold(*reason), expression.line, &why);
                }
                Err(error) => return fault(FaultKind::Errored, expression.line, &error),
            }
        }
        None
    }

    /// Does what the policy says with a fault of one image, and what it says of an outage with that.
    fn tell(&mut self, place: ImagePlace<'c>, fault: Fault, unavailable: Unavailable) {
        self.consequence.image = Some(place.image);
        let found = self.out.findings.len();
        let (path, answer) = (place.path(), fault.kind.name());
        match (fault.kind, unavailable) {
            (FaultKind::Unavailable(_), _) if self.context.is_essential => self.note(FindingAction::Ignore, &fault),
            (FaultKind::Unavailable(Cause::Outage), Unavailable::Allow) => self.note(FindingAction::Ignore, &fault),
            (FaultKind::Unavailable(Cause::Outage), Unavailable::Warn) => {
                self.out.warn(self.place.validation_warning(&fault.message));
                self.note(FindingAction::Warn, &fault);
            }
            _ => {
                let Fault { rule, line, .. } = &fault;
                let (rule, line) = (rule.clone(), *line);
                self.conclude(0, &rule, line, Verdict::Image(fault));
            }
        }
        for finding in self.out.findings.iter_mut().skip(found) {
            finding.path = Some(path.clone());
            finding.answer = Some(answer);
        }
        self.consequence.image = None;
    }

    fn note(&mut self, action: FindingAction, fault: &Fault) {
        let finding = self.place.finding(&*fault.rule, (action, FindingResult::Error), &*fault.message, fault.line);
        self.out.find(finding);
    }
}

fn errored(rule: &str, message: String) -> Fault {
    Fault { kind: FaultKind::Errored, rule: rule.to_owned(), line: 0, message }
}

/// No matter for failurePolicy: what is wanted beyond the bound would pass by it.
fn too_many() -> Fault {
    let message = format!("there are more than {MAX_WANTED} images");
    Fault { kind: FaultKind::TooMany, rule: "images".to_owned(), line: 0, message }
}

fn no_digest(reference: &ImageReference) -> Fault {
    let message =
        format!("image {reference} has no digest: a tag may mean another image tomorrow; write {reference}@sha256:…");
    Fault { kind: FaultKind::NoDigest, rule: "digest".to_owned(), line: 0, message }
}

fn not_pinned(reference: &ImageReference, evidence: &Evidence) -> Option<Fault> {
    let Resolved::Known(digest) = &evidence.digest else { return None };
    let message = format!(
        "image {reference} is verified as {digest}, but was not pinned to it before: try again, or write \
         {reference}@{digest}"
    );
    let fault = Fault { kind: FaultKind::NoDigest, rule: "digest".to_owned(), line: 0, message };
    reference.digest().is_none().then_some(fault)
}

/// Whether tags are refused here.
fn requires_digest(rules: &ImageRules, request: &Request<'_>, namespace: Value<'_>) -> bool {
    rules.digest.required && !is_excepted(rules, request, namespace)
}

/// Whether digests are left alone in the namespace of a request.
pub(crate) fn is_excepted(rules: &ImageRules, request: &Request<'_>, namespace: Value<'_>) -> bool {
    let namespaced = !request.namespace.is_empty();
    rules.digest.except.as_ref().is_some_and(|selector| namespaced && selector.matches(labels(namespace)))
}
