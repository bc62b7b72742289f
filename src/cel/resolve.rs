//! Names without types: an expression that is parsed but not checked, as cel-go evaluates one.
//!
//! Kubernetes checks every expression. The conformance suite of the language does not, to see what operators do at run
//! time with operands that the checker would have refused.

use crate::ast::{Ast, Comprehension, Expr, ExprKind};
use crate::checked::{Checked, Reference};
use crate::env::Env;
use crate::issues::Issues;
use crate::parse::parse;
use crate::program::Program;
use crate::symbols::Symbols;
use crate::types::Type;

/// Names of types that are values.
const TYPE_NAMES: &[&str] = &[
    "bool",
    "bytes",
    "double",
    "google.protobuf.Duration",
    "google.protobuf.Timestamp",
    "int",
    "list",
    "map",
    "null_type",
    "optional_type",
    "string",
    "type",
    "uint",
];

impl Env {
    /// Plans an expression without checking it: every operand is taken as `dyn`, and a name or function that does not
    /// exist is an error only when it is reached.
    ///
    /// # Errors
    /// All syntax errors; constants that cannot be converted.
    pub fn compile_unchecked(&self, text: &str, symbols: &mut Symbols) -> Result<Program, Issues> {
        let checked = resolve(parse(text, self.language.syntax)?, self);
        Program::new(&checked, self, symbols)
    }
}

fn resolve(mut ast: Ast, env: &Env) -> Checked {
    let count = ast.id_count as usize;
    let mut resolver = Resolver { env, scope: Vec::new(), references: vec![None; count] };
    resolver.expr(&mut ast.root);
    Checked { ast, types: vec![Type::Dyn; count], references: resolver.references }
}

struct Resolver<'e> {
    env: &'e Env,
    /// Loop variables.
    scope: Vec<String>,
    references: Vec<Option<Reference>>,
}

impl Resolver<'_> {
    fn set(&mut self, e: &Expr, reference: Reference) {
        if let Some(slot) = self.references.get_mut(e.id as usize) {
            *slot = Some(reference);
        }
    }

    fn expr(&mut self, e: &mut Expr) {
        if let Some(name) = qualified_name(e) {
            let local = name.split('.').next().is_some_and(|root| self.scope.iter().any(|s| s == root));
            if let Some(reference) = self.global(&name).filter(|_| !local) {
                e.kind = ExprKind::Ident(name);
                return self.set(e, reference);
            }
        }
        match &mut e.kind {
            ExprKind::Literal(_) => {}
            ExprKind::Ident(name) => {
                if self.scope.contains(name) {
                    self.set(e, Reference::Local);
                }
            }
            ExprKind::Select { operand, .. } => self.expr(operand),
            ExprKind::List { elements, .. } => elements.iter_mut().for_each(|x| self.expr(x)),
            ExprKind::Map { entries } => entries.iter_mut().for_each(|x| {
                self.expr(&mut x.key);
                self.expr(&mut x.value);
            }),
            ExprKind::Struct { fields, .. } => fields.iter_mut().for_each(|x| self.expr(&mut x.value)),
            ExprKind::Comprehension(c) => self.comprehension(c),
            ExprKind::Call { .. } => self.call(e),
        }
    }

    fn global(&self, name: &str) -> Option<Reference> {
        let plain = name.trim_start_matches('.');
        if let Some(slot) = self.env.slot(plain) {
            return Some(Reference::Variable(slot));
        }
        if plain == "variables" && self.env.lazy.is_some() {
            return Some(Reference::LazyRoot);
        }
        TYPE_NAMES.contains(&plain).then(|| Reference::TypeName(plain.to_owned()))
    }

    fn call(&mut self, e: &mut Expr) {
        let ExprKind::Call { target, function, args } = &mut e.kind else { return };
        if let Some(namespace) = target.as_deref().and_then(qualified_name) {
            let name = format!("{namespace}.{function}");
            if self.env.functions.contains_key(name.as_str()) {
                *target = None;
                *function = name;
            }
        }
        target.iter_mut().map(|t| &mut **t).chain(args.iter_mut()).for_each(|x| self.expr(x));
        let member = target.is_some();
        let arity = args.len() + usize::from(member);
        let Some((name, functions)) = self.env.functions.get_key_value(function.as_str()) else { return };
        let fitting = |o: &&crate::functions::Overload| o.member == member && o.params.len() == arity;
        let overloads: Vec<&'static str> =
            functions.iter().flat_map(|f| &f.overloads).filter(fitting).map(|o| o.id).collect();
        if !overloads.is_empty() {
            let name = *name;
            self.set(e, Reference::Function { name, overloads });
        }
    }

    fn comprehension(&mut self, c: &mut Comprehension) {
        self.expr(&mut c.iter_range);
        self.expr(&mut c.accu_init);
        let outside = self.scope.len();
        self.scope.push(c.accu_var.clone());
        self.expr(&mut c.result);
        self.scope.push(c.iter_var.clone());
        self.scope.extend(c.iter_var2.clone());
        self.expr(&mut c.loop_condition);
        self.expr(&mut c.loop_step);
        self.scope.truncate(outside);
    }
}

/// `a.b.c` as one name, when it could be one.
fn qualified_name(e: &Expr) -> Option<String> {
    match &e.kind {
        ExprKind::Ident(name) => Some(name.clone()),
        ExprKind::Select { operand, field, test_only: false } => {
            qualified_name(operand).map(|left| format!("{left}.{field}"))
        }
        _ => None,
    }
}
