//! What tables share: colours, and the lines of one decision.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use stockade_engine::decision::{Decision, Differs, Finding, FindingAction, FindingResult};

/// Refused, failed.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// Warned.
pub(crate) const DOUBTFUL: Style = AnsiColor::Yellow.on_default().bold();
/// Allowed, passed.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// Beside the point.
pub(crate) const FAINT: Style = Style::new().dimmed();

/// Writes a styled word, padded to a width.
pub(crate) fn word(out: &mut dyn Write, style: Style, text: &str, width: usize) -> io::Result<()> {
    write!(out, "{style}{text}{style:#}{:pad$}", "", pad = width.saturating_sub(text.len()))
}

/// Text from outside on one screen: control characters shown, not obeyed.
pub(crate) fn shown(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let hidden = c.is_control() && c != '\n';
            let escaped: Vec<char> = if hidden { c.escape_default().collect() } else { vec![c] };
            escaped
        })
        .collect()
}

/// Writes the findings of a decision, one paragraph each, and where shadows differ.
pub(crate) fn findings(decision: &Decision, out: &mut dyn Write) -> io::Result<()> {
    for f in &decision.findings {
        let (style, verb) = verb(f);
        write!(out, "  ")?;
        word(out, style, verb, 8)?;
        writeln!(out, "{}", f.policy)?;
        for line in shown(&f.message).lines() {
            writeln!(out, "          {line}")?;
        }
        if let Some(exception) = &f.exception {
            writeln!(out, "          {FAINT}by PolicyException {}{FAINT:#}", shown(exception))?;
        }
        if let Some(path) = &f.path {
            writeln!(out, "          {FAINT}field {}{FAINT:#}", shown(path))?;
        }
        if let Some(trace) = &f.trace {
            writeln!(out, "          {FAINT}{} at {}{FAINT:#}", f.rule, shown(trace))?;
        }
    }
    for d in &decision.shadow {
        let how = match d.differs {
            Differs::NewlyFails => "would newly fail",
            Differs::NoLongerFails => "would no longer fail",
        };
        write!(out, "  ")?;
        word(out, FAINT, "shadow", 8)?;
        writeln!(out, "{} {how} what {} judges", d.policy, shown(&d.of))?;
        for line in shown(&d.message).lines() {
            writeln!(out, "          {line}")?;
        }
    }
    Ok(())
}

fn verb(finding: &Finding) -> (Style, &'static str) {
    match (finding.action, finding.result) {
        (FindingAction::Deny, FindingResult::Error) => (BAD, "error"),
        (FindingAction::Deny, _) => (BAD, "deny"),
        (FindingAction::Warn, _) => (DOUBTFUL, "warn"),
        (FindingAction::Audit, _) => (DOUBTFUL, "audit"),
        (FindingAction::Mutate, _) => (GOOD, "mutate"),
        (FindingAction::Ignore, _) => (FAINT, "ignored"),
        (FindingAction::Waive, _) => (FAINT, "waived"),
        (FindingAction::Pass, _) => (FAINT, "pass"),
    }
}
