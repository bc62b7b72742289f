//! One case: a request, and what is to come of it.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value as Json;
use stockade_engine::decision::{Decision, FindingAction};
use stockade_engine::request::Operation;

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
    /// What is to come of it.
    pub(crate) expect: Expect,
    /// Part of a message that must be shown.
    message: Option<String>,
    /// Part of the object afterwards.
    after: Option<Json>,
}

/// What is to come of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Expect {
    /// Admitted without a word.
    Allow,
    /// Refused.
    Deny,
    /// Admitted with a warning.
    Warn,
    /// Admitted with an audit annotation.
    Audit,
    /// Admitted by an exception.
    Waived,
    /// Admitted and changed.
    Mutated,
    /// Admitted and not changed.
    Unchanged,
    /// Refused, warned about or noted: what `fail/` stands for, whatever the policy's actions are.
    #[serde(skip)]
    Finding,
}

/// `test.yaml`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    cases: Vec<Described>,
}

/// One entry of `cases`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Described {
    name: String,
    operation: Option<String>,
    object: Option<Json>,
    old_object: Option<Json>,
    namespace: Option<Json>,
    user_info: Option<Json>,
    expect: Expect,
    message: Option<String>,
    after: Option<Json>,
}

impl Expect {
    /// Whether the policy is to say nothing.
    pub(crate) fn is_quiet(self) -> bool {
        matches!(self, Expect::Allow | Expect::Unchanged)
    }
}

impl Case {
    /// An object of `pass/` or `fail/`, created.
    pub(crate) fn of_file(name: String, object: Json, expect: Expect) -> Self {
        Self {
            name,
            operation: None,
            object: Some(object),
            old_object: None,
            namespace: None,
            user_info: None,
            expect,
            message: None,
            after: None,
        }
    }

    /// The cases of a test.yaml.
    ///
    /// # Errors
    /// Syntax, unknown fields, files that it names and that cannot be read.
    pub(crate) fn read(path: &Path) -> Result<Vec<Self>> {
        let file: File = serde_json::from_value(inputs::document(path)?).with_context(|| path.display().to_string())?;
        let dir = path.parent().unwrap_or(Path::new("."));
        file.cases
            .into_iter()
            .map(|d| {
                let name = d.name.clone();
                d.into_case(dir).with_context(|| format!("{}: case {name:?}", path.display()))
            })
            .collect()
    }

    /// Why the decision is not what was expected; none when it is.
    pub(crate) fn check(&self, decision: &Decision) -> Option<String> {
        let acted = |action| decision.findings.iter().any(|f| f.action == action);
        let spoke = acted(FindingAction::Deny) || acted(FindingAction::Warn) || acted(FindingAction::Audit);
        let as_expected = match self.expect {
            Expect::Allow => decision.allowed && !spoke,
            Expect::Deny => !decision.allowed,
            Expect::Warn => decision.allowed && acted(FindingAction::Warn),
            Expect::Audit => decision.allowed && acted(FindingAction::Audit),
            Expect::Waived => decision.allowed && !spoke && acted(FindingAction::Waive),
            Expect::Mutated => decision.allowed && !decision.patch.is_empty(),
            Expect::Unchanged => decision.allowed && decision.patch.is_empty(),
            Expect::Finding => spoke,
        };
        if !as_expected {
            return Some(format!("expected {}, got {}", self.expect.describe(), describe(decision)));
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

impl Expect {
    fn describe(self) -> &'static str {
        match self {
            Expect::Allow => "to be admitted without a word",
            Expect::Deny => "to be refused",
            Expect::Warn => "to be admitted with a warning",
            Expect::Audit => "to be admitted with an audit annotation",
            Expect::Waived => "to be admitted by an exception",
            Expect::Mutated => "to be changed",
            Expect::Unchanged => "to stay unchanged",
            Expect::Finding => "to be refused, warned about or noted",
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

impl Described {
    fn into_case(self, dir: &Path) -> Result<Case> {
        let operation = match self.operation.as_deref() {
            None => None,
            Some(name) => match Operation::parse(name) {
                Some(operation) => Some(operation),
                None => bail!("operation {name:?} is none of CREATE, UPDATE, DELETE, CONNECT"),
            },
        };
        if self.object.is_none() && self.old_object.is_none() {
            bail!("neither object nor oldObject");
        }
        let object = |given: Option<Json>| -> Result<Option<Json>> {
            match given {
                Some(Json::String(file)) => Ok(Some(inputs::object(&dir.join(file))?.value)),
                other => Ok(other),
            }
        };
        Ok(Case {
            name: self.name,
            operation,
            object: object(self.object)?,
            old_object: object(self.old_object)?,
            namespace: object(self.namespace)?,
            user_info: self.user_info,
            expect: self.expect,
            message: self.message,
            after: self.after,
        })
    }
}
