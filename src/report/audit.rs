//! The report of `stockade audit`: what exists, counted by policy and namespace, violations in detail up to a bound.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;
use stockade_engine::audit::{Counts, Judgement, RuleResult, Unjudged, Waived};
use stockade_engine::exceptions::Age;

use crate::Report;
use crate::table::{BAD, DOUBTFUL, FAINT, GOOD, shown, word};

/// Most violations in detail; the rest is counted.
pub const MAX_DETAILS: usize = 1_000;
/// Most violations of a table, which is read by people.
const MAX_SHOWN: usize = 50;
/// Most namespaces of a table.
const MAX_SHOWN_NAMESPACES: usize = 20;
/// Most exceptions of a table.
const MAX_SHOWN_EXCEPTIONS: usize = 50;

/// All objects that were judged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditReport {
    /// Objects.
    pub judged: usize,
    /// Over all.
    pub summary: Counts,
    /// By policy; passes are not told by policy.
    pub policies: BTreeMap<String, Counts>,
    /// By namespace; cluster-scoped objects stand under the empty name.
    pub namespaces: BTreeMap<String, Counts>,
    /// Policies that cannot judge what exists, with the reason.
    pub unjudged: Vec<Left>,
    /// Kinds that could not be listed, with the reason.
    pub unlisted: Vec<Left>,
    /// Exceptions by `namespace/name`, those that waive nothing too.
    pub exceptions: BTreeMap<String, Waiver>,
    /// Violations, in the order of the objects.
    pub violations: Vec<Violation>,
    /// How many violations there was no room for.
    pub left_out: usize,
}

/// One exception.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiver {
    /// What it waives of what was judged.
    #[serde(flatten)]
    pub waived: Waived,
    /// `valid`, `expires soon` or `expired`.
    pub age: &'static str,
}

/// What was left out, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Left {
    /// Name of the policy, or the resource.
    pub name: String,
    /// `requester`, `forbidden`, …
    pub reason: String,
}

/// One object against one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Violation {
    /// Which object.
    #[serde(flatten)]
    pub object: Audited,
    /// Policy name.
    pub policy: String,
    /// Binding name.
    pub binding: String,
    /// `validations[0]`
    pub rule: String,
    /// `fail`, `warn`, `error` or `skip`.
    pub result: &'static str,
    /// For people.
    pub message: String,
    /// Place of the expression in the policy file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// `namespace/name` of the exception that waives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exception: Option<String>,
}

/// An object that exists.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Audited {
    /// `v1`, `apps/v1`
    pub api_version: String,
    /// `Pod`
    pub kind: String,
    /// Empty for a cluster-scoped object.
    pub namespace: String,
    /// `metadata.name`
    pub name: String,
    /// The file it was read from; none when it was read from the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

// === impl AuditReport ===

impl AuditReport {
    /// Whether nothing fails and everything could be evaluated.
    pub fn is_clean(&self) -> bool {
        self.summary.fail + self.summary.error == 0
    }

    /// Says which policies judge nothing.
    #[must_use]
    pub fn with_unjudged(mut self, unjudged: &[Unjudged]) -> Self {
        let left = |u: &Unjudged| Left { name: u.policy.to_string(), reason: u.reason.name().to_owned() };
        self.unjudged = unjudged.iter().map(left).collect();
        self
    }

    /// Takes all exceptions that there are, with how far each has come.
    #[must_use]
    pub fn with_exceptions(mut self, all: impl IntoIterator<Item = (String, Age)>) -> Self {
        for (name, age) in all {
            self.exceptions.entry(name).or_default().age = match age {
                Age::Valid => "valid",
                Age::ExpiresSoon => "expires soon",
                Age::Expired => "expired",
            };
        }
        self
    }

    /// Counts one object. `object` is asked only for an object with violations of which there is room to tell.
    pub fn add(&mut self, namespace: &str, judgement: Judgement, object: impl Fn() -> Audited) {
        self.judged += 1;
        if judgement.passes > 0 || !judgement.results.is_empty() {
            self.summary.judged(&judgement);
            at(&mut self.namespaces, namespace, |c| c.judged(&judgement));
        }
        for result in judgement.results {
            at(&mut self.policies, &result.policy, |c| c.count(result.outcome));
            if let Some(exception) = &result.exception {
                at(&mut self.exceptions, exception, |e| e.waived.count(result.outcome));
            }
            if self.violations.len() < MAX_DETAILS {
                self.violations.push(Violation::new(object(), result));
            } else {
                self.left_out += 1;
            }
        }
    }

    /// Adds what another worker counted. Its violations come after these.
    pub fn merge(&mut self, other: Self) {
        self.judged += other.judged;
        self.summary.add(other.summary);
        for (into, from) in [(&mut self.policies, other.policies), (&mut self.namespaces, other.namespaces)] {
            for (name, counts) in from {
                into.entry(name).or_default().add(counts);
            }
        }
        for (name, exception) in other.exceptions {
            self.exceptions.entry(name).or_default().waived.add(exception.waived);
        }
        self.left_out += other.left_out;
        self.violations.extend(other.violations);
        self.left_out += self.violations.len().saturating_sub(MAX_DETAILS);
        self.violations.truncate(MAX_DETAILS);
    }
}

/// Allocates only for a name that is new.
fn at<T: Default>(counts: &mut BTreeMap<String, T>, name: &str, change: impl FnOnce(&mut T)) {
    match counts.get_mut(name) {
        Some(known) => change(known),
        None => change(counts.entry(name.to_owned()).or_default()),
    }
}

impl Violation {
    fn new(object: Audited, result: RuleResult) -> Self {
        let RuleResult { policy, binding, rule, outcome, message, trace, exception } = result;
        Self { object, policy, binding, rule, result: outcome.name(), message, trace, exception }
    }
}

impl Report for AuditReport {
    fn table(&self, out: &mut dyn Write) -> io::Result<()> {
        for violation in self.violations.iter().take(MAX_SHOWN) {
            violation.write(out)?;
        }
        let more = self.left_out + self.violations.len().saturating_sub(MAX_SHOWN);
        if more > 0 {
            writeln!(out, "{FAINT}{more} more are not shown{FAINT:#}\n")?;
        }
        counted(out, "POLICY", self.policies.iter(), usize::MAX)?;
        let violated = self.namespaces.iter().filter(|(_, c)| c.violations() > 0);
        counted(out, "NAMESPACE", violated, MAX_SHOWN_NAMESPACES)?;
        exceptions(out, &self.exceptions)?;
        for (what, left) in [("policy", &self.unjudged), ("resource", &self.unlisted)] {
            for Left { name, reason } in left {
                writeln!(out, "{FAINT}{what} {} not judged: {reason}{FAINT:#}", shown(name))?;
            }
        }
        let Counts { pass, fail, warn, error, skip } = self.summary;
        let objects = if self.judged == 1 { "object" } else { "objects" };
        let style = if self.is_clean() { GOOD } else { BAD };
        writeln!(
            out,
            "{} {objects} judged: {style}{fail} fail{style:#}, {warn} warn, {error} error, {skip} skip, {pass} pass",
            self.judged
        )
    }
}

impl Violation {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let Audited { kind, namespace, name, file, .. } = &self.object;
        let slash = if namespace.is_empty() { "" } else { "/" };
        let file = file.as_deref().map_or(String::new(), |f| format!("{}: ", shown(f)));
        writeln!(out, "{file}{} {}{slash}{}", shown(kind), shown(namespace), shown(name))?;
        let style = match self.result {
            "fail" | "error" => BAD,
            "warn" => DOUBTFUL,
            _ => FAINT,
        };
        write!(out, "  ")?;
        word(out, style, self.result, 8)?;
        writeln!(out, "{}", shown(&self.policy))?;
        for line in shown(&self.message).lines() {
            writeln!(out, "          {line}")?;
        }
        writeln!(out)
    }
}

/// One line for each name, those with most violations first.
fn counted<'c>(
    out: &mut dyn Write,
    head: &str,
    counts: impl Iterator<Item = (&'c String, &'c Counts)>,
    most: usize,
) -> io::Result<()> {
    let mut counts: Vec<_> = counts.collect();
    if counts.is_empty() {
        return Ok(());
    }
    counts.sort_by_key(|(_, c)| std::cmp::Reverse(c.violations()));
    let name = |name: &str| if name.is_empty() { "(cluster)".to_owned() } else { shown(name) };
    let width = counts.iter().take(most).map(|(n, _)| name(n).chars().count()).max().unwrap_or(0).max(head.len());
    writeln!(out, "{FAINT}{head:width$}  {:>8} {:>8} {:>8} {:>8}{FAINT:#}", "FAIL", "WARN", "ERROR", "SKIP")?;
    for (n, c) in counts.iter().take(most) {
        writeln!(out, "{:width$}  {:>8} {:>8} {:>8} {:>8}", name(n), c.fail, c.warn, c.error, c.skip)?;
    }
    more(out, counts.len(), most)?;
    writeln!(out)
}

/// One line for each exception; of those that waive much nothing need be said, so those that are not needed come first.
fn exceptions(out: &mut dyn Write, exceptions: &BTreeMap<String, Waiver>) -> io::Result<()> {
    if exceptions.is_empty() {
        return Ok(());
    }
    let mut exceptions: Vec<_> = exceptions.iter().collect();
    exceptions.sort_by_key(|(_, e)| e.waived.fail > 0);
    let shown_ones = || exceptions.iter().take(MAX_SHOWN_EXCEPTIONS);
    let width = shown_ones().map(|(n, _)| shown(n).chars().count()).max().unwrap_or(0).max("EXCEPTION".len());
    writeln!(out, "{FAINT}{:width$}  {:>8} {:>8}{FAINT:#}", "EXCEPTION", "FAIL", "PASS")?;
    for (name, Waiver { waived, age }) in shown_ones() {
        let needed = if waived.fail > 0 { "" } else { "  waives nothing" };
        let age = if *age == "valid" { String::new() } else { format!("  {age}") };
        writeln!(
            out,
            "{:width$}  {:>8} {:>8}{DOUBTFUL}{needed}{age}{DOUBTFUL:#}",
            shown(name),
            waived.fail,
            waived.pass
        )?;
    }
    more(out, exceptions.len(), MAX_SHOWN_EXCEPTIONS)?;
    writeln!(out)
}

fn more(out: &mut dyn Write, all: usize, most: usize) -> io::Result<()> {
    match all.checked_sub(most) {
        Some(more @ 1..) => writeln!(out, "{FAINT}and {more} more{FAINT:#}"),
        _ => Ok(()),
    }
}
