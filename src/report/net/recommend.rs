//! The report of `stockade net recommend`.

use std::io::{self, Write};

use serde::Serialize;
use stockade_netpol::flows::recommend::{Left, Proposed, Recommendation};

use crate::Report;
use crate::table::shown;

/// Most flows that are told as left out, in comments; JSON has all.
const MAX_LEFT: usize = 100;

/// Policies that flows call for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecommendReport {
    /// By namespace and name.
    pub policies: Vec<PolicyView>,
    /// Flows that these do not let pass.
    pub left: Vec<LeftView>,
    /// Connections and packets that the recording does not tell of.
    pub missed: u64,
}

/// One policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyView {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// It, with comments.
    pub yaml: String,
}

/// A flow that is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftView {
    /// Who began it.
    pub from: String,
    /// With whom.
    pub to: String,
    /// `TCP`, `UDP`, `SCTP`, or the number of another protocol.
    pub protocol: String,
    /// Its port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// First time (RFC 3339).
    pub first: String,
    /// Last time.
    pub last: String,
    /// Connections, or dropped packets.
    pub count: u64,
    /// Why.
    pub why: String,
}

// === impl RecommendReport ===

impl RecommendReport {
    /// Of a recommendation, and how much the recording does not tell of.
    pub fn new(recommendation: Recommendation, missed: u64) -> Self {
        let policy = |Proposed { namespace, name, yaml }| PolicyView { namespace, name, yaml };
        let left = |left: &Left| LeftView {
            from: left.from.clone(),
            to: left.to.clone(),
            protocol: left.protocol.to_string(),
            port: Some(left.port).filter(|port| *port > 0),
            first: format!("{:.0}", left.seen.first),
            last: format!("{:.0}", left.seen.last),
            count: left.seen.count,
            why: left.why.to_string(),
        };
        Self {
            left: recommendation.left.iter().map(left).collect(),
            policies: recommendation.policies.into_iter().map(policy).collect(),
            missed,
        }
    }
}

/// For people it is a file to be reviewed and applied; what is left out is told in comments.
impl Report for RecommendReport {
    fn table(&self, out: &mut dyn Write) -> io::Result<()> {
        for (at, policy) in self.policies.iter().enumerate() {
            if at > 0 {
                writeln!(out, "---")?;
            }
            for line in policy.yaml.lines() {
                writeln!(out, "{}", shown(line))?;
            }
        }
        if self.policies.is_empty() {
            writeln!(out, "# no policies: what was seen and may pass is allowed by rules already")?;
        }
        if !self.left.is_empty() {
            writeln!(out, "\n# left out:")?;
        }
        for LeftView { from, to, protocol, port, first, last, count, why } in self.left.iter().take(MAX_LEFT) {
            let port = port.map(|port| format!(" {port}")).unwrap_or_default();
            let line = format!("{from} -> {to} {protocol}{port}, {count} from {first} to {last}: {why}");
            writeln!(out, "#   {}", shown(&line))?;
        }
        if self.left.len() > MAX_LEFT {
            writeln!(out, "#   and {} more", self.left.len() - MAX_LEFT)?;
        }
        if self.missed > 0 {
            writeln!(out, "\n# {} more connections and packets were seen that no line tells of", self.missed)?;
        }
        Ok(())
    }
}
