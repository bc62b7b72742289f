//! The report of `stockade verify-image`.

use std::io::{self, Write};
use std::sync::Arc;

use anstyle::Style;
use serde::Serialize;
use stockade_engine::decision::{Decision, Finding, FindingAction, FindingResult};
use stockade_engine::images::{Answer, Evidence, Resolved, Signer, Statement};
use stockade_policy::images::ImageReference;

use crate::Report;
use crate::table::{BAD, DOUBTFUL, FAINT, GOOD, findings, shown, word};

/// One image, and what each policy makes of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyImageReport {
    /// In full form.
    pub image: String,
    /// What the reference means; none when that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// All policies together.
    pub verdict: Verdict,
    /// One entry for each policy that is about the image.
    pub policies: Vec<PolicyReport>,
    /// What a Pod that runs the image would be answered.
    pub decision: Decision,
}

/// What all policies together say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every policy is satisfied.
    Verified,
    /// Some policy is not.
    Refused,
    /// It could not be found out.
    Unknown,
}

/// What one policy found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyReport {
    /// Its name.
    pub policy: String,
    /// One entry for each authority.
    pub authorities: Vec<Signed>,
    /// One entry for each attestation and authority.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attestations: Vec<Attested>,
}

/// Whether an authority signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Signed {
    /// Name of the authority.
    pub authority: String,
    /// `verified`, `not_signed`, `invalid`, `unavailable`, `unauthorized`, `unfinished`, or `not_asked`.
    pub answer: &'static str,
    /// Who made the signatures that count.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signers: Vec<String>,
    /// What was found instead, or why not.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// Whether an authority signed a statement of a type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attested {
    /// Name of the attestation.
    pub attestation: String,
    /// Its type.
    pub predicate_type: String,
    /// By whom.
    #[serde(flatten)]
    pub signed: Signed,
}

// === impl VerifyImageReport ===

impl VerifyImageReport {
    /// From what was found out and decided.
    pub fn new(
        image: &ImageReference,
        seen: &[Arc<Evidence>],
        policies: Vec<PolicyReport>,
        decision: Decision,
    ) -> Self {
        let digest = seen.iter().rev().find_map(|e| match &e.digest {
            Resolved::Known(digest) => Some(digest.to_string()),
            _ => None,
        });
        let written = image.digest().map(str::to_owned);
        let verdict = Verdict::of(&decision);
        Self { image: image.to_string(), digest: digest.or(written), verdict, policies, decision }
    }
}

impl Verdict {
    /// What fails a policy is not trusted, also where the policy only warns or audits; what failed for want of an answer is
    /// not known, admitted or not.
    fn of(decision: &Decision) -> Self {
        let told = |f: &&Finding| !matches!(f.action, FindingAction::Waive | FindingAction::Pass);
        let mut results = decision.findings.iter().filter(told).map(|f| f.result);
        if results.clone().any(|result| result == FindingResult::Fail) {
            Self::Refused
        } else if !decision.allowed || results.any(|result| result == FindingResult::Error) {
            Self::Unknown
        } else {
            Self::Verified
        }
    }

    fn shown(self) -> (Style, &'static str) {
        match self {
            Self::Verified => (GOOD, "verified"),
            Self::Refused => (BAD, "refused"),
            Self::Unknown => (DOUBTFUL, "not known"),
        }
    }
}

impl Report for VerifyImageReport {
    fn table(&self, out: &mut dyn Write) -> io::Result<()> {
        let (style, verdict) = self.verdict.shown();
        writeln!(out, "{}: {style}{verdict}{style:#}", self.image)?;
        if let Some(digest) = &self.digest {
            writeln!(out, "{FAINT}{digest}{FAINT:#}")?;
        }
        for PolicyReport { policy, authorities, attestations } in &self.policies {
            writeln!(out, "\nImagePolicy {policy}")?;
            for signed in authorities {
                signed.line(&format!("signed by {}", signed.authority), out)?;
            }
            for Attested { attestation, signed, .. } in attestations {
                signed.line(&format!("{attestation} by {}", signed.authority), out)?;
            }
        }
        // That the tag of a Pod made for this would be pinned is no answer to the question.
        let mut decision = self.decision.clone();
        decision.findings.retain(|f| f.action != FindingAction::Mutate);
        if !decision.findings.is_empty() {
            writeln!(out)?;
        }
        findings(&decision, out)
    }
}

// === impl Signed ===

impl Signed {
    /// From the answer for an authority.
    pub fn new(authority: &str, answer: Option<&Answer<Vec<Signer>>>) -> Self {
        Self::of(authority, answer, |signers| signers.iter().map(described).collect())
    }

    fn of<T>(authority: &str, answer: Option<&Answer<T>>, signers: impl Fn(&T) -> Vec<String>) -> Self {
        let (signers, why) = match answer {
            Some(Answer::Verified(found)) => (signers(found), String::new()),
            Some(Answer::NotSigned(why) | Answer::Invalid(why)) => (Vec::new(), why.clone()),
            Some(Answer::Unavailable(unseen)) => (Vec::new(), unseen.why.clone()),
            None => (Vec::new(), String::new()),
        };
        Self { authority: authority.to_owned(), answer: answer.map_or("not_asked", Answer::name), signers, why }
    }

    fn line(&self, what: &str, out: &mut dyn Write) -> io::Result<()> {
        let (style, answer) = match self.answer {
            "verified" => (GOOD, "yes"),
            "not_signed" => (BAD, "no"),
            "invalid" => (BAD, "invalid"),
            "not_asked" => (FAINT, "not asked"),
            _ => (DOUBTFUL, "not known"),
        };
        write!(out, "  ")?;
        word(out, style, answer, 11)?;
        writeln!(out, "{}", shown(what))?;
        let details = self.signers.iter().chain(Some(&self.why).filter(|w| !w.is_empty()));
        for line in details.flat_map(|text| text.lines()) {
            writeln!(out, "             {FAINT}{}{FAINT:#}", shown(line))?;
        }
        Ok(())
    }
}

impl Attested {
    /// From the answer for an attestation and an authority.
    pub fn new(
        attestation: &str,
        predicate_type: &str,
        authority: &str,
        answer: Option<&Answer<Vec<Statement>>>,
    ) -> Self {
        let signed = Signed::of(authority, answer, |all| all.iter().map(|s| described(&s.signer)).collect());
        Self { attestation: attestation.to_owned(), predicate_type: predicate_type.to_owned(), signed }
    }
}

/// `cosign, key sha256:…`, `bundle, https://… (issuer https://…)`
fn described(signer: &Signer) -> String {
    let mut text = signer.format.to_owned();
    if let Some(identity) = &signer.identity {
        text.push_str(&format!(", {} (issuer {})", identity.subject, identity.issuer));
    }
    if let Some(key) = &signer.key {
        text.push_str(&format!(", key sha256:{key}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(allowed: bool, findings: &[(FindingAction, FindingResult)]) -> Decision {
        let finding = |&(action, result): &(FindingAction, FindingResult)| Finding {
            policy: "signed".to_owned(),
            binding: "signed".to_owned(),
            rule: "signatures".to_owned(),
            action,
            result,
            message: String::new(),
            path: None,
            answer: None,
            trace: None,
            exception: None,
        };
        Decision { allowed, findings: findings.iter().map(finding).collect(), ..Decision::allowed() }
    }

    #[test]
    fn an_image_is_verified_only_when_nothing_failed_and_everything_was_found_out() {
        use FindingAction::{Audit, Deny, Ignore, Mutate, Waive, Warn};
        use FindingResult::{Error, Fail, Mutated};
        let verdict = |allowed, findings: &[_]| Verdict::of(&decision(allowed, findings));
        assert_eq!(verdict(true, &[(Mutate, Mutated), (Waive, Fail)]), Verdict::Verified);
        for action in [Deny, Warn, Audit] {
            assert_eq!(verdict(action != Deny, &[(action, Fail), (Ignore, Error)]), Verdict::Refused);
            assert_eq!(verdict(action != Deny, &[(action, Error)]), Verdict::Unknown);
        }
        assert_eq!(verdict(true, &[(Ignore, Error)]), Verdict::Unknown);
        assert_eq!(verdict(false, &[]), Verdict::Unknown);
    }
}
