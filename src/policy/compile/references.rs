//! Names that objects call each other by, and the times of exceptions: what shows only when all have been read.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::Options;
use crate::compiled::{Exception, Policy, PolicySet};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::read::exception::{IMAGE_RULES, rule_position};
use crate::read::suggest;
use crate::source::{ExceptionSource, PolicySource, Reference, WaivedReference};
use crate::source_file::SourceFile;
use crate::sources::PolicySources;
use crate::time_span::in_words;

/// An exception that ends within this many seconds is warned of: two weeks to renew it or to mend what it waives.
const SOON_SECONDS: i64 = 14 * 24 * 3_600;

/// Policies and groups by name.
#[derive(Default)]
pub(crate) struct Known<'s> {
    policies: HashMap<&'s str, Vec<Rules>>,
    groups: HashSet<&'s str>,
}

/// How many rules a policy has.
#[derive(Clone, Copy)]
struct Rules {
    validations: usize,
    mutations: usize,
    audit_annotations: usize,
    attestations: usize,
    /// Whether it is about signatures and digests.
    is_image_policy: bool,
}

/// Reports names of nothing in some sources.
pub(crate) fn check(sources: &PolicySources, known: &Known<'_>, severity: Severity, diagnostics: &mut Diagnostics) {
    let mut checker = Checker { known, severity, diagnostics };
    for policy in &sources.policies {
        checker.policy(policy);
    }
    for group in &sources.groups {
        for policy in &group.policies {
            checker.known_policy(&group.file, policy, "this group requires what nobody can give");
        }
    }
    for source in &sources.exceptions {
        for waived in &source.policies {
            checker.waived(&source.file, waived);
        }
    }
}

/// Reports an exception whose time is too long, or ends soon.
pub(crate) fn check_time(source: &ExceptionSource, options: Options, diagnostics: &mut Diagnostics) {
    let Exception { expires, .. } = source.exception;
    let now = options.now;
    let from = source.created.unwrap_or(now);
    let too_long = options.max_exception_seconds.filter(|most| expires.saturating_sub(from) > i64::from(*most));
    let since = match source.created.and_then(|c| Timestamp::from_second(c).ok()) {
        Some(created) => format!("its creation at {created}"),
        None => "now".to_owned(),
    };
    let (severity, message) = match too_long {
        Some(most) => (Severity::Error, format!("Invalid value: at most {} from {since} are allowed", in_words(most))),
        None if expires <= now => (Severity::Warning, "has expired: it waives nothing".to_owned()),
        None if expires - now <= SOON_SECONDS => {
            let left = u32::try_from(expires - now).unwrap_or(u32::MAX);
            (Severity::Warning, format!("expires in {}", in_words(left)))
        }
        None => return,
    };
    let d = Diagnostic::at(severity, &source.file, source.expires_span, message).field("spec.expires");
    diagnostics.push(d);
}

struct Checker<'k, 'd> {
    known: &'k Known<'k>,
    severity: Severity,
    diagnostics: &'d mut Diagnostics,
}

// === impl Rules ===

impl Rules {
    fn of_source(policy: &PolicySource) -> Self {
        Self {
            validations: policy.validations.len(),
            mutations: policy.mutations.len(),
            audit_annotations: policy.audit_annotations.len(),
            attestations: policy.image.as_ref().map_or(0, |_| policy.trust.attestations.len()),
            is_image_policy: policy.image.is_some(),
        }
    }

    fn of_compiled(policy: &Policy) -> Self {
        Self {
            validations: policy.validations.len(),
            mutations: policy.mutations.len(),
            audit_annotations: policy.audit_annotations.len(),
            attestations: policy.image_rules.as_ref().map_or(0, |rules| rules.attestations.len()),
            is_image_policy: policy.image_rules.is_some(),
        }
    }

    /// Whether a rule of this name is among them.
    fn have(&self, rule: &str) -> bool {
        match rule_position(rule) {
            Some(("validations", number)) => number < self.validations,
            Some(("mutations", number)) => number < self.mutations,
            Some(("auditAnnotations", number)) => number < self.audit_annotations,
            Some((_, number)) => number < self.attestations,
            None => self.is_image_policy && IMAGE_RULES.contains(&rule),
        }
    }
}

// === impl Known ===

impl<'s> Known<'s> {
    /// Adds what some sources define.
    pub(crate) fn add(&mut self, sources: &'s PolicySources) {
        for policy in &sources.policies {
            self.policies.entry(&policy.name).or_default().push(Rules::of_source(policy));
        }
        self.groups.extend(sources.groups.iter().map(|g| &*g.group.name));
    }

    /// Adds what a set holds.
    pub(crate) fn add_set(&mut self, set: &'s PolicySet) {
        for policy in &set.policies {
            self.policies.entry(&policy.name).or_default().push(Rules::of_compiled(policy));
        }
        self.groups.extend(set.groups.iter().map(|g| &*g.name));
    }
}

// === impl Checker ===

impl Checker<'_, '_> {
    fn policy(&mut self, policy: &PolicySource) {
        for group in &policy.namespace_groups {
            if !self.known.groups.contains(group.name.as_str()) {
                let mut names: Vec<&str> = self.known.groups.iter().copied().collect();
                names.sort_unstable();
                let message = format!("no NamespaceGroup named {:?}: until there is one the policy errors", group.name);
                self.unknown(&policy.file, group, message, &names);
            }
        }
        if let Some(old) = &policy.shadow_of {
            self.known_policy(&policy.file, old, "every failure will be told as a difference");
        }
    }

    fn waived(&mut self, file: &SourceFile, waived: &WaivedReference) {
        if !self.known_policy(file, &waived.policy, "it is not waived by this exception") {
            return;
        }
        for rule in &waived.rules {
            let policies = &self.known.policies[waived.policy.name.as_str()];
            if !policies.iter().any(|policy| policy.have(&rule.name)) {
                let message = format!("policy {:?} has no {}", waived.policy.name, rule.name);
                self.report(file, rule, message, None);
            }
        }
    }

    /// Whether there is such a policy; reports when not.
    fn known_policy(&mut self, file: &SourceFile, policy: &Reference, consequence: &str) -> bool {
        if self.known.policies.contains_key(policy.name.as_str()) {
            return true;
        }
        let mut names: Vec<&str> = self.known.policies.keys().copied().collect();
        names.sort_unstable();
        self.unknown(file, policy, format!("no policy named {:?}: {consequence}", policy.name), &names);
        false
    }

    fn unknown(&mut self, file: &SourceFile, reference: &Reference, message: String, names: &[&str]) {
        let close = suggest::closest(&reference.name, names.iter().copied());
        self.report(file, reference, message, close.map(|name| format!("did you mean `{name}`?")));
    }

    fn report(&mut self, file: &SourceFile, reference: &Reference, message: String, help: Option<String>) {
        let mut d = Diagnostic::at(self.severity, file, reference.span, message).field(&reference.path);
        d.help = help;
        self.diagnostics.push(d);
    }
}

#[cfg(test)]
mod tests;
