//! One evaluation context: the values of the variables, memoised lazy variables, budget. Lives for one policy
//! binding and one request.

use crate::error::EvalError;
use crate::functions::Scope;
use crate::program::Program;
use crate::value::Value;

/// Evaluates programs over one set of variable values.
pub struct Evaluation<'a> {
    scope: Scope<'a>,
    roots: &'a [Value<'a>],
    lazy: &'a [Program],
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
        Self { scope, roots, lazy }
    }

    /// Evaluates one program. Each evaluation has its own cost limit ([`crate::limits::PER_CALL_COST`], lowered to
    /// `remaining` when that is less); a lazy variable's own evaluation likewise.
    pub fn evaluate(&mut self, program: &'a Program, remaining: u64) -> Outcome<'a> {
        let _ = (&self.scope, self.roots, self.lazy, program, remaining);
        unreachable!("replaced by the evaluator")
    }
}
