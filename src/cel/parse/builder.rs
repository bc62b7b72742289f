//! Makes nodes: numbers them, remembers where messages about them point, and keeps the tree within its bounds.

use crate::ast::{Comprehension, Expr, ExprId, ExprKind, Literal, MapEntry, StructField, operators};
use crate::issues::Issue;
use crate::limits;
use crate::source::Span;

/// Why parsing stopped; the issue is recorded already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// A syntax error: the surrounding bracket may go on behind it.
    Syntax,
    /// A bound is reached: nothing goes on.
    Limit,
}

#[derive(Debug, Default)]
pub(super) struct Builder {
    /// By id: first byte of the token that messages point at.
    pub(super) anchors: Vec<u32>,
    /// By id: height of the subtree.
    heights: Vec<u16>,
    /// By id: how deep cel-go's visitor recurses for the subtree.
    visits: Vec<u16>,
    pub(super) issues: Vec<Issue>,
}

impl Builder {
    /// Records a problem; a limit when there are too many.
    pub(super) fn issue(&mut self, span: Span, message: impl Into<String>) -> Result<(), Stop> {
        if self.issues.len() >= limits::MAX_ISSUES {
            return Err(Stop::Limit);
        }
        self.issues.push(Issue { span, message: message.into() });
        Ok(())
    }

    /// Records that a bound is reached.
    pub(super) fn limit(&mut self, span: Span, message: String) -> Stop {
        self.issues.truncate(limits::MAX_ISSUES - 1);
        self.issues.push(Issue { span, message });
        Stop::Limit
    }

    fn id(&mut self, anchor: u32, span: Span, height: u16, visits: u16) -> Result<ExprId, Stop> {
        let id = self.anchors.len() as ExprId;
        if id >= limits::MAX_NODES {
            let message = format!("expression expands to more than {} nodes", limits::MAX_NODES);
            return Err(self.limit(span, message));
        }
        self.anchors.push(anchor);
        self.heights.push(height);
        self.visits.push(visits);
        Ok(id)
    }

    /// A node above its children.
    pub(super) fn node(&mut self, anchor: u32, span: Span, kind: ExprKind) -> Result<Expr, Stop> {
        let (mut height, mut visits) = (0, 0);
        kind.for_each_child(&mut |child| {
            height = height.max(self.heights[child.id as usize]);
            visits = visits.max(self.visits[child.id as usize]);
        });
        if usize::from(height) >= limits::MAX_TREE_DEPTH {
            return Err(self.limit(span, "max recursion depth exceeded".to_owned()));
        }
        Ok(Expr { id: self.id(anchor, span, height + 1, visits)?, span, kind })
    }

    /// An id for an entry of a map or struct literal.
    pub(super) fn entry(&mut self, anchor: u32, span: Span) -> Result<ExprId, Stop> {
        self.id(anchor, span, 0, 0)
    }

    /// Counts a level of cel-go's visitor, which parentheses and list elements do not make but operators, selections
    /// and member calls do.
    pub(super) fn visited(&mut self, expr: Expr) -> Result<Expr, Stop> {
        let visits = &mut self.visits[expr.id as usize];
        *visits += 1;
        if usize::from(*visits) > limits::MAX_RECURSION_DEPTH {
            return Err(self.limit(expr.span, "max recursion depth exceeded".to_owned()));
        }
        Ok(expr)
    }

    pub(super) fn literal(&mut self, span: Span, value: Literal) -> Result<Expr, Stop> {
        self.node(span.start, span, ExprKind::Literal(value))
    }

    pub(super) fn call(&mut self, at: Place, function: &str, args: Vec<Expr>) -> Result<Expr, Stop> {
        self.node(at.anchor, at.span, ExprKind::Call { target: None, function: function.to_owned(), args })
    }

    pub(super) fn member_call(
        &mut self,
        at: Place,
        target: Expr,
        function: &str,
        args: Vec<Expr>,
    ) -> Result<Expr, Stop> {
        let target = Some(Box::new(target));
        self.node(at.anchor, at.span, ExprKind::Call { target, function: function.to_owned(), args })
    }

    pub(super) fn ident(&mut self, at: Place, name: &str) -> Result<Expr, Stop> {
        self.node(at.anchor, at.span, ExprKind::Ident(name.to_owned()))
    }

    pub(super) fn constant(&mut self, at: Place, value: Literal) -> Result<Expr, Stop> {
        self.node(at.anchor, at.span, ExprKind::Literal(value))
    }

    pub(super) fn list(&mut self, at: Place, elements: Vec<Expr>) -> Result<Expr, Stop> {
        self.node(at.anchor, at.span, ExprKind::List { elements, optional: Vec::new() })
    }

    pub(super) fn conditional(&mut self, at: Place, test: Expr, yes: Expr, no: Expr) -> Result<Expr, Stop> {
        self.call(at, operators::CONDITIONAL, vec![test, yes, no])
    }

    /// A deep copy with ids of its own.
    pub(super) fn copy(&mut self, expr: &Expr) -> Result<Expr, Stop> {
        let kind = match &expr.kind {
            ExprKind::Literal(_) | ExprKind::Ident(_) => expr.kind.clone(),
            ExprKind::Select { operand, field, test_only } => {
                ExprKind::Select { operand: Box::new(self.copy(operand)?), field: field.clone(), test_only: *test_only }
            }
            ExprKind::Call { target, function, args } => ExprKind::Call {
                target: target.as_ref().map(|t| self.copy(t).map(Box::new)).transpose()?,
                function: function.clone(),
                args: self.copies(args)?,
            },
            ExprKind::List { elements, optional } => {
                ExprKind::List { elements: self.copies(elements)?, optional: optional.clone() }
            }
            ExprKind::Map { entries } => self.copy_map(entries)?,
            ExprKind::Struct { name, fields } => self.copy_struct(name, fields)?,
            ExprKind::Comprehension(loop_) => self.copy_comprehension(loop_)?,
        };
        let anchor = self.anchors[expr.id as usize];
        self.node(anchor, expr.span, kind)
    }

    fn copies(&mut self, list: &[Expr]) -> Result<Vec<Expr>, Stop> {
        list.iter().map(|e| self.copy(e)).collect()
    }

    fn copy_map(&mut self, entries: &[MapEntry]) -> Result<ExprKind, Stop> {
        let entries = entries.iter().map(|entry| {
            Ok(MapEntry {
                id: self.entry(self.anchors[entry.id as usize], entry.key.span)?,
                key: self.copy(&entry.key)?,
                value: self.copy(&entry.value)?,
                optional: entry.optional,
            })
        });
        Ok(ExprKind::Map { entries: entries.collect::<Result<_, Stop>>()? })
    }

    fn copy_struct(&mut self, name: &str, fields: &[StructField]) -> Result<ExprKind, Stop> {
        let fields = fields.iter().map(|field| {
            Ok(StructField {
                id: self.entry(self.anchors[field.id as usize], field.span)?,
                span: field.span,
                name: field.name.clone(),
                value: self.copy(&field.value)?,
                optional: field.optional,
            })
        });
        Ok(ExprKind::Struct { name: name.to_owned(), fields: fields.collect::<Result<_, Stop>>()? })
    }

    fn copy_comprehension(&mut self, from: &Comprehension) -> Result<ExprKind, Stop> {
        Ok(ExprKind::Comprehension(Box::new(Comprehension {
            macro_name: from.macro_name,
            iter_range: self.copy(&from.iter_range)?,
            iter_var: from.iter_var.clone(),
            iter_var2: from.iter_var2.clone(),
            accu_var: from.accu_var.clone(),
            accu_init: self.copy(&from.accu_init)?,
            loop_condition: self.copy(&from.loop_condition)?,
            loop_step: self.copy(&from.loop_step)?,
            result: self.copy(&from.result)?,
        })))
    }
}

/// Where a node stands: the text it covers and the token that messages about it point at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) anchor: u32,
    pub(super) span: Span,
}
