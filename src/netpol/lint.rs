//! What policies probably do not mean.

use serde::Serialize;
use stockade_policy::compiled::Origin;
use stockade_policy::diagnostic::Severity;

use crate::compile::Compiled;
use crate::connectivity::TooMany;
use crate::policy::Policy;

mod openness;
mod overlap;
mod protocols;
mod selectors;
mod sides;

/// Most findings that are told: nobody reads more.
pub const MAX_FINDINGS: usize = 500;

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which check found it.
    pub check: Check,
    /// Place of the rule, policy or Pod.
    pub origin: Origin,
    /// What.
    pub message: String,
    /// What to do.
    pub help: String,
    /// What to write; empty for nothing.
    pub yaml: String,
}

/// Checks, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// One end's rule allows what the other end denies: nothing comes of it.
    OneSided,
    /// Two policies of one tier and priority: which is asked first is open.
    UndefinedOrder,
    /// TCP where the Pod serves UDP, or the other way round.
    WrongProtocol,
    /// A selector or a port's name that means nothing.
    SelectsNothing,
    /// What may send may not ask for addresses.
    DnsForgotten,
    /// A rule that another makes pointless.
    NeverDecides,
    /// Everything from or to everybody.
    AllowsAll,
    /// A Pod that everybody reaches because no policy is about it.
    NotIsolated,
}

// === impl Check ===

impl Check {
    /// `one-sided`
    pub fn name(self) -> &'static str {
        match self {
            Self::OneSided => "one-sided",
            Self::UndefinedOrder => "undefined-order",
            Self::WrongProtocol => "wrong-protocol",
            Self::SelectsNothing => "selects-nothing",
            Self::DnsForgotten => "dns-forgotten",
            Self::NeverDecides => "never-decides",
            Self::AllowsAll => "allows-all",
            Self::NotIsolated => "not-isolated",
        }
    }

    /// How bad it is: a warning is probably a mistake, a note may be meant.
    pub fn severity(self) -> Severity {
        match self {
            Self::AllowsAll | Self::NotIsolated => Severity::Note,
            _ => Severity::Warning,
        }
    }
}

impl Compiled {
    /// All findings, by place; at most [`MAX_FINDINGS`], the worst of them.
    ///
    /// # Errors
    /// More than can be judged at once.
    pub fn lint(&self) -> Result<Vec<Finding>, TooMany> {
        let mut findings = Vec::new();
        let pods = self.representatives()?;
        sides::check(self, &pods, |_| true, &mut findings)?;
        overlap::check(self, &mut findings);
        protocols::check(self, &pods, &mut findings);
        selectors::check(self, &mut findings);
        openness::check(self, &pods, &mut findings);
        findings.sort_by_key(|finding| finding.check);
        findings.truncate(MAX_FINDINGS);
        findings.sort_by(|a, b| {
            (&a.origin.file, a.origin.line, a.check, &a.message).cmp(&(
                &b.origin.file,
                b.origin.line,
                b.check,
                &b.message,
            ))
        });
        Ok(findings)
    }

    /// Findings of [`Check::OneSided`] about one NetworkPolicy.
    ///
    /// # Errors
    /// More than can be judged at once.
    pub fn one_sided(&self, namespace: &str, name: &str) -> Result<Vec<Finding>, TooMany> {
        let mut findings = Vec::new();
        let is_meant = |policy: &Policy| policy.namespace.as_deref() == Some(namespace) && *policy.name == *name;
        sides::check(self, &self.representatives()?, is_meant, &mut findings)?;
        Ok(findings)
    }
}

#[cfg(test)]
mod tests;
