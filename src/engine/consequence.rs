//! What comes of a failure: the binding's actions, unless an exception waives it or a rollout has not come so far.

use stockade_policy::compiled::{Actions, Exception, FailurePolicy};
use stockade_policy::time_span;

use crate::context::Context;
use crate::decision::{FindingAction, FindingResult};
use crate::engine::Prepared;
use crate::exceptions::{self, Age};
use crate::outcome::{FAILURE_ANNOTATION, Outcome, Place, failure_annotation, invalid};
use crate::request::Request;
use crate::rollout::Reached;

/// One policy judging one request.
#[derive(Clone, Copy)]
pub(crate) struct Consequence<'c, 'x> {
    pub(crate) prepared: Prepared<'c>,
    pub(crate) request: &'x Request<'c>,
    pub(crate) context: &'x Context<'c>,
    /// The image that it is about, as it is written; none when it is about the whole object.
    pub(crate) image: Option<&'c str>,
}

/// A failure, as it is told.
#[derive(Clone, Copy)]
pub(crate) struct Failure<'f> {
    pub(crate) rule: &'f str,
    pub(crate) result: FindingResult,
    pub(crate) message: &'f str,
    /// Of the expression; 0 when it is about none.
    pub(crate) line: u32,
}

impl<'c> Consequence<'c, '_> {
    /// What an error leads to.
    pub(crate) fn error_action(self) -> FindingAction {
        match self.prepared.policy.failure_policy {
            FailurePolicy::Fail => self.fatal_action(),
            FailurePolicy::Ignore => FindingAction::Ignore,
        }
    }

    /// What an error leads to that counts whatever the `failurePolicy` says.
    pub(crate) fn fatal_action(self) -> FindingAction {
        if self.context.is_essential { FindingAction::Ignore } else { FindingAction::Deny }
    }

    /// An error that refuses whatever the actions of a binding are: it could not be judged at all, or an annotation
    /// has the wrong type. `action` is what it leads to by failurePolicy.
    pub(crate) fn error(self, place: Place<'c>, action: FindingAction, failure: Failure<'_>, out: &mut Outcome) {
        let found = |action| place.finding(failure.rule, (action, failure.result), failure.message, failure.line);
        if action != FindingAction::Deny {
            return out.find(found(action));
        }
        if self.is_waived(place, failure, out) {
            return;
        }
        let action = match self.reached() {
            Reached::Deny => {
                out.deny(invalid(place.validation_denied(failure.message)));
                FindingAction::Deny
            }
            Reached::Warn => {
                out.warn(self.early_warning(place, failure.message));
                FindingAction::Warn
            }
            Reached::Audit => {
                let audit = Actions { audit: true, ..Actions::default() };
                out.annotate(FAILURE_ANNOTATION.to_owned(), failure_annotation(place, 0, failure.message, audit));
                FindingAction::Audit
            }
        };
        out.find(found(action));
    }

    /// Whether an exception covers a failure; it is noted then.
    pub(crate) fn is_waived(self, place: Place<'c>, failure: Failure<'_>, out: &mut Outcome) -> bool {
        let Some(exception) = self.waiver(failure.rule) else { return false };
        self.waive(place, exception, failure, out);
        true
    }

    /// The exception that covers a rule for this request. When several do, the first by name.
    pub(crate) fn waiver(self, rule: &str) -> Option<&'c Exception> {
        self.covering(|waived| exceptions::names(waived, rule))
    }

    fn covering(self, names: impl Fn(&stockade_policy::compiled::WaivedPolicy) -> bool) -> Option<&'c Exception> {
        let of_policy = self.prepared.exceptions()?;
        let engine = self.prepared.engine;
        let now = || self.context.now();
        let own = engine.own_namespace.as_ref();
        let about = exceptions::About { request: self.request, image: self.image };
        let mut all = exceptions::covering(of_policy, &engine.set().exceptions, about, own, now);
        all.find(|(_, waived)| names(waived)).map(|(exception, _)| exception)
    }

    /// Notes a failure that leads to nothing.
    pub(crate) fn waive(self, place: Place<'c>, exception: &Exception, failure: Failure<'_>, out: &mut Outcome) {
        let key = format!("{}/{}", exception.namespace, exception.name);
        let policy = &place.policy.name;
        out.annotate(format!("{policy}/exception"), format!("{key}: {}", exception.reason));
        let now = self.context.now();
        // Whoever is waived by one that ends soon is told.
        if exceptions::age(exception, now) != Age::Valid {
            let left = exception.expires - now;
            let left = time_span::in_words(u32::try_from(left).unwrap_or(0));
            out.warn(format!("PolicyException '{key}', which waives policy '{policy}' here, expires in {left}"));
        }
        let how = (FindingAction::Waive, failure.result);
        let mut finding = place.finding(failure.rule, how, failure.message, failure.line);
        finding.exception = Some(key);
        out.find(finding);
    }

    /// Notes that nothing failed. An exception that covers the object was not needed then.
    pub(crate) fn passed(self, place: Place<'c>, rule: &str, out: &mut Outcome) {
        let exception = self.covering(|_| true);
        let action = if exception.is_some() { FindingAction::Waive } else { FindingAction::Pass };
        let mut finding = place.finding(rule, (action, FindingResult::Pass), "", 0);
        finding.exception = exception.map(|e| format!("{}/{}", e.namespace, e.name));
        out.find(finding);
    }

    /// What the actions of a binding come to. Only Deny waits for a rollout.
    pub(crate) fn actions(self, of_binding: Actions) -> Actions {
        if !of_binding.deny || self.prepared.policy.rollout.is_none() {
            return of_binding;
        }
        match self.reached() {
            Reached::Deny => of_binding,
            Reached::Warn => Actions { deny: false, warn: true, ..of_binding },
            Reached::Audit => Actions { deny: false, audit: true, ..of_binding },
        }
    }

    fn reached(self) -> Reached {
        let policy = self.prepared.policy;
        let Some(rollout) = &policy.rollout else { return Reached::Deny };
        crate::rollout::reached(rollout, &policy.name, self.request, self.context, self.prepared.is_held())
    }

    /// Whether the rollout's budget counts this request: where it does not deny it has nothing to spend.
    pub(crate) fn is_budgeted(self) -> bool {
        let policy = self.prepared.policy;
        let denies = |rollout| crate::rollout::denies(rollout, &policy.name, self.request, self.context);
        self.prepared.has_budget() && policy.rollout.as_ref().is_some_and(denies)
    }

    /// A warning for what is not denied yet.
    pub(crate) fn early_warning(self, place: Place<'c>, message: &str) -> String {
        debug_assert!(place.policy.flavour.is_own(), "only the own kinds have a rollout");
        let held = self.prepared.is_held() || place.policy.rollout.as_ref().is_some_and(|r| r.held);
        let later = match held {
            true => "will be denied when the rollout of this policy, now on hold, goes on",
            false => "will be denied when the rollout of this policy comes this far",
        };
        format!("{} ({later})", place.validation_warning(message))
    }
}
