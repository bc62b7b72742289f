//! Calls: which function a name means and which of its overloads apply.

use super::Checker;
use super::format::Signature;
use super::names;
use crate::ast::{Expr, ExprKind, Literal, operators};
use crate::checked::Reference;
use crate::env::Env;
use crate::functions::Overload;
use crate::types::Type;

impl Checker<'_> {
    pub(super) fn call(&mut self, expr: &mut Expr) {
        let id = expr.id;
        let ExprKind::Call { target, function, args } = &mut expr.kind else { return };
        if function == operators::OPT_SELECT && target.is_none() {
            self.optional_select(expr);
            return;
        }
        for arg in args.iter_mut() {
            self.check(arg);
        }
        let Some(receiver) = target else {
            match names::functions(self.env, function) {
                Some((name, _)) => {
                    name.clone_into(function);
                    self.resolve_call(expr, name);
                }
                None => {
                    let name = function.clone();
                    self.undeclared(id, &name);
                }
            }
            return;
        };
        // `a.b.c()` is a function `a.b.c` when there is one, otherwise `c` with the receiver `a.b`.
        if let Some(prefix) = names::qualified_name(receiver)
            && let Some((name, _)) = names::functions(self.env, &format!("{prefix}.{function}"))
        {
            *target = None;
            name.clone_into(function);
            self.resolve_call(expr, name);
            return;
        }
        self.check(receiver);
        match names::functions(self.env, function) {
            Some((name, _)) => self.resolve_call(expr, name),
            None => {
                let name = function.clone();
                self.undeclared(id, &name);
            }
        }
    }

    /// `operand.?field`
    fn optional_select(&mut self, expr: &mut Expr) {
        let id = expr.id;
        let ExprKind::Call { args, .. } = &mut expr.kind else { return };
        let [operand, Expr { kind: ExprKind::Literal(Literal::String(field)), .. }] = args.as_mut_slice() else {
            self.issue(id, "unsupported optional field selection".to_owned());
            self.set(id, Type::Error);
            return;
        };
        self.check(operand);
        let ty = self.field(id, operand, field, true);
        let ty = self.resolve(id, &ty);
        self.set(args[1].id, Type::String);
        self.set(id, ty);
        let overloads = vec!["select_optional_field"];
        self.refer(id, Reference::Function { name: operators::OPT_SELECT, overloads });
    }

    /// Finds the overloads of `name` that apply to a call whose arguments are checked.
    fn resolve_call(&mut self, expr: &Expr, name: &'static str) {
        let ExprKind::Call { target, args, .. } = &expr.kind else { return };
        let env = self.env;
        let functions = env.functions.get(name).map_or(&[][..], Vec::as_slice);
        let logical = name == operators::LOGICAL_AND || name == operators::LOGICAL_OR;
        if let Some(overload) = functions.iter().flat_map(|f| &f.overloads).next().filter(|_| logical) {
            self.logic(expr, name, overload.id, args);
            return;
        }
        let member = target.is_some();
        let mut types: Vec<Type> = target.iter().map(|t| self.type_of(t)).collect();
        types.extend(args.iter().map(|arg| self.type_of(arg)));
        let mut result: Option<Type> = None;
        let mut overloads = Vec::new();
        for overload in functions.iter().flat_map(|f| &f.overloads) {
            if overload.member != member || disabled(env, overload) {
                continue;
            }
            let mut variables = Vec::new();
            // The result first: variables are numbered as cel-go numbers them, and messages show the numbers.
            let declared = self.unifier.instantiate(&overload.result, &mut variables);
            let params: Vec<_> = overload.params.iter().map(|p| self.unifier.instantiate(p, &mut variables)).collect();
            if !self.unifier.assignable_all(&types, &params) {
                continue;
            }
            overloads.push(overload.id);
            let found = self.resolve(expr.id, &declared);
            result = Some(match result {
                None => found,
                Some(first) if first == Type::Dyn || first == found => first,
                Some(_) => Type::Dyn,
            });
        }
        match result {
            Some(ty) => {
                self.set(expr.id, ty);
                self.refer(expr.id, Reference::Function { name, overloads });
            }
            None => self.no_overload(expr, name, member, &types),
        }
    }

    fn no_overload(&mut self, expr: &Expr, name: &str, member: bool, types: &[Type]) {
        let args: Vec<_> = types.iter().map(|ty| self.final_type(Some(ty))).collect();
        let signature = Signature { member, args: &args };
        self.issue(expr.id, format!("found no matching overload for '{name}' applied to '{signature}'"));
        self.set(expr.id, Type::Error);
    }

    /// `&&` and `||`: each operand for itself must be a bool.
    fn logic(&mut self, expr: &Expr, name: &'static str, overload: &'static str, args: &[Expr]) {
        let mut sound = true;
        for arg in args {
            let ty = self.type_of(arg);
            if !self.unifier.assignable(&ty, &Type::Bool) {
                self.mismatch(arg.id, &Type::Bool, &ty);
                sound = false;
            }
        }
        if !sound {
            self.set(expr.id, Type::Error);
            return;
        }
        self.set(expr.id, Type::Bool);
        self.refer(expr.id, Reference::Function { name, overloads: vec![overload] });
    }
}

/// Comparisons between int, uint and double can be switched off.
fn disabled(env: &Env, overload: &Overload) -> bool {
    if env.language.mixed_comparisons {
        return false;
    }
    let numeric = |ty: &Type| matches!(ty, Type::Int | Type::Uint | Type::Double);
    let compares = ["less_", "greater_"].iter().any(|prefix| overload.id.starts_with(prefix));
    compares && matches!(overload.params.as_slice(), [a, b] if numeric(a) && numeric(b) && a != b)
}
