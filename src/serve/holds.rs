//! Rollouts that stop by themselves because their policy denies too much.

use std::time::{SystemTime, UNIX_EPOCH};

use stockade_engine::decision::Decision;
use stockade_engine::engine::Engine;

use super::in_force::InForce;

/// Counts a decision towards the budgets of rollouts, and tells of those that stopped. Takes no lock unless one stops.
pub(crate) fn count(engine: &Engine, decision: &Decision, in_force: &InForce) {
    if decision.budgeted.is_empty() {
        return;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64);
    for hold in engine.rollouts().record(decision, now) {
        tracing::warn!(
            policy = &*hold.policy,
            denied = hold.denied,
            judged = hold.judged,
            max_deny_percentage = hold.budget.max_percentage,
            window_seconds = hold.budget.window_seconds,
            "rollout stopped: denied more than its budget, only warns until the policy is edited"
        );
        in_force.held(&hold);
    }
}
