//! A planned expression, ready to be evaluated any number of times from any thread.

use std::sync::Arc;

use crate::ast::{Expr, ExprId, ExprKind};
use crate::check::check;
use crate::checked::Checked;
use crate::env::Env;
use crate::issues::Issues;
use crate::parse::parse;
use crate::plan::{self, Plan};
use crate::source::{Source, Span};
use crate::symbols::Symbols;
use crate::types::Type;

/// A planned expression.
#[derive(Debug)]
pub struct Program {
    source: Arc<Source>,
    output_type: Type,
    /// Place of each node by id.
    spans: Vec<Span>,
    plan: Plan,
}

impl Program {
    /// Plans a checked expression.
    ///
    /// # Errors
    /// Constants that cannot be converted, regular expressions that do not parse.
    pub fn new(checked: &Checked, env: &Env, symbols: &mut Symbols) -> Result<Self, Issues> {
        let plan = plan::plan(checked, env, symbols)?;
        let mut spans = vec![Span::default(); checked.ast.id_count as usize];
        place(&checked.ast.root, &mut spans);
        Ok(Self { source: checked.ast.source.clone(), output_type: checked.output_type().clone(), spans, plan })
    }

    /// The expression as written.
    pub fn text(&self) -> &str {
        self.source.text()
    }

    /// The expression as written, with positions.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Its checked type.
    pub fn output_type(&self) -> &Type {
        &self.output_type
    }

    /// Place of a node, for runtime errors.
    pub fn span(&self, id: ExprId) -> Span {
        self.spans.get(id as usize).copied().unwrap_or_default()
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }
}

impl Env {
    /// Parses, checks and plans an expression. Field names it selects get their number in `symbols`.
    ///
    /// # Errors
    /// All syntax errors, or all type errors, each with its place.
    pub fn compile(&self, text: &str, symbols: &mut Symbols) -> Result<Program, Issues> {
        let checked = check(self, parse(text, self.language.syntax)?)?;
        Program::new(&checked, self, symbols)
    }
}

fn place(e: &Expr, spans: &mut [Span]) {
    if let Some(span) = spans.get_mut(e.id as usize) {
        *span = e.span;
    }
    match &e.kind {
        ExprKind::Literal(_) | ExprKind::Ident(_) => {}
        ExprKind::Select { operand, .. } => place(operand, spans),
        ExprKind::Call { target, args, .. } => target.iter().map(|t| &**t).chain(args).for_each(|x| place(x, spans)),
        ExprKind::List { elements, .. } => elements.iter().for_each(|x| place(x, spans)),
        ExprKind::Map { entries } => entries.iter().for_each(|x| {
            place(&x.key, spans);
            place(&x.value, spans);
        }),
        ExprKind::Struct { fields, .. } => fields.iter().for_each(|x| place(&x.value, spans)),
        ExprKind::Comprehension(c) => {
            for x in [&c.iter_range, &c.accu_init, &c.loop_condition, &c.loop_step, &c.result] {
                place(x, spans);
            }
        }
    }
}
