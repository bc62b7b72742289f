//! Walks a planned tree: values in, value or error out, every step charged as cel-go's cost tracker charges it.
//!
//! Nothing is allocated but in the arena. Errors are references into it, so that results stay three words.

mod build;
mod calls;
mod loops;
mod operators;
mod paths;
mod truth;

use std::cell::Cell;
use std::time::Instant;

use bumpalo::Bump;

use crate::ast::ExprId;
use crate::error::{ErrorKind, EvalError};
use crate::functions::Scope;
use crate::limits::{MAX_EVALUATION_BYTES, MAX_EVALUATION_DEPTH};
use crate::plan::Plan;
use crate::plan::node::{LoopKind, Node};
use crate::program::Program;
use crate::symbols::Symbols;
use crate::value::Value;

/// An error on its way.
pub(crate) type Fail<'a> = &'a EvalError<'a>;

/// What a node yields.
pub(crate) type Answer<'a> = Result<Value<'a>, Fail<'a>>;

/// Cost units between two looks at the clock and the arena.
const CHECK_EVERY: u64 = 1000;

/// What the evaluations of one policy binding share.
pub(crate) struct Context<'a> {
    pub(crate) scope: Scope<'a>,
    pub(crate) roots: &'a [Value<'a>],
    pub(crate) lazy: &'a [Program],
    pub(crate) memo: &'a [Cell<Memo<'a>>],
    /// Cost of the lazy variables evaluated so far.
    pub(crate) lazy_cost: Cell<u64>,
    /// Nodes being evaluated where a lazy variable was selected.
    pub(crate) depth: Cell<usize>,
    /// Bytes in the arena when the evaluation began.
    pub(crate) bytes_before: Cell<usize>,
    pub(crate) deadline: Option<Instant>,
}

/// State of a lazy variable.
#[derive(Clone, Copy)]
pub(crate) enum Memo<'a> {
    Unset,
    /// Being evaluated.
    Busy,
    Done(Answer<'a>),
}

/// A loop variable or accumulator.
#[derive(Clone, Copy)]
enum Local<'a> {
    Value(Value<'a>),
    /// An element of a list or an object.
    Element(&'a Value<'a>),
    Failed(Fail<'a>),
    /// An accumulator that nobody has read.
    Pending(&'a Node),
}

/// One walk of one plan.
pub(crate) struct Run<'a, 'c> {
    context: &'c Context<'a>,
    locals: &'a [Cell<Local<'a>>],
    aggregates: &'a [Cell<Option<Value<'a>>>],
    /// Nodes being evaluated, those that selected this variable included.
    depth: usize,
    cost: u64,
    limit: u64,
    /// Cost at which the limits are looked at next.
    check_at: u64,
}

impl<'a, 'c> Run<'a, 'c> {
    /// Evaluates a plan within a cost limit; returns what it cost.
    pub(crate) fn plan(context: &'c Context<'a>, plan: &'a Plan, limit: u64) -> (Answer<'a>, u64) {
        let arena = context.scope.arena;
        let mut run = Run {
            context,
            locals: arena.alloc_slice_fill_with(plan.locals, |_| Cell::new(Local::Value(Value::Null))),
            aggregates: arena.alloc_slice_fill_with(plan.aggregates, |_| Cell::new(None)),
            depth: context.depth.get(),
            cost: 0,
            limit,
            check_at: limit.saturating_add(1).min(CHECK_EVERY),
        };
        let answer = run.eval(&plan.root);
        (answer, run.cost)
    }

    /// Evaluates one node.
    #[inline]
    fn eval(&mut self, node: &'a Node) -> Answer<'a> {
        match node {
            Node::Constant(c) => Ok(c.value()),
            Node::Path(p) => self.path(p),
            other if other.decides() => self.decide(other).as_answer(),
            other => self.composite(other),
        }
    }

    fn composite(&mut self, node: &'a Node) -> Answer<'a> {
        self.enter()?;
        let answer = self.dispatch(node);
        self.depth -= 1;
        answer
    }

    /// Counts a node as being evaluated, until the caller counts it off.
    #[inline]
    fn enter(&mut self) -> Result<(), Fail<'a>> {
        if self.depth >= MAX_EVALUATION_DEPTH {
            return Err(self.fail(ErrorKind::Function("evaluation nests too deeply"), 0));
        }
        self.depth += 1;
        Ok(())
    }

    fn dispatch(&mut self, node: &'a Node) -> Answer<'a> {
        match node {
            Node::Constant(c) => Ok(c.value()),
            Node::Path(p) => self.path(p),
            Node::Aggregate { slot, node } => self.aggregate(*slot, node),
            Node::Conditional { at, parts } => self.conditional(*at, parts),
            Node::NotStrictlyFalse { operand } => self.not_strictly_false(operand),
            Node::Binary(b) => self.binary(b),
            Node::Negate { at, operand } => self.negate(*at, operand),
            Node::OptionalOr { unwrap, sides } => self.optional_or(*unwrap, sides),
            Node::Call(c) => self.call(c),
            Node::List { at, elements } => self.list(*at, elements),
            Node::Map { at, entries } => self.map(*at, entries),
            Node::Struct(s) => self.structure(s),
            Node::Loop(l) => match l.kind {
                LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne => self.decide(node).as_answer(),
                _ => self.building_loop(l),
            },
            Node::Fold(f) => self.fold(f),
            Node::Fault { at, message } => Err(self.fail(ErrorKind::Function(message), *at)),
            Node::Test(_)
            | Node::And { .. }
            | Node::Or { .. }
            | Node::Not { .. }
            | Node::Equal { .. }
            | Node::Member { .. }
            | Node::Text(_) => self.decide(node).as_answer(),
        }
    }

    fn aggregate(&mut self, slot: usize, node: &'a Node) -> Answer<'a> {
        let cell = self.aggregates.get(slot);
        if let Some(built) = cell.and_then(Cell::get) {
            return Ok(built);
        }
        // Free upstream: it is built there while the program is planned.
        let before = self.cost;
        let built = self.eval(node)?;
        self.cost = before;
        if let Some(cell) = cell {
            cell.set(Some(built));
        }
        Ok(built)
    }

    /// Charges `cost` and looks at the limits when it is time to.
    #[inline]
    fn tick(&mut self, cost: u64) -> Result<(), Fail<'a>> {
        self.cost = self.cost.saturating_add(cost);
        if self.cost < self.check_at {
            return Ok(());
        }
        self.check()
    }

    #[cold]
    fn check(&mut self) -> Result<(), Fail<'a>> {
        if self.cost > self.limit {
            return Err(self.fail(ErrorKind::CostLimit, 0));
        }
        self.reserve(0)?;
        if self.context.deadline.is_some_and(|d| Instant::now() >= d) {
            return Err(self.fail(ErrorKind::Deadline, 0));
        }
        self.check_at = self.limit.saturating_add(1).min(self.cost.saturating_add(CHECK_EVERY));
        Ok(())
    }

    /// Refuses an allocation that would take the evaluation over its memory bound.
    #[inline]
    fn reserve(&mut self, bytes: usize) -> Result<(), Fail<'a>> {
        let used = self.scope().arena.allocated_bytes().saturating_sub(self.context.bytes_before.get());
        if used.saturating_add(bytes) <= MAX_EVALUATION_BYTES {
            return Ok(());
        }
        Err(self.fail(ErrorKind::MemoryLimit, 0))
    }

    #[inline]
    fn scope(&self) -> &Scope<'a> {
        &self.context.scope
    }

    #[cold]
    fn fail(&self, kind: ErrorKind<'a>, at: ExprId) -> Fail<'a> {
        self.scope().arena.alloc(EvalError { kind, at })
    }
}

/// Evaluates a node that refers to no variable, for the planner.
///
/// # Errors
/// Those of the node.
pub(crate) fn evaluate_constant<'a>(
    node: &'a Node,
    aggregates: usize,
    arena: &'a Bump,
    symbols: &'a Symbols,
) -> Result<Value<'a>, EvalError<'a>> {
    let context = Context {
        scope: Scope { arena, symbols, authorizer: None, host: None },
        roots: &[],
        lazy: &[],
        memo: &[],
        lazy_cost: Cell::new(0),
        depth: Cell::new(0),
        bytes_before: Cell::new(0),
        deadline: None,
    };
    let mut run = Run {
        context: &context,
        locals: &[],
        aggregates: arena.alloc_slice_fill_with(aggregates, |_| Cell::new(None)),
        depth: 0,
        cost: 0,
        limit: u64::MAX,
        check_at: u64::MAX,
    };
    run.eval(node).map_err(|e| *e)
}
