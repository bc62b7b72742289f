//! What the phases find out, gathered until it becomes a [`Decision`].

use std::collections::BTreeMap;

use stockade_policy::compiled::{Actions, Binding, Policy};

use crate::decision::{Budgeted, Compared, Finding, FindingAction, FindingResult, ShadowDifference, Status};
use crate::images::{MAX_WANTED, Wanted};

/// Most findings of one request; what is beyond is counted in a last one.
pub const MAX_FINDINGS: usize = 1_000;

/// Most warnings of one request. The API server shows 4,096 bytes of them.
pub const MAX_WARNINGS: usize = 1_000;

/// Longest value that one binding and params give to an audit annotation (upstream `maxAuditAnnotationValueLength`).
const MAX_VALUE_BYTES: usize = 10 * 1024;

/// Longest annotation, which joins the values of all bindings and params. Upstream has no such bound.
const MAX_ANNOTATION_BYTES: usize = 256 * 1024;

/// The annotation that tells of failures under the action Audit.
pub(crate) const FAILURE_ANNOTATION: &str = "validation.policy.admission.k8s.io/validation_failure";

/// Gathered so far.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The first refusal; later ones are only findings, as upstream reports one.
    pub(crate) denial: Option<Status>,
    pub(crate) warnings: Vec<String>,
    pub(crate) audit_annotations: BTreeMap<String, String>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) shadow: Vec<ShadowDifference>,
    pub(crate) budgeted: Vec<Budgeted>,
    pub(crate) compared: Vec<Compared>,
    pub(crate) wanted: Vec<Wanted>,
    suppressed: usize,
}

/// The place of a finding.
#[derive(Clone, Copy)]
pub(crate) struct Place<'p> {
    pub(crate) policy: &'p Policy,
    pub(crate) binding: Option<&'p Binding>,
}

// === impl Outcome ===

impl Outcome {
    pub(crate) fn deny(&mut self, status: Status) {
        self.denial.get_or_insert(status);
    }

    /// Adds a warning that is not there yet, while there is room.
    pub(crate) fn warn(&mut self, text: String) {
        if self.warnings.len() < MAX_WARNINGS && !self.warnings.contains(&text) {
            self.warnings.push(text);
        }
    }

    /// Adds an annotation; one that is there already stays, as upstream.
    pub(crate) fn annotate(&mut self, key: String, mut value: String) {
        value.truncate(shortened(&value, MAX_ANNOTATION_BYTES).len());
        self.audit_annotations.entry(key).or_insert(value);
    }

    pub(crate) fn find(&mut self, finding: Finding) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        } else {
            self.suppressed += 1;
        }
    }

    /// Asks for evidence that nobody has, each once.
    pub(crate) fn want(&mut self, wanted: Wanted) {
        if self.wanted.len() < MAX_WANTED && !self.wanted.contains(&wanted) {
            self.wanted.push(wanted);
        }
    }

    /// Whether findings were left out.
    pub(crate) fn is_full(&self) -> bool {
        self.suppressed > 0
    }

    /// How many findings there are, those left out among them.
    pub(crate) fn count(&self) -> usize {
        self.findings.len() + self.suppressed
    }

    /// All findings; a last one tells how many there was no room for.
    pub(crate) fn into_findings(mut self) -> Vec<Finding> {
        if let (Some(last), 1..) = (self.findings.last_mut(), self.suppressed) {
            last.message = format!("{} more findings were left out, this one among them", self.suppressed + 1);
        }
        self.findings
    }
}

// === impl Place ===

impl Place<'_> {
    /// A finding here. `line` is that of the expression, 0 when it is about none.
    pub(crate) fn finding(
        self,
        rule: impl Into<String>,
        (action, result): (FindingAction, FindingResult),
        message: impl Into<String>,
        line: u32,
    ) -> Finding {
        let origin = &self.policy.origin;
        let line = if line == 0 { origin.line } else { line };
        Finding {
            policy: self.policy.name.to_string(),
            binding: self.binding.map_or(String::new(), |b| b.name.to_string()),
            rule: rule.into(),
            action,
            result,
            message: message.into(),
            path: None,
            answer: None,
            trace: (!origin.file.is_empty()).then(|| format!("{}:{line}", origin.file)),
            exception: None,
        }
    }

    /// `ValidatingAdmissionPolicy 'p' with binding 'b' denied request: …`. An AdmissionPolicy is its own binding.
    pub(crate) fn validation_denied(self, message: &str) -> String {
        let Policy { name, flavour, .. } = self.policy;
        match (flavour, self.binding) {
            (own, _) if own.is_own() => format!("{} '{name}' denied request: {message}", own.kind()),
            (_, None) => format!("ValidatingAdmissionPolicy '{name}' denied request: {message}"),
            (_, Some(b)) => {
                format!("ValidatingAdmissionPolicy '{name}' with binding '{}' denied request: {message}", b.name)
            }
        }
    }

    /// `Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': …`
    pub(crate) fn validation_warning(self, message: &str) -> String {
        let name = &self.policy.name;
        match (self.policy.flavour, self.binding) {
            (own, Some(b)) if !own.is_own() => {
                let binding = &b.name;
                format!("Validation failed for ValidatingAdmissionPolicy '{name}' with binding '{binding}': {message}")
            }
            (own, _) => format!("Validation failed for {} '{name}': {message}", own.kind()),
        }
    }

    /// `policy 'p' with binding 'b' denied request: …`: upstream's words for mutating policies.
    pub(crate) fn mutation_denied(self, message: &str) -> String {
        let name = &self.policy.name;
        match (self.policy.flavour, self.binding) {
            (own, _) if own.is_own() => format!("{} '{name}' denied request: {message}", own.kind()),
            (_, Some(b)) => format!("policy '{name}' with binding '{}' denied request: {message}", b.name),
            (_, None) => format!("policy {name:?} denied request: {message}"),
        }
    }
}

/// The value of [`FAILURE_ANNOTATION`], with Go's JSON escapes.
pub(crate) fn failure_annotation(place: Place<'_>, number: usize, message: &str, actions: Actions) -> String {
    let Actions { deny, warn, audit } = actions;
    let names = [(deny, "Deny"), (warn, "Warn"), (audit, "Audit")];
    let actions: Vec<_> = names.into_iter().filter(|(does, _)| *does).map(|(_, name)| name).collect();
    let failures = [serde_json::json!({
        "message": message,
        "policy": &*place.policy.name,
        "binding": place.binding.map_or("", |b| &*b.name),
        "expressionIndex": number,
        "validationActions": actions,
    })];
    // Serialising strings and numbers cannot fail.
    let text = serde_json::to_string(&failures).unwrap_or_default();
    [("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"), ("\u{2028}", "\\u2028"), ("\u{2029}", "\\u2029")]
        .iter()
        .fold(text, |t, (from, to)| t.replace(from, to))
}

/// `failed to configure binding: …`, or `policy` when no binding is concerned.
pub(crate) fn configuration_error(place: Place<'_>, error: impl std::fmt::Display) -> String {
    let what = if place.binding.is_some() { "binding" } else { "policy" };
    format!("failed to configure {what}: {error}")
}

/// 422 Invalid: what errors and validations without a reason give.
pub(crate) fn invalid(message: String) -> Status {
    Status { code: 422, reason: "Invalid".to_owned(), message }
}

/// A value of an audit annotation, not longer than upstream lets it be.
pub(crate) fn annotation_value(text: &str) -> &str {
    shortened(text, MAX_VALUE_BYTES)
}

/// The first bytes, up to a character boundary.
fn shortened(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
