//! [`Ast`] → [`Checked`]: every node gets its type, every name and call what it refers to.
//!
//! The rules and the messages are cel-go's (`checker/checker.go` of 0.26). All faults are found; one that follows from
//! another is not reported.

mod aggregates;
mod calls;
mod format;
mod format_calls;
mod names;
#[cfg(test)]
mod tests;
mod unify;
mod validate;

use crate::ast::{Ast, Comprehension, Expr, ExprId, ExprKind, Literal};
use crate::checked::{Checked, Reference};
use crate::env::Env;
use crate::issues::{Issue, Issues};
use crate::limits;
use crate::source::Span;
use crate::types::Type;

use format::Shown;
use names::Scopes;
use unify::Unifier;

/// Checks a parsed expression against an environment.
///
/// # Errors
/// All faults, in source order, at most [`limits::MAX_ISSUES`].
pub fn check(env: &Env, ast: Ast) -> Result<Checked, Issues> {
    let Ast { mut root, id_count, anchors, source } = ast;
    let mut checker = Checker {
        env,
        anchors: &anchors,
        types: vec![None; id_count as usize],
        references: vec![None; id_count as usize],
        unifier: Unifier::default(),
        scopes: Scopes::default(),
        issues: Vec::new(),
        suppressed: 0,
    };
    checker.check(&mut root);
    let types = checker.types.iter().map(|ty| checker.final_type(ty.as_ref())).collect();
    let Checker { references, mut issues, mut suppressed, .. } = checker;
    let checked = Checked { ast: Ast { root, id_count, anchors, source: source.clone() }, types, references };
    if issues.is_empty() {
        (issues, suppressed) = validate::literals(env, &checked);
    }
    if issues.is_empty() {
        return Ok(checked);
    }
    issues.sort_by_key(|issue| issue.span.start);
    if suppressed > 0 {
        issues.truncate(limits::MAX_ISSUES - 1);
        let message = format!("{} more errors were truncated", suppressed + 1);
        issues.push(Issue { span: issues.last().map_or(Span::default(), |last| last.span), message });
    }
    Err(Issues { source, list: issues })
}

struct Checker<'e> {
    env: &'e Env,
    anchors: &'e [u32],
    types: Vec<Option<Type>>,
    references: Vec<Option<Reference>>,
    unifier: Unifier,
    scopes: Scopes,
    issues: Vec<Issue>,
    /// Issues beyond the limit.
    suppressed: usize,
}

impl Checker<'_> {
    /// Types one node and all below it.
    fn check(&mut self, expr: &mut Expr) {
        match &mut expr.kind {
            ExprKind::Literal(value) => {
                let ty = literal_type(value);
                self.set(expr.id, ty);
            }
            ExprKind::Ident(_) => self.ident(expr),
            ExprKind::Select { .. } => self.select(expr),
            ExprKind::Call { .. } => self.call(expr),
            ExprKind::List { elements, optional } => self.list(expr.id, elements, optional),
            ExprKind::Map { entries } => self.map(expr.id, entries),
            ExprKind::Struct { .. } => self.structure(expr),
            ExprKind::Comprehension(fold) => self.comprehension(expr.id, fold),
        }
    }

    // --- the results ---

    fn set(&mut self, id: ExprId, ty: Type) {
        if let Some(slot) = self.types.get_mut(id as usize) {
            *slot = Some(ty);
        }
    }

    /// As it is, if it is not too large when its variables are replaced.
    fn set_bounded(&mut self, id: ExprId, ty: Type) {
        let ty = if self.resolve(id, &ty) == Type::Error { Type::Error } else { ty };
        self.set(id, ty);
    }

    fn refer(&mut self, id: ExprId, reference: Reference) {
        if let Some(slot) = self.references.get_mut(id as usize) {
            *slot = Some(reference);
        }
    }

    /// Type found for a node; an error type when it has none.
    fn type_of(&self, expr: &Expr) -> Type {
        self.types.get(expr.id as usize).cloned().flatten().unwrap_or(Type::Error)
    }

    /// Type found for a node with bound variables replaced.
    fn resolved(&mut self, expr: &Expr) -> Type {
        let ty = self.type_of(expr);
        self.resolve(expr.id, &ty)
    }

    fn resolve(&mut self, id: ExprId, ty: &Type) -> Type {
        self.unifier.resolve(ty, false).unwrap_or_else(|| {
            self.issue(id, format!("type of the expression has more than {} parts", limits::MAX_TYPE_SIZE));
            Type::Error
        })
    }

    fn final_type(&self, ty: Option<&Type>) -> Type {
        ty.and_then(|ty| self.unifier.resolve(ty, true)).unwrap_or(Type::Dyn)
    }

    fn issue(&mut self, id: ExprId, message: String) {
        if self.issues.len() >= limits::MAX_ISSUES {
            self.suppressed += 1;
            return;
        }
        let at = self.anchors.get(id as usize).copied().unwrap_or_default();
        self.issues.push(Issue { span: Span::new(at, at), message });
    }

    fn undeclared(&mut self, id: ExprId, name: &str) {
        let container = &self.env.container;
        self.issue(id, format!("undeclared reference to '{name}' (in container '{container}')"));
        self.set(id, Type::Error);
    }

    fn mismatch(&mut self, id: ExprId, expected: &Type, found: &Type) {
        self.issue(id, format!("expected type '{}' but found '{}'", Shown(expected), Shown(found)));
    }

    // --- names and fields ---

    fn ident(&mut self, expr: &mut Expr) {
        if let ExprKind::Ident(name) = &expr.kind {
            let name = name.clone();
            if !self.named(expr, &name) {
                self.undeclared(expr.id, &name);
            }
        }
    }

    /// Takes an expression for a name, if that refers to anything.
    fn named(&mut self, expr: &mut Expr, name: &str) -> bool {
        let Some(found) = names::find(self.env, &self.scopes, name) else { return false };
        self.set(expr.id, found.ty);
        self.refer(expr.id, found.reference);
        expr.kind = ExprKind::Ident(found.name);
        true
    }

    fn select(&mut self, expr: &mut Expr) {
        if let Some(name) = names::qualified_name(expr)
            && self.named(expr, &name)
        {
            return;
        }
        let ExprKind::Select { operand, field, test_only } = &mut expr.kind else { return };
        let test_only = *test_only;
        self.check(operand);
        let ty = self.field(expr.id, operand, field, false);
        let ty = if test_only { Type::Bool } else { ty };
        let ty = self.resolve(expr.id, &ty);
        self.set(expr.id, ty);
    }

    /// Type of a field of a checked operand; `optional` for `.?`.
    fn field(&mut self, id: ExprId, operand: &Expr, field: &str, optional: bool) -> Type {
        let operand_type = self.resolved(operand);
        let (target, unwrapped) = match &operand_type {
            Type::Optional(inner) => (&**inner, true),
            other => (other, false),
        };
        let found = match target {
            Type::Map(_, value) => (**value).clone(),
            Type::Struct(name) => self.struct_field(id, name, field),
            // The API server declares the types of its own libraries as structs that nothing provides.
            Type::Opaque(name) if name.starts_with("kubernetes.") => self.struct_field(id, name, field),
            Type::Variable(_) => {
                self.unifier.assignable(&Type::Dyn, target);
                Type::Dyn
            }
            Type::Dyn | Type::Error => Type::Dyn,
            other => {
                self.issue(id, format!("type '{}' does not support field selection", Shown(other)));
                Type::Dyn
            }
        };
        if unwrapped || optional { Type::optional(found) } else { found }
    }

    /// Type of a field of a struct type; a fault when there is no such type or field.
    fn struct_field(&mut self, id: ExprId, structure: &str, field: &str) -> Type {
        if structure == names::LAZY_ROOT_TYPE
            && let Some(members) = &self.env.lazy
        {
            if let Some((_, ty)) = members.iter().find(|(name, _)| name == field) {
                return ty.clone();
            }
            self.issue(id, format!("undefined field '{field}'"));
            return Type::Error;
        }
        let Some(provider) = self.env.structs.iter().find(|s| s.has_struct(structure)) else {
            self.issue(id, format!("unexpected failed resolution of '{structure}'"));
            return Type::Error;
        };
        provider.field(structure, field).unwrap_or_else(|| {
            self.issue(id, format!("undefined field '{field}'"));
            Type::Error
        })
    }

    // --- loops ---

    fn comprehension(&mut self, id: ExprId, fold: &mut Comprehension) {
        self.check(&mut fold.iter_range);
        self.check(&mut fold.accu_init);
        let (first, second) = self.loop_types(fold);
        let accu = self.type_of(&fold.accu_init);
        self.scopes.push(&fold.accu_var, accu.clone());
        self.scopes.push(&fold.iter_var, first);
        if let Some(name) = &fold.iter_var2 {
            self.scopes.push(name, second);
        }
        self.check(&mut fold.loop_condition);
        self.expect(&fold.loop_condition, &Type::Bool);
        self.check(&mut fold.loop_step);
        self.expect(&fold.loop_step, &accu);
        self.scopes.pop(if fold.iter_var2.is_some() { 2 } else { 1 });
        self.check(&mut fold.result);
        self.scopes.pop(1);
        let ty = self.resolved(&fold.result);
        self.set(id, ty);
    }

    /// Types of the loop variables.
    fn loop_types(&mut self, fold: &Comprehension) -> (Type, Type) {
        let range = self.resolved(&fold.iter_range);
        match &range {
            Type::List(element) if fold.iter_var2.is_some() => (Type::Int, (**element).clone()),
            Type::List(element) => ((**element).clone(), Type::Dyn),
            Type::Map(key, value) => ((**key).clone(), (**value).clone()),
            Type::Dyn | Type::Error => (Type::Dyn, Type::Dyn),
            Type::Variable(_) => {
                self.unifier.assignable(&Type::Dyn, &range);
                (Type::Dyn, Type::Dyn)
            }
            other => {
                let message = format!(
                    "expression of type '{}' cannot be range of a comprehension (must be list, map, or dynamic)",
                    Shown(other)
                );
                self.issue(fold.iter_range.id, message);
                (Type::Error, Type::Error)
            }
        }
    }

    /// Reports an expression that may not stand for `ty`.
    fn expect(&mut self, expr: &Expr, ty: &Type) {
        let found = self.type_of(expr);
        if !self.unifier.assignable(ty, &found) {
            self.mismatch(expr.id, ty, &found);
        }
    }
}

fn literal_type(value: &Literal) -> Type {
    match value {
        Literal::Null => Type::Null,
        Literal::Bool(_) => Type::Bool,
        Literal::Int(_) => Type::Int,
        Literal::Uint(_) => Type::Uint,
        Literal::Double(_) => Type::Double,
        Literal::String(_) => Type::String,
        Literal::Bytes(_) => Type::Bytes,
    }
}
