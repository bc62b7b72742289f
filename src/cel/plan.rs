//! Checked expression → planned tree: slots, field numbers, constants and regular expressions resolved.
//!
//! What is folded is what cel-go folds in the API server (`OptOptimize`): lists and maps of constants, conversions of
//! constants and `in` over constant lists become free, and what fails there fails to compile.

mod calls;
mod loops;
pub(crate) mod node;
mod paths;

use std::collections::HashMap;

use crate::ast::{Expr, ExprKind, Literal};
use crate::checked::{Checked, Reference};
use crate::env::Env;
use crate::issues::{Issue, Issues};
use crate::symbols::Symbols;
use crate::types::Type;
use node::{Base, Constant, Element, MapEntry, Node, Path, StructField, StructNode};

/// A planned tree and what its evaluation needs.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) root: Node,
    /// How many loop variables and accumulators it has.
    pub(crate) locals: usize,
    /// How many constant aggregates it builds.
    pub(crate) aggregates: usize,
}

/// Plans a checked expression.
///
/// # Errors
/// Constants that cannot be converted, regular expressions that do not parse.
pub(crate) fn plan(checked: &Checked, env: &Env, symbols: &mut Symbols) -> Result<Plan, Issues> {
    let mut planner =
        Planner { env, checked, symbols, scope: HashMap::new(), locals: 0, aggregates: 0, issues: Vec::new() };
    let root = planner.expr(&checked.ast.root);
    if planner.issues.is_empty() {
        return Ok(Plan { root, locals: planner.locals, aggregates: planner.aggregates });
    }
    Err(Issues { source: checked.ast.source.clone(), list: planner.issues })
}

struct Planner<'p> {
    env: &'p Env,
    checked: &'p Checked,
    symbols: &'p mut Symbols,
    /// Slots of the loop variables in scope, innermost last.
    scope: HashMap<&'p str, Vec<usize>>,
    locals: usize,
    aggregates: usize,
    issues: Vec<Issue>,
}

impl<'p> Planner<'p> {
    fn expr(&mut self, e: &'p Expr) -> Node {
        match &e.kind {
            ExprKind::Literal(l) => Node::Constant(literal(l)),
            ExprKind::Ident(name) => self.ident(e, name),
            ExprKind::Select { operand, field, test_only } => self.select(e, operand, field, *test_only),
            ExprKind::Call { target, args, .. } => self.call(e, target.as_deref(), args),
            ExprKind::List { elements, optional } => self.list(e, elements, optional),
            ExprKind::Map { entries } => self.map(e, entries),
            ExprKind::Struct { name, fields } => self.structure(e, name, fields),
            ExprKind::Comprehension(c) => self.comprehension(e, c),
        }
    }

    fn reference(&self, e: &Expr) -> Option<&'p Reference> {
        self.checked.references.get(e.id as usize)?.as_ref()
    }

    fn fault(e: &Expr, message: String) -> Node {
        Node::Fault { at: e.id, message: message.into() }
    }

    fn ident(&mut self, e: &'p Expr, name: &'p str) -> Node {
        let base = match self.reference(e) {
            Some(Reference::TypeName(t)) => return Node::Constant(Constant::Type(t.as_str().into())),
            Some(Reference::Variable(slot)) => Base::Root(*slot),
            Some(Reference::LazyRoot) => Base::LazyRoot,
            Some(Reference::Local) | None => match self.scope.get(name).and_then(|slots| slots.last()) {
                Some(slot) => Base::Local(*slot),
                None => return Self::fault(e, format!("no such attribute(s): {name}")),
            },
            Some(Reference::Function { .. }) => return Self::fault(e, format!("'{name}' is not a value")),
        };
        Node::Path(Box::new(Path { at: e.id, base, steps: Vec::new() }))
    }

    fn list(&mut self, e: &'p Expr, elements: &'p [Expr], optional: &[u32]) -> Node {
        let elements: Box<[Element]> = elements
            .iter()
            .enumerate()
            .map(|(i, x)| Element { value: self.expr(x), optional: optional.contains(&(i as u32)) })
            .collect();
        let constant = elements.iter().all(|x| x.value.is_constant() && !x.optional);
        self.aggregate(constant, Node::List { at: e.id, elements })
    }

    fn map(&mut self, e: &'p Expr, entries: &'p [crate::ast::MapEntry]) -> Node {
        let entries: Box<[MapEntry]> = entries
            .iter()
            .map(|x| MapEntry { key: self.expr(&x.key), value: self.expr(&x.value), optional: x.optional })
            .collect();
        let constant = entries.iter().all(|x| x.key.is_constant() && x.value.is_constant() && !x.optional);
        self.aggregate(constant, Node::Map { at: e.id, entries })
    }

    fn aggregate(&mut self, constant: bool, node: Node) -> Node {
        if !constant || self.env.unfolded {
            return node;
        }
        self.aggregates += 1;
        Node::Aggregate { slot: self.aggregates - 1, node: Box::new(node) }
    }

    fn structure(&mut self, e: &'p Expr, name: &str, fields: &'p [crate::ast::StructField]) -> Node {
        let type_name = match self.checked.types.get(e.id as usize) {
            Some(Type::Struct(full)) => full.to_string(),
            _ => name.to_owned(),
        };
        let fields = fields
            .iter()
            .map(|f| StructField { name: f.name.as_str().into(), value: self.expr(&f.value), optional: f.optional })
            .collect();
        Node::Struct(Box::new(StructNode { at: e.id, type_name: type_name.into(), fields }))
    }

    /// Plans inside the scope of further loop variables.
    fn within<T>(&mut self, names: &[(&'p str, usize)], plan: impl FnOnce(&mut Self) -> T) -> T {
        for (name, slot) in names {
            self.scope.entry(name).or_default().push(*slot);
        }
        let planned = plan(self);
        for (name, _) in names {
            if let Some(slots) = self.scope.get_mut(name) {
                slots.pop();
            }
        }
        planned
    }

    fn new_local(&mut self) -> usize {
        self.locals += 1;
        self.locals - 1
    }
}

fn literal(l: &Literal) -> Constant {
    match l {
        Literal::Null => Constant::Null,
        Literal::Bool(b) => Constant::Bool(*b),
        Literal::Int(i) => Constant::Int(*i),
        Literal::Uint(u) => Constant::Uint(*u),
        Literal::Double(d) => Constant::Double(*d),
        Literal::String(s) => Constant::String(s.as_str().into()),
        Literal::Bytes(b) => Constant::Bytes(b.as_slice().into()),
    }
}
