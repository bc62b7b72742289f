//! The report of `stockade test`.

use std::io::{self, Write};

use serde::Serialize;

use crate::Report;
use crate::table::{BAD, FAINT, GOOD, shown, word};

/// All policies that were tested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TestReport {
    /// Cases that passed.
    pub passed: usize,
    /// Cases that failed, missing ones included.
    pub failed: usize,
    /// One entry per policy folder, sorted by path.
    pub policies: Vec<PolicyResult>,
}

/// One policy folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyResult {
    /// Path of the folder.
    pub folder: String,
    /// What is wrong with the folder itself: no README, no case that fails, a policy that does not compile.
    pub faults: Vec<String>,
    /// Its cases.
    pub cases: Vec<CaseResult>,
}

/// One case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CaseResult {
    /// File, or the sentence in test.yaml.
    pub name: String,
    /// Why it failed; none when it passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl TestReport {
    /// Counts.
    pub fn new(policies: Vec<PolicyResult>) -> Self {
        let cases = || policies.iter().flat_map(|p| &p.cases);
        let faults: usize = policies.iter().map(|p| p.faults.len()).sum();
        Self {
            passed: cases().filter(|c| c.failure.is_none()).count(),
            failed: cases().filter(|c| c.failure.is_some()).count() + faults,
            policies,
        }
    }
}

impl Report for TestReport {
    fn table(&self, out: &mut dyn Write) -> io::Result<()> {
        for policy in &self.policies {
            let failed = policy.cases.iter().filter(|c| c.failure.is_some()).count();
            let bad = failed + policy.faults.len() > 0;
            word(out, if bad { BAD } else { GOOD }, if bad { "FAIL" } else { "ok" }, 6)?;
            writeln!(out, "{} {FAINT}{} cases{FAINT:#}", shown(&policy.folder), policy.cases.len())?;
            for fault in &policy.faults {
                paragraph(out, fault)?;
            }
            for case in &policy.cases {
                if let Some(failure) = &case.failure {
                    writeln!(out, "      {}", shown(&case.name))?;
                    paragraph(out, failure)?;
                }
            }
        }
        writeln!(out, "\n{} passed, {} failed", self.passed, self.failed)
    }
}

fn paragraph(out: &mut dyn Write, text: &str) -> io::Result<()> {
    for line in shown(text).lines() {
        writeln!(out, "        {line}")?;
    }
    Ok(())
}
