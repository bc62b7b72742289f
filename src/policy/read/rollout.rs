//! `rollout` of an AdmissionPolicy or ImagePolicy: where Deny is in force already.
//!
//! ```yaml
//! rollout:
//!   deny: {percentage: 25, namespaceSelector: {…}}   # here Deny denies; both must hold; 100 and all by default
//!   warn: {percentage: 100}                          # elsewhere it warns here; what is in no stage is only audited
//!   budget: {maxDenyPercentage: 5, windowSeconds: 600, minRequests: 50}   # denied more: hold, Deny only warns
//! ```
//!
//! The percentage is of objects, by a hash of policy, namespace and the name of what made them: the replicas of a
//! workload, and retries, are in the same stage. A stage without `deny` denies nowhere.

use super::{Field, Reader, labels};
use crate::compiled::{DenyBudget, Rollout, Stage};
use crate::tree::{Content, Node};

/// Shortest and longest window of a budget in seconds: what is counted is kept in memory, and a day is a working day.
const WINDOW_SECONDS: std::ops::RangeInclusive<u32> = 10..=86_400;
/// Fewest requests that a budget may say something about.
const MIN_REQUESTS: std::ops::RangeInclusive<u32> = 1..=1_000_000;

/// Reads a rollout.
pub(crate) fn read(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Rollout> {
    let mut members = reader.members(field)?;
    let deny = members.get("deny").and_then(|f| read_stage(reader, &f));
    let warn = members.get("warn").and_then(|f| read_stage(reader, &f));
    let budget = members.get("budget").and_then(|f| read_budget(reader, &f));
    members.finish(reader);
    Some(Rollout { deny, warn, budget, held: false })
}

fn read_stage(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Stage> {
    let mut members = reader.members(field)?;
    let percentage = members.get("percentage").and_then(|f| read_percentage(reader, &f)).unwrap_or(100);
    let namespace_selector = members.get("namespaceSelector").and_then(|f| labels::read_selector(reader, &f));
    members.finish(reader);
    Some(Stage { percentage, namespace_selector })
}

fn read_budget(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<DenyBudget> {
    let mut members = reader.members(field)?;
    let most = members.require(reader, "maxDenyPercentage", "").and_then(|f| read_percentage(reader, &f));
    let window = members.require(reader, "windowSeconds", "").and_then(|f| reader.integer(&f, WINDOW_SECONDS));
    let fewest = members.require(reader, "minRequests", "").and_then(|f| reader.integer(&f, MIN_REQUESTS));
    members.finish(reader);
    Some(DenyBudget { max_percentage: most?, window_seconds: window?, min_requests: fewest? })
}

fn read_percentage(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<u8> {
    reader.integer(field, 0..=100).and_then(|n| u8::try_from(n).ok())
}

/// Whether `status.rollout` says that a rollout has stopped: `held`, of the generation that the object has. An edit
/// of the spec makes another generation, and so lets it go on.
pub(crate) fn is_held(status: &Node, generation: Option<i64>) -> bool {
    let Some(rollout) = status.get("rollout") else { return false };
    let held = matches!(rollout.get("held").map(|h| &h.content), Some(Content::Bool(true)));
    held && generation.is_some() && rollout.get("observedGeneration").and_then(Node::as_i64) == generation
}

#[cfg(test)]
mod tests;
