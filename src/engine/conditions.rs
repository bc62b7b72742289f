//! matchConditions: any false skips the policy; else any error counts under failurePolicy.

use stockade_cel::Value;
use stockade_cel::limits::MATCH_CONDITIONS_COST_BUDGET;
use stockade_policy::compiled::{FailurePolicy, Policy};

use crate::context::{Context, Seen};
use crate::evaluate::Run;

/// Whether the policy goes on to judge.
///
/// # Errors
/// What went wrong, all of it, under failurePolicy Fail.
pub(crate) fn hold<'c>(
    policy: &'c Policy,
    seen: &Seen<'c>,
    params: Value<'c>,
    context: &Context<'c>,
) -> Result<bool, String> {
    if policy.match_conditions.is_empty() {
        return Ok(true);
    }
    // matchConditions do not see the namespace (upstream passes none).
    let roots = seen.roots(params, Value::Null, context.arena());
    let mut run = Run::new(context, roots, policy, MATCH_CONDITIONS_COST_BUDGET);
    let mut errors: Vec<String> = Vec::new();
    let mut any_false = false;
    for condition in &policy.match_conditions {
        match run.evaluate(&condition.expression.program) {
            Err(out) => return by_failure_policy(policy, out.to_string()),
            Ok(Ok(Value::Bool(false))) => any_false = true,
            Ok(Ok(_)) => {}
            Ok(Err(error)) if errors.contains(&error) => {}
            Ok(Err(error)) => errors.push(error),
        }
    }
    match errors.as_slice() {
        _ if any_false => Ok(false),
        [] => Ok(true),
        [one] => by_failure_policy(policy, one.clone()),
        more => by_failure_policy(policy, format!("[{}]", more.join(", "))),
    }
}

fn by_failure_policy(policy: &Policy, error: String) -> Result<bool, String> {
    match policy.failure_policy {
        FailurePolicy::Fail => Err(error),
        FailurePolicy::Ignore => Ok(false),
    }
}
