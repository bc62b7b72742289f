//! The report of `stockade review`: one decision.

use std::io::{self, Write};

use serde::Serialize;
use stockade_engine::decision::Decision;

use crate::Report;
use crate::table::{BAD, DOUBTFUL, FAINT, GOOD, findings, shown};

/// One decision, printed as it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct ReviewReport(pub Decision);

impl Report for ReviewReport {
    fn table(&self, out: &mut dyn Write) -> io::Result<()> {
        let decision = &self.0;
        if decision.allowed {
            writeln!(out, "{GOOD}allowed{GOOD:#}")?;
        } else {
            writeln!(out, "{BAD}refused{BAD:#}")?;
        }
        if let Some(status) = &decision.status {
            writeln!(out, "  {} {}: {}", status.code, status.reason, shown(&status.message))?;
        }
        for warning in &decision.warnings {
            writeln!(out, "  {DOUBTFUL}warning{DOUBTFUL:#} {}", shown(warning))?;
        }
        for (key, value) in &decision.audit_annotations {
            writeln!(out, "  {FAINT}audit{FAINT:#}   {}: {}", shown(key), shown(value))?;
        }
        for operation in &decision.patch {
            writeln!(out, "  {GOOD}patch{GOOD:#}   {operation}")?;
        }
        if !decision.findings.is_empty() || !decision.shadow.is_empty() {
            writeln!(out)?;
            findings(decision, out)?;
        }
        Ok(())
    }
}
