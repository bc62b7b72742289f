//! Selections and indices become steps of one path, as cel-go's attributes do.

use super::Planner;
use super::node::{Base, Constant, Node, Path, Step, StepKind};
use crate::ast::{Expr, ExprKind, Literal};

impl<'p> Planner<'p> {
    pub(super) fn select(&mut self, e: &'p Expr, operand: &'p Expr, field: &str, test_only: bool) -> Node {
        let path = self.operand(operand);
        let path = self.field_step(e, path, field, false);
        if test_only { Node::Test(Box::new(path)) } else { Node::Path(Box::new(path)) }
    }

    /// `a[b]`, `a[?b]`, `a.?b`
    pub(super) fn index(&mut self, e: &'p Expr, operand: &'p Expr, index: &'p Expr, optional: bool) -> Node {
        let path = self.operand(operand);
        if let ExprKind::Literal(Literal::String(field)) = &index.kind {
            return Node::Path(Box::new(self.field_step(e, path, field, optional)));
        }
        let kind = match self.expr(index) {
            Node::Constant(Constant::String(name)) => StepKind::Field { symbol: self.symbols.intern(&name), name },
            Node::Constant(c @ (Constant::Int(_) | Constant::Uint(_) | Constant::Bool(_) | Constant::Double(_))) => {
                StepKind::Constant(c)
            }
            other => match other.constant_go_type() {
                Some(ty) => return self.instantiation_fault(e, &format!("invalid qualifier type: {ty}")),
                None => StepKind::Dynamic(other),
            },
        };
        let mut path = path;
        path.at = e.id;
        path.steps.push(Step { at: e.id, optional, kind });
        Node::Path(Box::new(path))
    }

    /// The path that a step is added to.
    fn operand(&mut self, operand: &'p Expr) -> Path {
        match self.expr(operand) {
            Node::Path(path) => *path,
            node @ Node::Conditional { .. } => {
                Path { at: operand.id, base: Base::Conditional(node), steps: Vec::new() }
            }
            node => Path { at: operand.id, base: Base::Value(node), steps: Vec::new() },
        }
    }

    fn field_step(&mut self, e: &Expr, mut path: Path, field: &str, optional: bool) -> Path {
        path.at = e.id;
        if matches!(path.base, Base::LazyRoot) && path.steps.is_empty() {
            let slot = self.env.lazy.as_ref().and_then(|members| members.iter().position(|(name, _)| name == field));
            if let Some(slot) = slot {
                path.base = Base::Lazy { slot, name: field.into(), optional };
                return path;
            }
        }
        path.steps.push(Step {
            at: e.id,
            optional,
            kind: StepKind::Field { symbol: self.symbols.intern(field), name: field.into() },
        });
        path
    }
}
