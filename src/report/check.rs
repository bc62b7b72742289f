//! The report of `stockade check`.

use std::io::{self, Write};

use serde::Serialize;
use stockade_engine::decision::{Decision, FindingAction};

use crate::Report;
use crate::table::{BAD, DOUBTFUL, FAINT, GOOD, findings, shown};

/// All objects that were judged.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckReport {
    /// Whether all of them would be admitted.
    pub allowed: bool,
    /// Counts.
    pub summary: Summary,
    /// One entry per object, in the order in which they were read.
    pub objects: Vec<Judged>,
}

/// Counts of objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Judged.
    pub judged: usize,
    /// Refused.
    pub refused: usize,
    /// Admitted with a warning.
    pub warned: usize,
    /// Admitted where an exception waives a failure.
    pub waived: usize,
}

/// One object and what was decided.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judged {
    /// Which.
    #[serde(flatten)]
    pub subject: Subject,
    /// What.
    #[serde(flatten)]
    pub decision: Decision,
}

/// An object and its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// File as the user named it.
    pub file: String,
    /// Line of its first key, from 1.
    pub line: u32,
    /// `v1`, `apps/v1`
    pub api_version: String,
    /// `Pod`
    pub kind: String,
    /// Empty for a cluster-scoped object.
    pub namespace: String,
    /// `metadata.name`, or `generateName` with a star.
    pub name: String,
}

impl CheckReport {
    /// Counts and orders nothing anew: entries stay as given.
    pub fn new(objects: Vec<Judged>) -> Self {
        let summary = Summary {
            judged: objects.len(),
            refused: objects.iter().filter(|o| !o.decision.allowed).count(),
            warned: objects.iter().filter(|o| o.decision.allowed && !o.decision.warnings.is_empty()).count(),
            waived: objects.iter().filter(|o| o.decision.allowed && is_waived(&o.decision)).count(),
        };
        Self { allowed: summary.refused == 0, summary, objects }
    }
}

fn is_waived(decision: &Decision) -> bool {
    decision.findings.iter().any(|f| f.action == FindingAction::Waive)
}

fn is_told(decision: &Decision) -> bool {
    !decision.findings.is_empty() || !decision.shadow.is_empty()
}

impl Report for CheckReport {
    fn table(&self, out: &mut dyn Write) -> io::Result<()> {
        for Judged { subject, decision } in self.objects.iter().filter(|o| is_told(&o.decision)) {
            let Subject { file, line, kind, namespace, name, .. } = subject;
            let slash = if namespace.is_empty() { "" } else { "/" };
            writeln!(out, "{}:{line}: {} {}{slash}{}", shown(file), shown(kind), shown(namespace), shown(name))?;
            findings(decision, out)?;
            writeln!(out)?;
        }
        let Summary { judged, refused, warned, waived } = self.summary;
        let objects = if judged == 1 { "object" } else { "objects" };
        let style = if refused > 0 { BAD } else { GOOD };
        write!(out, "{judged} {objects} judged: {style}{refused} refused{style:#}")?;
        let style = if warned > 0 { DOUBTFUL } else { FAINT };
        write!(out, ", {style}{warned} with warnings{style:#}")?;
        if waived > 0 {
            write!(out, ", {waived} by an exception")?;
        }
        writeln!(out)
    }
}
