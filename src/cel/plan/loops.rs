//! Comprehensions: the macros' own shapes become loops, anything else is folded as written.

use super::Planner;
use super::node::{Fold, Loop, LoopKind, Node, Vars};
use crate::ast::{Comprehension, Expr, ExprKind, MacroKind, operators as op};

/// Adds an entry to the map that a macro builds.
const MAP_INSERT: &str = "cel.@mapInsert";

/// The part of a macro's fold that varies.
struct Shape<'p> {
    kind: LoopKind,
    filter: Option<&'p Expr>,
    body: &'p Expr,
}

impl<'p> Planner<'p> {
    pub(super) fn comprehension(&mut self, e: &'p Expr, c: &'p Comprehension) -> Node {
        let range = self.expr(&c.iter_range);
        let vars = Vars { first: self.new_local(), second: c.iter_var2.as_ref().map(|_| self.new_local()) };
        let mut names = vec![(c.iter_var.as_str(), vars.first)];
        if let (Some(name), Some(slot)) = (&c.iter_var2, vars.second) {
            names.push((name.as_str(), slot));
        }
        if let Some(Shape { kind, filter, body }) = shape(c) {
            let (filter, body) = self.within(&names, |p| (filter.map(|f| p.expr(f)), p.expr(body)));
            let kind = match kind {
                // The list of one constant that upstream adds is itself a constant, and free.
                LoopKind::Collect { .. } if body.is_constant() && !self.env.unfolded => {
                    LoopKind::Collect { list_cost: 0 }
                }
                kind => kind,
            };
            let init_cost = match kind {
                _ if !self.env.unfolded => 0,
                LoopKind::Collect { .. } => 10,
                LoopKind::Values | LoopKind::Entries => 30,
                LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne => 0,
            };
            return Node::Loop(Box::new(Loop { at: e.id, kind, range, vars, filter, body, init_cost }));
        }
        let accumulator = self.new_local();
        let init = self.expr(&c.accu_init);
        let result_names = [(c.accu_var.as_str(), accumulator)];
        let step_names: Vec<_> = names.into_iter().chain(result_names).collect();
        let (condition, step) = self.within(&step_names, |p| (p.expr(&c.loop_condition), p.expr(&c.loop_step)));
        let result = self.within(&result_names, |p| p.expr(&c.result));
        Node::Fold(Box::new(Fold { at: e.id, range, vars, accumulator, init, condition, step, result }))
    }
}

/// Recognises a macro's fold by what it consists of.
fn shape(c: &Comprehension) -> Option<Shape<'_>> {
    let accu = |e: &Expr| matches!(&e.kind, ExprKind::Ident(name) if *name == c.accu_var);
    let plain = |kind, body| Some(Shape { kind, filter: None, body });
    match c.macro_name {
        MacroKind::All => match call(&c.loop_step, op::LOGICAL_AND)? {
            [a, body] if accu(a) => plain(LoopKind::All, body),
            _ => None,
        },
        MacroKind::Exists => match call(&c.loop_step, op::LOGICAL_OR)? {
            [a, body] if accu(a) => plain(LoopKind::Exists, body),
            _ => None,
        },
        MacroKind::ExistsOne => match call(&c.loop_step, op::CONDITIONAL)? {
            [body, _, a] if accu(a) => plain(LoopKind::ExistsOne, body),
            _ => None,
        },
        MacroKind::Map | MacroKind::Filter | MacroKind::TransformList => {
            let (filter, step) = filtered(c)?;
            let [a, list] = call(step, op::ADD)? else { return None };
            let ExprKind::List { elements, optional } = &list.kind else { return None };
            let [body] = elements.as_slice() else { return None };
            let kind = LoopKind::Collect { list_cost: 10 };
            (accu(a) && optional.is_empty()).then_some(Shape { kind, filter, body })
        }
        MacroKind::TransformMap => {
            let (filter, step) = filtered(c)?;
            let [a, key, body] = call(step, MAP_INSERT)? else { return None };
            let keeps_key = matches!(&key.kind, ExprKind::Ident(name) if *name == c.iter_var);
            (accu(a) && keeps_key && c.iter_var2.is_some()).then_some(Shape { kind: LoopKind::Values, filter, body })
        }
        MacroKind::TransformMapEntry => {
            let (filter, step) = filtered(c)?;
            let [a, body] = call(step, MAP_INSERT)? else { return None };
            accu(a).then_some(Shape { kind: LoopKind::Entries, filter, body })
        }
        MacroKind::SortBy | MacroKind::Bind => None,
    }
}

/// The step of a loop that builds something, and the predicate around it.
fn filtered(c: &Comprehension) -> Option<(Option<&Expr>, &Expr)> {
    match call(&c.loop_step, op::CONDITIONAL) {
        Some([filter, step, _]) => Some((Some(filter), step)),
        Some(_) => None,
        None => Some((None, &c.loop_step)),
    }
}

fn call<'e>(e: &'e Expr, name: &str) -> Option<&'e [Expr]> {
    match &e.kind {
        ExprKind::Call { target: None, function, args } if function == name => Some(args),
        _ => None,
    }
}
