//! The report of `stockade net replay`.

use std::io::{self, Write};

use serde::Serialize;
use stockade_netpol::compile::Compiled;
use stockade_netpol::flows::replay::{Judged, Replay};
use stockade_netpol::policy::Direction;

use super::counted;
use super::decision::DecisionView;
use super::flow::FlowView;
use crate::Report;
use crate::table::{BAD, DOUBTFUL, FAINT, shown, word};

/// Most flows of one kind that a table shows; JSON has all.
const MAX_ROWS: usize = 50;

/// What policies would make of recorded flows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplayReport {
    /// What passed, and would not; most often seen first.
    pub cut: Vec<ChangedView>,
    /// What did not pass, and would; most often seen first.
    pub opened: Vec<ChangedView>,
    /// How many different flows would go on as they did.
    pub unchanged: usize,
    /// Lines that no policy can change: between a Pod and its node, spoofed, malformed.
    pub unjudged: usize,
    /// Connections and packets that the recording does not tell of.
    pub missed: u64,
}

/// A flow that would not go on as it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangedView {
    /// The flow.
    #[serde(flatten)]
    pub flow: FlowView,
    /// What the ends that deny it say; of what would be opened, none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub denied: Vec<DenialView>,
}

/// An end that denies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DenialView {
    /// `egress` is the sender's end.
    pub direction: Direction,
    /// What it says.
    #[serde(flatten)]
    pub decision: DecisionView,
}

// === impl ReplayReport ===

impl ReplayReport {
    /// Of a replay, and how much the recording does not tell of.
    pub fn new(replay: &Replay, missed: u64) -> Self {
        let views = |list: &[Judged]| list.iter().map(|judged| ChangedView::new(&replay.compiled, judged)).collect();
        Self {
            cut: views(&replay.cut),
            opened: views(&replay.opened),
            unchanged: replay.unchanged,
            unjudged: replay.unjudged,
            missed,
        }
    }
}

impl Report for ReplayReport {
    fn table(&self, out: &mut dyn Write) -> io::Result<()> {
        for (style, what, list) in [(BAD, "cut", &self.cut), (DOUBTFUL, "opened", &self.opened)] {
            for changed in list.iter().take(MAX_ROWS) {
                word(out, style, what, 8)?;
                writeln!(out, "{}", shown(&changed.flow.to_string()))?;
                for denial in &changed.denied {
                    let rule = denial.decision.rule.as_ref().map(|rule| format!(" at {}", rule.place()));
                    let (message, place) = (shown(&denial.decision.message), rule.unwrap_or_default());
                    writeln!(out, "        {message}{FAINT}{place}{FAINT:#}")?;
                }
            }
            if list.len() > MAX_ROWS {
                writeln!(out, "and {} more that would be {what}", list.len() - MAX_ROWS)?;
            }
        }
        if !self.cut.is_empty() || !self.opened.is_empty() {
            writeln!(out)?;
        }
        let all = self.cut.len() + self.opened.len() + self.unchanged;
        let (cut, opened) = (self.cut.len(), self.opened.len());
        writeln!(out, "{}: {cut} would be cut, {opened} opened", counted(all, "flow", "flows"))?;
        if self.unjudged > 0 {
            let lines = counted(self.unjudged, "line", "lines");
            writeln!(out, "{lines} of what no policy changes: spoofed, malformed, between a Pod and its node")?;
        }
        if self.missed > 0 {
            writeln!(out, "{} more were seen that no line tells of", self.missed)?;
        }
        Ok(())
    }
}

// === impl ChangedView ===

impl ChangedView {
    fn new(compiled: &Compiled, judged: &Judged) -> Self {
        let denial = |direction: Direction| {
            let decision = judged.verdict.of(direction);
            let whose = if direction == Direction::Egress { &judged.from } else { &judged.to };
            let view = || DenialView { direction, decision: DecisionView::new(compiled, whose, direction, decision) };
            (!decision.is_allowed()).then(view)
        };
        Self {
            flow: FlowView::new((&judged.from, &judged.to), judged.protocol, judged.port, &judged.seen),
            denied: [Direction::Egress, Direction::Ingress].into_iter().filter_map(denial).collect(),
        }
    }
}
