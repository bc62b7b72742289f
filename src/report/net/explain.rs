//! The report of `stockade net explain`.

use std::io::{self, Write};

use serde::Serialize;
use stockade_netpol::compile::Compiled;
use stockade_netpol::explain::{Explanation, Missed, Remedy, Side, Why};
use stockade_netpol::policy::Direction;
use stockade_netpol::ports::Protocol;

use super::decision::{DecisionView, RuleView};
use crate::Report;
use crate::table::{BAD, FAINT, GOOD, shown, word};

/// One connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainReport {
    /// As it was asked for.
    pub from: String,
    /// As it was asked for.
    pub to: String,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its port.
    pub port: u16,
    /// Whether both ends let it pass.
    pub allowed: bool,
    /// The sender's side, then the receiver's.
    pub sides: [SideView; 2],
}

/// One end's side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SideView {
    /// `egress` is the sender's.
    pub direction: Direction,
    /// Whether it lets it pass.
    pub allowed: bool,
    /// What it says.
    #[serde(flatten)]
    pub decision: DecisionView,
    /// Rules that do not accept it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missed: Vec<MissedView>,
    /// What to write so that it is otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<RemedyView>,
}

/// A rule that does not accept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MissedView {
    /// Which.
    pub rule: RuleView,
    /// Why.
    pub why: String,
}

/// Something to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RemedyView {
    /// What to do with it: `add to spec.ingress of NetworkPolicy shop/web`
    pub what: String,
    /// The YAML.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub yaml: String,
}

// === impl ExplainReport ===

impl ExplainReport {
    /// Of an explanation, with the words in which it was asked for.
    pub fn new(
        compiled: &Compiled,
        (from, to): (&str, &str),
        (protocol, port): (Protocol, u16),
        explanation: &Explanation,
    ) -> Self {
        let view = |side: &Side| {
            let whose = if side.direction == Direction::Egress { from } else { to };
            SideView::new(compiled, whose, side)
        };
        let [egress, ingress] = &explanation.sides;
        Self {
            from: from.to_owned(),
            to: to.to_owned(),
            protocol,
            port,
            allowed: explanation.verdict.is_allowed(),
            sides: [view(egress), view(ingress)],
        }
    }
}

impl Report for ExplainReport {
    fn table(&self, out: &mut dyn Write) -> io::Result<()> {
        let (style, verdict) = if self.allowed { (GOOD, "allowed") } else { (BAD, "denied") };
        let (from, to) = (shown(&self.from), shown(&self.to));
        writeln!(out, "{from} to {to}, {} {}: {style}{verdict}{style:#}", self.protocol, self.port)?;
        for side in &self.sides {
            let (style, verdict) = if side.allowed { (GOOD, "allowed") } else { (BAD, "denied") };
            let (end, direction) = match side.direction {
                Direction::Egress => (&from, "leaving"),
                Direction::Ingress => (&to, "entering"),
            };
            write!(out, "\n  ")?;
            word(out, style, verdict, 9)?;
            writeln!(out, "{direction} {end}")?;
            writeln!(out, "           {}", shown(&side.decision.message))?;
            if let Some(rule) = &side.decision.rule {
                writeln!(out, "           {FAINT}{}{FAINT:#}", rule.place())?;
            }
            for missed in &side.missed {
                let rule = &missed.rule;
                writeln!(out, "           rule {} of {} {}", rule.number, shown(&rule.policy), shown(&missed.why))?;
                writeln!(out, "           {FAINT}{}{FAINT:#}", rule.place())?;
            }
        }
        for (at, remedy) in self.sides.iter().filter_map(|side| side.remedy.as_ref()).enumerate() {
            // One side is enough to deny, both are needed to allow.
            let joined = match (at, self.allowed) {
                (0, true) => "to deny it,",
                (0, false) => "to allow it,",
                (_, true) => "or",
                (_, false) => "and",
            };
            writeln!(out, "\n{joined} {}{}", shown(&remedy.what), if remedy.yaml.is_empty() { "" } else { ":" })?;
            for line in remedy.yaml.lines() {
                writeln!(out, "    {}", shown(line))?;
            }
        }
        Ok(())
    }
}

// === impl SideView ===

impl SideView {
    fn new(compiled: &Compiled, whose: &str, side: &Side) -> Self {
        let remedy =
            side.remedy.as_ref().map(|Remedy { what, yaml }| RemedyView { what: what.clone(), yaml: yaml.clone() });
        Self {
            direction: side.direction,
            allowed: side.decision.is_allowed(),
            decision: DecisionView::new(compiled, whose, side.direction, &side.decision),
            missed: side.missed.iter().map(|missed| MissedView::new(compiled, missed)).collect(),
            remedy,
        }
    }
}

// === impl MissedView ===

impl MissedView {
    fn new(compiled: &Compiled, missed: &Missed) -> Self {
        let why = match &missed.why {
            Why::OtherPeers => "is about others".to_owned(),
            Why::OtherPorts(ports) => format!("is about other ports: {ports}"),
        };
        Self { rule: RuleView::new(compiled, missed.rule), why }
    }
}
