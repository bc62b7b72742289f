//! Nodes that yield true or false, without the detour over a [`crate::value::Value`]: most of what policies consist of.

use super::{Fail, Run};
use crate::ast::ExprId;
use crate::error::ErrorKind;
use crate::library::standard::traversal;
use crate::plan::node::{LoopKind, Node, TextTest};
use crate::value::Value;

/// A value as far as logic is concerned: `None` for what is neither true nor false.
pub(super) type Truth<'a> = Result<Option<bool>, Fail<'a>>;

impl<'a> Run<'a, '_> {
    /// Evaluates a node for one who can use nothing but true or false.
    pub(super) fn truth(&mut self, node: &'a Node) -> Truth<'a> {
        match node {
            Node::Constant(c) => Ok(c.value().as_bool()),
            Node::Path(p) => Ok(self.path(p)?.as_bool()),
            other if decides(other) => {
                self.enter()?;
                let answer = self.decide(other);
                self.depth -= 1;
                answer.map(Some)
            }
            other => Ok(self.composite(other)?.as_bool()),
        }
    }

    /// Evaluates a node that [`decides`].
    pub(super) fn decide(&mut self, node: &'a Node) -> Result<bool, Fail<'a>> {
        match node {
            Node::Test(p) => self.test(p),
            Node::And { at, terms } => self.junction(*at, terms, false),
            Node::Or { at, terms } => self.junction(*at, terms, true),
            Node::Not { at, operand } => self.not(*at, operand),
            Node::Equal { at, negated, sides } => self.equal(*at, *negated, sides),
            Node::Member { operand, set } => {
                let value = self.eval(operand)?;
                Ok(set.contains(value))
            }
            Node::Text(t) => self.text_test(t),
            Node::Loop(l) => self.decisive_loop(l),
            _ => Err(self.fail(ErrorKind::NoSuchOverload, 0)),
        }
    }

    /// `&&` (decided by false) and `||` (decided by true): a deciding term absorbs the errors of all others.
    fn junction(&mut self, at: ExprId, terms: &'a [Node], decisive: bool) -> Result<bool, Fail<'a>> {
        let mut failure: Option<Fail<'a>> = None;
        for term in terms {
            match self.truth(term) {
                Ok(Some(b)) if b == decisive => return Ok(decisive),
                Ok(Some(_)) => {}
                Ok(None) => {
                    if failure.is_none() {
                        failure = Some(self.fail(ErrorKind::NoSuchOverload, at));
                    }
                }
                Err(e) if e.kind.is_fatal() => return Err(e),
                Err(e) => failure = failure.or(Some(e)),
            }
        }
        failure.map_or(Ok(!decisive), Err)
    }

    fn not(&mut self, at: ExprId, operand: &'a Node) -> Result<bool, Fail<'a>> {
        let value = self.truth(operand);
        self.tick(1)?;
        match value? {
            Some(b) => Ok(!b),
            None => Err(self.fail(ErrorKind::NoSuchOverload, at)),
        }
    }

    fn text_test(&mut self, t: &'a TextTest) -> Result<bool, Fail<'a>> {
        let subject = self.eval(&t.subject);
        if let Err(e) = subject
            && e.kind.is_fatal()
        {
            return Err(e);
        }
        // An error has no size, which counts as 1.
        let size = subject.unwrap_or_default().cost_size();
        self.tick(traversal(size).saturating_mul(t.cost))?;
        match subject? {
            Value::String(text) => Ok(t.part.is_in(text)),
            _ => Err(self.fail(ErrorKind::Function("no such overload"), t.at)),
        }
    }
}

/// Whether a node yields true or false, if anything.
#[inline]
fn decides(node: &Node) -> bool {
    match node {
        Node::Test(_)
        | Node::And { .. }
        | Node::Or { .. }
        | Node::Not { .. }
        | Node::Equal { .. }
        | Node::Member { .. }
        | Node::Text(_) => true,
        Node::Loop(l) => matches!(l.kind, LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne),
        _ => false,
    }
}
