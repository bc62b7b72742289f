//! Faults of constants that the types do not show (cel-go's AST validators, as Kubernetes switches them on).

use bumpalo::Bump;

use super::format::Shown;
use super::format_calls;
use crate::ast::{Expr, ExprId, ExprKind, Literal};
use crate::checked::Checked;
use crate::env::{Env, Language};
use crate::functions::{Call, Scope};
use crate::issues::Issue;
use crate::library::re2;
use crate::limits::MAX_ISSUES;
use crate::source::Span;
use crate::symbols::Symbols;
use crate::types::Type;
use crate::value::Value;

/// Functions in whose calls lists may mix types.
const MIXED_LISTS: &str = "format";

/// All such faults, and how many there are beyond the limit.
pub(super) fn literals(env: &Env, checked: &Checked) -> (Vec<Issue>, usize) {
    let mut validator = Validator { env, checked, issues: Vec::new(), suppressed: 0 };
    let Language { homogeneous_literals, validate_literals, .. } = env.language;
    if homogeneous_literals || validate_literals {
        validator.visit(&checked.ast.root, !homogeneous_literals);
    }
    (validator.issues, validator.suppressed)
}

struct Validator<'c> {
    env: &'c Env,
    checked: &'c Checked,
    issues: Vec<Issue>,
    suppressed: usize,
}

impl Validator<'_> {
    fn issue(&mut self, id: ExprId, message: String) {
        if self.issues.len() >= MAX_ISSUES {
            self.suppressed += 1;
            return;
        }
        let at = self.checked.ast.anchor(id).start;
        self.issues.push(Issue { span: Span::new(at, at), message });
    }

    /// `mixed`: nothing holds a list to one type here.
    fn visit(&mut self, expr: &Expr, mixed: bool) {
        let mut mixed = mixed;
        match &expr.kind {
            ExprKind::Call { function, args, .. } => {
                mixed = mixed || function == MIXED_LISTS;
                if self.env.language.validate_literals {
                    self.constant_argument(function, args);
                    if function == MIXED_LISTS
                        && let Some((id, message)) = format_calls::fault(self.checked, expr)
                    {
                        self.issue(id, message);
                    }
                }
            }
            ExprKind::List { elements, optional } if !mixed => {
                let types: Vec<_> =
                    (0..).zip(elements).map(|(i, e)| self.element(e, optional.binary_search(&i).is_ok())).collect();
                self.same(&types, true);
            }
            ExprKind::Map { entries } if !mixed => {
                let keys: Vec<_> = entries.iter().map(|e| self.element(&e.key, false)).collect();
                self.same(&keys, false);
                let values: Vec<_> = entries.iter().map(|e| self.element(&e.value, e.optional)).collect();
                self.same(&values, false);
            }
            _ => {}
        }
        let mut children = Vec::new();
        expr.kind.for_each_child(&mut |child| children.push(child));
        for child in children {
            self.visit(child, mixed);
        }
    }

    /// An element and the type that it contributes.
    fn element(&self, expr: &Expr, optional: bool) -> (ExprId, Type) {
        let ty = self.checked.types.get(expr.id as usize).cloned().unwrap_or(Type::Dyn);
        match ty {
            Type::Optional(inner) if optional => (expr.id, (*inner).clone()),
            other => (expr.id, other),
        }
    }

    /// Reports elements whose type is not that of the first; only the first of them when `once`.
    fn same(&mut self, elements: &[(ExprId, Type)], once: bool) {
        let Some(((_, first), rest)) = elements.split_first() else { return };
        for (id, ty) in rest.iter().filter(|(_, ty)| ty != first) {
            self.issue(*id, format!("expected type '{}' but found '{}'", Shown(first), Shown(ty)));
            if once {
                return;
            }
        }
    }

    /// Constants that are always refused at run time. `matches` is looked at as cel-go does: its first argument, which
    /// is the pattern of the member form.
    fn constant_argument(&mut self, function: &str, args: &[Expr]) {
        let Some(Expr { id, kind: ExprKind::Literal(literal), .. }) = args.first() else { return };
        let valid = match (function, literal) {
            ("duration" | "timestamp", literal) => self.converts(function, literal),
            ("matches", Literal::String(pattern)) => re2::compile(pattern).is_ok(),
            _ => return,
        };
        if !valid {
            self.issue(*id, format!("invalid {function} argument"));
        }
    }

    /// Whether a conversion takes a constant.
    fn converts(&self, function: &str, literal: &Literal) -> bool {
        let value = match literal {
            Literal::String(text) => Value::String(text),
            Literal::Int(number) => Value::Int(*number),
            _ => return true,
        };
        let arena = Bump::new();
        let symbols = Symbols::new();
        let scope = Scope { arena: &arena, symbols: &symbols, authorizer: None, host: None };
        let functions = self.env.functions.get(function).map_or(&[][..], Vec::as_slice);
        let codes = functions.iter().filter_map(|f| match f.call {
            Call::Native(code) => Some(code),
            _ => None,
        });
        let mut answers = codes.map(|code| code(&scope, &[value])).peekable();
        answers.peek().is_none() || answers.any(|answer| answer.is_ok())
    }
}
