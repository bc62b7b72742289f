//! Runs of expressions that share one budget and one memo of variables (upstream `ForInput`).

use stockade_cel::limits::PER_CALL_COST;
use stockade_cel::{ErrorKind, Evaluation, Program, Value};
use stockade_policy::compiled::Policy;

use crate::context::{Context, Roots};

/// Evaluates the expressions of one list: matchConditions, validations, messageExpressions, … Upstream gives each
/// list a memo of its own, so that a variable used in two lists costs twice.
pub(crate) struct Run<'c, 'x> {
    context: &'x Context<'c>,
    evaluation: Evaluation<'c>,
    remaining: u64,
}

/// The budget of the list is spent: no further expression of it is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("validation failed due to running out of cost budget, no further validation rules will be run")]
pub(crate) struct OutOfBudget;

// === impl Run ===

impl<'c, 'x> Run<'c, 'x> {
    pub(crate) fn new(context: &'x Context<'c>, roots: &'c Roots<'c>, policy: &'c Policy, budget: u64) -> Self {
        let mut evaluation = Evaluation::new(context.scope_of(policy, roots), roots, &policy.variables);
        if let Some(deadline) = context.deadline {
            evaluation = evaluation.deadline(deadline);
        }
        Self { context, evaluation, remaining: budget }
    }

    /// What is left of the budget, for the list that goes on with it.
    pub(crate) fn remaining(&self) -> u64 {
        self.remaining
    }

    /// The value, or the error as upstream words it.
    ///
    /// # Errors
    /// The budget is spent.
    pub(crate) fn evaluate(&mut self, program: &'c Program) -> Result<Result<Value<'c>, String>, OutOfBudget> {
        if self.context.deadline_passed() {
            return Ok(Err(worded(program, ErrorKind::Deadline)));
        }
        // The limit of one evaluation is not lowered to what is left of the budget: as upstream, an expression runs
        // to its end or its own limit, and only then what it cost is held against the budget.
        let outcome = self.evaluation.evaluate(program, PER_CALL_COST);
        if outcome.cost > self.remaining {
            return Err(OutOfBudget);
        }
        self.remaining -= outcome.cost;
        Ok(outcome.result.map_err(|e| worded(program, e.kind)))
    }
}

fn worded(program: &Program, kind: ErrorKind<'_>) -> String {
    format!("expression '{}' resulted in error: {kind}", program.text())
}

#[cfg(test)]
mod tests;
