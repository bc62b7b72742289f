//! The report of `stockade net lint`.

use std::io::{self, Write};

use serde::Serialize;
use stockade_netpol::lint::{Finding, MAX_FINDINGS};
use stockade_policy::diagnostic::Severity;

use super::counted;
use crate::Report;
use crate::table::{DOUBTFUL, FAINT, shown};

/// What policies probably do not mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LintReport {
    /// By place.
    pub findings: Vec<FindingView>,
    /// How many of them are warnings; the others are notes.
    pub warnings: usize,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FindingView {
    /// `one-sided`, …
    pub check: &'static str,
    /// `warning` or `note`
    pub severity: Severity,
    /// Path as the user gave it.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// What.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub help: String,
    /// What to write.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub yaml: String,
}

// === impl LintReport ===

impl LintReport {
    /// Of some findings.
    pub fn new(findings: Vec<Finding>) -> Self {
        let view = |finding: Finding| FindingView {
            check: finding.check.name(),
            severity: finding.check.severity(),
            file: finding.origin.file.to_string(),
            line: finding.origin.line,
            message: finding.message,
            help: finding.help,
            yaml: finding.yaml,
        };
        let findings: Vec<FindingView> = findings.into_iter().map(view).collect();
        let warnings = findings.iter().filter(|finding| finding.severity == Severity::Warning).count();
        Self { findings, warnings }
    }
}

impl Report for LintReport {
    fn table(&self, out: &mut dyn Write) -> io::Result<()> {
        for finding in &self.findings {
            let style = if finding.severity == Severity::Warning { DOUBTFUL } else { FAINT };
            let FindingView { check, severity, file, line, message, help, yaml } = finding;
            writeln!(out, "{style}{severity}{style:#} {}", shown(message))?;
            writeln!(out, "  {FAINT}{check} at {}:{line}{FAINT:#}", shown(file))?;
            if !help.is_empty() {
                writeln!(out, "  {}{}", shown(help), if yaml.is_empty() { "" } else { ":" })?;
            }
            for line in yaml.lines() {
                writeln!(out, "      {}", shown(line))?;
            }
            writeln!(out)?;
        }
        let notes = self.findings.len() - self.warnings;
        let more = if self.findings.len() >= MAX_FINDINGS { ", and more that are not told" } else { "" };
        writeln!(out, "{}, {}{more}", counted(self.warnings, "warning", "warnings"), counted(notes, "note", "notes"))
    }
}
