//! The API server's answer, read as a policy decision.

use crate::client::Answer;

/// What the policies decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// They let it pass.
    Allowed,
    /// One refused it.
    Denied {
        /// HTTP status.
        code: u16,
        /// `Invalid`, …
        reason: String,
        /// Without the `pods "p" is forbidden: ` before it.
        message: String,
    },
    /// The server itself refused, before the validating policies were asked.
    NotJudged(String),
}

/// Words that only policy refusals have.
const POLICY_WORDS: [&str; 4] =
    ["ValidatingAdmissionPolicy '", "MutatingAdmissionPolicy '", "policy '", "failed to configure "];

impl Verdict {
    /// Reads an answer to a dry run.
    pub fn of(answer: &Answer) -> Verdict {
        // Dry-run storage looks for an existing object only after all of admission has passed.
        if answer.ok() || answer.reason() == "AlreadyExists" {
            return Verdict::Allowed;
        }
        let message = answer.message();
        let start = POLICY_WORDS.iter().filter_map(|word| message.find(word)).min();
        match start {
            Some(start) => Verdict::Denied {
                code: answer.code,
                reason: answer.reason().to_owned(),
                message: message[start..].to_owned(),
            },
            None => Verdict::NotJudged(format!("{} {}: {message}", answer.code, answer.reason())),
        }
    }

    /// Reads an answer to any request, also one for which there is no backend. `asked_last` says that a validating
    /// webhook was asked, which the server does after all policies have let the request pass.
    pub fn of_any(answer: &Answer, asked_last: bool) -> Verdict {
        if asked_last { Verdict::Allowed } else { Verdict::of(answer) }
    }

    /// `allow`, `deny` or `not judged`.
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Allowed => "allow",
            Verdict::Denied { .. } => "deny",
            Verdict::NotJudged(_) => "not judged",
        }
    }
}

/// Warnings that come from policies; the server has others of its own.
pub fn policy_warnings(answer: &Answer) -> Vec<String> {
    answer
        .warnings
        .iter()
        .filter(|warning| warning.starts_with("Validation failed for ValidatingAdmissionPolicy"))
        .cloned()
        .collect()
}
