//! One evaluation context: the values of the variables, memoised lazy variables, budget. Lives for one policy
//! binding and one request.

use std::cell::Cell;
use std::time::Instant;

use crate::error::EvalError;
use crate::evaluate::{Context, Memo, Run};
use crate::functions::Scope;
use crate::limits::PER_CALL_COST;
use crate::program::Program;
use crate::value::Value;

/// Evaluates programs over one set of variable values.
pub struct Evaluation<'a> {
    context: Context<'a>,
}

/// Result of one evaluation and what it cost, lazy variables that it was the first to select included.
#[derive(Debug, Clone, Copy)]
pub struct Outcome<'a> {
    /// Value or error.
    pub result: Result<Value<'a>, EvalError<'a>>,
    /// Runtime cost, as upstream's cost tracker counts it.
    pub cost: u64,
}

impl<'a> Evaluation<'a> {
    /// `roots` holds the values of the environment's variables in slot order; `lazy` the programs of its lazy
    /// variables in slot order.
    pub fn new(scope: Scope<'a>, roots: &'a [Value<'a>], lazy: &'a [Program]) -> Self {
        let memo = scope.arena.alloc_slice_fill_with(lazy.len(), |_| Cell::new(Memo::Unset));
        Self {
            context: Context {
                scope,
                roots,
                lazy,
                memo,
                lazy_cost: Cell::new(0),
                depth: Cell::new(0),
                bytes_before: Cell::new(0),
                deadline: None,
            },
        }
    }

    /// Ends evaluations with [`crate::ErrorKind::Deadline`] once this moment has passed.
    #[must_use]
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.context.deadline = Some(deadline);
        self
    }

    /// Evaluates one program. Each evaluation has its own cost limit ([`PER_CALL_COST`], lowered to `remaining` when
    /// that is less); a lazy variable's own evaluation likewise.
    pub fn evaluate(&mut self, program: &'a Program, remaining: u64) -> Outcome<'a> {
        self.context.lazy_cost.set(0);
        self.context.depth.set(0);
        self.context.bytes_before.set(self.context.scope.arena.allocated_bytes());
        let (answer, cost) = Run::plan(&self.context, program.plan(), PER_CALL_COST.min(remaining));
        Outcome { result: answer.map_err(|e| *e), cost: cost.saturating_add(self.context.lazy_cost.get()) }
    }
}

#[cfg(test)]
mod tests;
