//! Names that objects call each other by, and the times of exceptions: what shows only when all have been read.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{MissingObjects, Options};
use crate::compiled::Exception;
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::read::exception::rule_position;
use crate::read::suggest;
use crate::source::{ExceptionSource, GroupSource, PolicySource, Reference, WaivedReference};
use crate::source_file::SourceFile;

/// An exception that ends within this many seconds is warned of: two weeks to renew it or to mend what it waives.
const SOON_SECONDS: i64 = 14 * 24 * 3_600;

/// What is checked against each other.
#[derive(Clone, Copy)]
pub(crate) struct Named<'s> {
    pub(crate) policies: &'s [PolicySource],
    pub(crate) exceptions: &'s [ExceptionSource],
    pub(crate) groups: &'s [GroupSource],
}

/// Reports names of nothing, and exceptions whose time is wrong.
pub(crate) fn check(named: Named<'_>, options: Options, diagnostics: &mut Diagnostics) {
    let mut policies: HashMap<&str, Vec<&PolicySource>> = HashMap::new();
    for policy in named.policies {
        policies.entry(&policy.name).or_default().push(policy);
    }
    let mut checker = Checker { named, policies, options, diagnostics };
    for policy in named.policies {
        checker.policy(policy);
    }
    for group in named.groups {
        for policy in &group.policies {
            checker.known_policy(&group.file, policy, "this group requires what nobody can give");
        }
    }
    for source in named.exceptions {
        for waived in &source.policies {
            checker.waived(&source.file, waived);
        }
        checker.time(source);
    }
}

struct Checker<'s, 'd> {
    named: Named<'s>,
    policies: HashMap<&'s str, Vec<&'s PolicySource>>,
    options: Options,
    diagnostics: &'d mut Diagnostics,
}

impl Checker<'_, '_> {
    fn policy(&mut self, policy: &PolicySource) {
        for group in &policy.namespace_groups {
            if !self.named.groups.iter().any(|g| *g.group.name == group.name) {
                let names: Vec<&str> = self.named.groups.iter().map(|g| &*g.group.name).collect();
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
            let Some((list, number)) = rule_position(&rule.name) else { continue };
            let policies = &self.policies[waived.policy.name.as_str()];
            let has = |p: &&PolicySource| {
                number
                    < match list {
                        "validations" => p.validations.len(),
                        "mutations" => p.mutations.len(),
                        _ => p.audit_annotations.len(),
                    }
            };
            if !policies.iter().any(has) {
                let message = format!("policy {:?} has no {}", waived.policy.name, rule.name);
                self.report(file, rule, message, None);
            }
        }
    }

    /// Whether there is such a policy; reports when not.
    fn known_policy(&mut self, file: &SourceFile, policy: &Reference, consequence: &str) -> bool {
        if self.policies.contains_key(policy.name.as_str()) {
            return true;
        }
        let mut names: Vec<&str> = self.policies.keys().copied().collect();
        names.sort_unstable();
        self.unknown(file, policy, format!("no policy named {:?}: {consequence}", policy.name), &names);
        false
    }

    fn unknown(&mut self, file: &SourceFile, reference: &Reference, message: String, names: &[&str]) {
        let close = suggest::closest(&reference.name, names.iter().copied());
        self.report(file, reference, message, close.map(|name| format!("did you mean `{name}`?")));
    }

    fn report(&mut self, file: &SourceFile, reference: &Reference, message: String, help: Option<String>) {
        let severity = match self.options.missing {
            MissingObjects::Error => Severity::Error,
            MissingObjects::Warn => Severity::Warning,
        };
        let mut d = Diagnostic::at(severity, file, reference.span, message).field(&reference.path);
        d.help = help;
        self.diagnostics.push(d);
    }

    fn time(&mut self, source: &ExceptionSource) {
        let Exception { expires, .. } = source.exception;
        let now = self.options.now;
        let from = source.created.unwrap_or(now);
        let too_long = self.options.max_exception_seconds.filter(|most| expires - from > i64::from(*most));
        let (severity, message) = match too_long {
            Some(most) => (Severity::Error, format!("Invalid value: at most {} from now are allowed", span(most))),
            None if expires <= now => (Severity::Warning, "has expired: it waives nothing".to_owned()),
            None if expires - now <= SOON_SECONDS => {
                let left = u32::try_from(expires - now).unwrap_or(u32::MAX);
                (Severity::Warning, format!("expires in {}", span(left)))
            }
            None => return,
        };
        let message = match source.created.and_then(|c| Timestamp::from_second(c).ok()) {
            Some(created) => message.replace("from now", &format!("from its creation at {created}")),
            None => message,
        };
        let d = Diagnostic::at(severity, &source.file, source.expires_span, message).field("spec.expires");
        self.diagnostics.push(d);
    }
}

/// `90 days`, `5 hours`, `30 minutes`
fn span(seconds: u32) -> String {
    let (number, unit) = match seconds {
        s if s >= 2 * 86_400 => (s / 86_400, "days"),
        s if s >= 2 * 3_600 => (s / 3_600, "hours"),
        s => (s / 60, "minutes"),
    };
    format!("{number} {unit}")
}

#[cfg(test)]
mod tests;
