//! Binary operators by precedence, without recursion: a stack of operators that wait for their right side.

use super::builder::{Builder, Place, Stop};
use super::lexer::Kind;
use crate::ast::{Expr, operators};
use crate::source::Span;

/// A binary operator: how tightly it binds and the function it calls.
#[derive(Debug, Clone, Copy)]
pub(super) struct Binary {
    pub(super) level: Level,
    pub(super) function: &'static str,
}

/// Precedence levels, loosest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Or,
    And,
    Relation,
    Sum,
    Product,
}

/// The operator that a token is, if it is one.
pub(super) fn binary(kind: Kind) -> Option<Binary> {
    let (level, function) = match kind {
        Kind::Or => (Level::Or, operators::LOGICAL_OR),
        Kind::And => (Level::And, operators::LOGICAL_AND),
        Kind::Equals => (Level::Relation, operators::EQUALS),
        Kind::NotEquals => (Level::Relation, operators::NOT_EQUALS),
        Kind::Less => (Level::Relation, operators::LESS),
        Kind::LessEquals => (Level::Relation, operators::LESS_EQUALS),
        Kind::Greater => (Level::Relation, operators::GREATER),
        Kind::GreaterEquals => (Level::Relation, operators::GREATER_EQUALS),
        Kind::In => (Level::Relation, operators::IN),
        Kind::Plus => (Level::Sum, operators::ADD),
        Kind::Minus => (Level::Sum, operators::SUBTRACT),
        Kind::Star => (Level::Product, operators::MULTIPLY),
        Kind::Slash => (Level::Product, operators::DIVIDE),
        Kind::Percent => (Level::Product, operators::MODULO),
        _ => return None,
    };
    Some(Binary { level, function })
}

/// Operators that wait for their right side, loosest first: at most one a level.
#[derive(Debug, Default)]
pub(super) struct Waiting(Vec<Pending>);

/// `left[0] op left[1] op … op` without its last operand. Only `&&` and `||` gather more than one.
#[derive(Debug)]
struct Pending {
    operator: Binary,
    left: Vec<Expr>,
    anchors: Vec<u32>,
}

impl Waiting {
    /// Takes the operand before `operator` and lets it wait.
    pub(super) fn push(&mut self, builder: &mut Builder, left: Expr, operator: Binary, at: u32) -> Result<(), Stop> {
        let mut left = left;
        while let Some(top) = self.0.pop_if(|top| top.operator.level > operator.level) {
            left = top.close(builder, left)?;
        }
        if operator.level <= Level::And
            && let Some(top) = self.0.last_mut().filter(|top| top.operator.level == operator.level)
        {
            top.left.push(left);
            top.anchors.push(at);
            return Ok(());
        }
        if let Some(top) = self.0.pop_if(|top| top.operator.level == operator.level) {
            left = top.close(builder, left)?;
        }
        self.0.push(Pending { operator, left: vec![left], anchors: vec![at] });
        Ok(())
    }

    /// The whole, when no operator follows.
    pub(super) fn finish(mut self, builder: &mut Builder, last: Expr) -> Result<Expr, Stop> {
        let mut right = last;
        while let Some(top) = self.0.pop() {
            right = top.close(builder, right)?;
        }
        Ok(right)
    }

    /// How many relations, and how many sums and products since the last of them, wait: cel-go counts these nestings.
    pub(super) fn nesting(&self) -> (usize, usize) {
        let relations = self.0.iter().filter(|p| p.operator.level == Level::Relation).count();
        let sums = self.0.iter().filter(|p| p.operator.level > Level::Relation).count();
        (relations, sums)
    }
}

impl Pending {
    fn close(self, builder: &mut Builder, right: Expr) -> Result<Expr, Stop> {
        let function = self.operator.function;
        let mut terms = self.left;
        terms.push(right);
        if self.operator.level <= Level::And {
            return balanced(builder, function, &self.anchors, &mut terms.into_iter());
        }
        let (start, end) = (terms[0].span.start, terms[1].span.end);
        let call = builder.call(Place { anchor: self.anchors[0], span: Span::new(start, end) }, function, terms)?;
        builder.visited(call)
    }
}

/// A balanced tree, so that a thousand terms are ten levels deep. The same shape as cel-go's, whose costs depend on it.
fn balanced(
    builder: &mut Builder,
    function: &str,
    anchors: &[u32],
    terms: &mut std::vec::IntoIter<Expr>,
) -> Result<Expr, Stop> {
    let middle = anchors.len() / 2;
    let left = if middle == 0 { terms.next() } else { Some(balanced(builder, function, &anchors[..middle], terms)?) };
    let after = &anchors[middle + 1..];
    let right = if after.is_empty() { terms.next() } else { Some(balanced(builder, function, after, terms)?) };
    match (left, right) {
        (Some(left), Some(right)) => {
            let span = Span::new(left.span.start, right.span.end);
            builder.call(Place { anchor: anchors[middle], span }, function, vec![left, right])
        }
        // One operator stands between each two terms, so neither side can be missing.
        _ => Err(Stop::Syntax),
    }
}
