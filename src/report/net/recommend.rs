//! The report of `stockade net recommend`.

use std::io::{self, Write};

use serde::Serialize;
use stockade_netpol::flows::recommend::{Left, Proposed, Recommendation};

use super::flow::FlowView;
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
    /// The flow.
    #[serde(flatten)]
    pub flow: FlowView,
    /// Why.
    pub why: String,
}

// === impl RecommendReport ===

impl RecommendReport {
    /// Of a recommendation, and how much the recording does not tell of.
    pub fn new(recommendation: Recommendation, missed: u64) -> Self {
        let policy = |Proposed { namespace, name, yaml }| PolicyView { namespace, name, yaml };
        let left = |left: &Left| LeftView {
            flow: FlowView::new((&left.from, &left.to), left.protocol, left.port, &left.seen),
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
        for LeftView { flow, why } in self.left.iter().take(MAX_LEFT) {
            writeln!(out, "#   {}", shown(&format!("{flow}: {why}")))?;
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
