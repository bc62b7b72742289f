//! One case: a request, and what is to come of it.

use std::path::Path;

use anyhow::Result;
use serde_json::Value as Json;
use stockade_engine::decision::{Decision, FindingAction};
use stockade_engine::request::Operation;
use stockade_policy::cases::{CaseSource, Expect, StatedImage};

use crate::inputs;

/// A case, ready to run.
pub(crate) struct Case {
    /// File, or a sentence.
    pub(crate) name: String,
    /// None: what the objects suggest.
    pub(crate) operation: Option<Operation>,
    /// The object of the request.
    pub(crate) object: Option<Json>,
    /// The object before.
    pub(crate) old_object: Option<Json>,
    /// The namespace, when it is not among what exists.
    pub(crate) namespace: Option<Json>,
    /// Who asks.
    pub(crate) user_info: Option<Json>,
    /// Seconds since 1970; none for the present.
    pub(crate) now: Option<i64>,
    /// What would be found of images.
    pub(crate) images: Vec<StatedImage>,
    /// What is to come of it.
    pub(crate) wanted: Wanted,
    /// Part of a message that must be shown.
    message: Option<String>,
    /// Part of the object afterwards.
    after: Option<Json>,
}

/// What is wanted of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// As a test.yaml says.
    Written(Expect),
    /// Refused, warned about or noted: what `fail/` stands for, whatever the policy's actions are.
    Finding,
}

impl Wanted {
    /// Whether the policy is to say nothing.
    pub(crate) fn is_quiet(self) -> bool {
        matches!(self, Self::Written(Expect::Allow | Expect::Unchanged))
    }
}

impl Case {
    /// An object of `pass/` or `fail/`, created.
    pub(crate) fn of_file(name: String, object: Json, wanted: Wanted) -> Self {
        Self {
            name,
            operation: None,
            object: Some(object),
            old_object: None,
            namespace: None,
            user_info: None,
            now: None,
            images: Vec::new(),
            wanted,
            message: None,
            after: None,
        }
    }

    /// A case of a test.yaml in this folder.
    ///
    /// # Errors
    /// Files that it names and that cannot be read.
    pub(crate) fn of_source(source: CaseSource, dir: &Path) -> Result<Self> {
        let object = |given: Option<Json>| -> Result<Option<Json>> {
            match given {
                Some(Json::String(file)) => Ok(Some(inputs::object(&dir.join(file))?.value)),
                other => Ok(other),
            }
        };
        Ok(Self {
            name: source.name,
            operation: source.operation.and_then(Operation::parse),
            object: object(source.object)?,
            old_object: object(source.old_object)?,
            namespace: object(source.namespace)?,
            user_info: source.user_info,
            now: source.now,
            images: source.images,
            wanted: Wanted::Written(source.expect),
            message: source.message,
            after: source.after,
        })
    }

    /// Why the decision is not what was expected; none when it is.
    pub(crate) fn check(&self, decision: &Decision) -> Option<String> {
        let acted = |action| decision.findings.iter().any(|f| f.action == action);
        let spoke = acted(FindingAction::Deny) || acted(FindingAction::Warn) || acted(FindingAction::Audit);
        let as_expected = match self.wanted {
            Wanted::Written(Expect::Allow) => decision.allowed && !spoke,
            Wanted::Written(Expect::Deny) => !decision.allowed,
            Wanted::Written(Expect::Warn) => decision.allowed && acted(FindingAction::Warn),
            Wanted::Written(Expect::Audit) => decision.allowed && acted(FindingAction::Audit),
            Wanted::Written(Expect::Waived) => decision.allowed && !spoke && acted(FindingAction::Waive),
            Wanted::Written(Expect::Mutated) => decision.allowed && !decision.patch.is_empty(),
            Wanted::Written(Expect::Unchanged) => decision.allowed && decision.patch.is_empty(),
            Wanted::Finding => spoke,
        };
        if !as_expected {
            return Some(format!("expected {}, got {}", self.wanted.describe(), describe(decision)));
        }
        if let Some(part) = &self.message {
            let status = decision.status.iter().map(|s| &s.message);
            let messages = decision.findings.iter().map(|f| &f.message).chain(status).chain(&decision.warnings);
            if !messages.clone().any(|m| m.contains(part.as_str())) {
                let shown: Vec<&str> = messages.map(String::as_str).collect();
                return Some(format!("no message contains\n  {part}\nbut there is\n  {}", shown.join("\n  ")));
            }
        }
        let object = decision.object.as_ref().unwrap_or(&Json::Null);
        match &self.after {
            Some(after) => missing(after, object, "").map(|at| format!("{at} is not as expected in\n{object:#}")),
            None => None,
        }
    }
}

impl Wanted {
    fn describe(self) -> &'static str {
        match self {
            Self::Written(Expect::Allow) => "to be admitted without a word",
            Self::Written(Expect::Deny) => "to be refused",
            Self::Written(Expect::Warn) => "to be admitted with a warning",
            Self::Written(Expect::Audit) => "to be admitted with an audit annotation",
            Self::Written(Expect::Waived) => "to be admitted by an exception",
            Self::Written(Expect::Mutated) => "to be changed",
            Self::Written(Expect::Unchanged) => "to stay unchanged",
            Self::Finding => "to be refused, warned about or noted",
        }
    }
}

fn describe(decision: &Decision) -> String {
    let mut text = if decision.allowed { "admitted".to_owned() } else { "refused".to_owned() };
    if !decision.patch.is_empty() {
        text += ", changed";
    }
    for f in &decision.findings {
        text += &format!("\n  {} {}: {}", f.policy, f.rule, f.message);
    }
    text
}

/// Path of the first part of `expected` that `object` has not: objects may have more members, lists may not.
fn missing(expected: &Json, object: &Json, at: &str) -> Option<String> {
    match (expected, object) {
        (Json::Object(e), Json::Object(o)) => {
            e.iter().find_map(|(k, v)| missing(v, o.get(k).unwrap_or(&Json::Null), &format!("{at}.{k}")))
        }
        (Json::Array(e), Json::Array(o)) if e.len() == o.len() => {
            e.iter().zip(o).enumerate().find_map(|(i, (e, o))| missing(e, o, &format!("{at}[{i}]")))
        }
        _ if expected == object => None,
        _ => Some(if at.is_empty() { "the object".to_owned() } else { at.trim_start_matches('.').to_owned() }),
    }
}
