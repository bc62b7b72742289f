//! Costs of the language's own operators and functions.

use super::{
    Bounds, CallEstimate, EntrySizes, Estimator, Operand, REGEX_LENGTH, STRING_TRAVERSAL, extended, kubernetes, lists,
};
use crate::ast::Expr;

impl<'c> Estimator<'c> {
    pub(super) fn call(
        &mut self,
        expr: &'c Expr,
        target: Option<&'c Expr>,
        function: &str,
        args: &'c [Expr],
    ) -> Bounds {
        // `dyn` only switches off the checker.
        if let ("dyn", [arg, ..]) = (function, args) {
            let cost = self.cost(arg);
            let size = self.size(arg);
            self.set_size(expr.id, size);
            self.set_entries(expr.id, self.entry_sizes(arg));
            return cost.plus(Bounds::fixed(1));
        }
        let mut costs = Vec::with_capacity(args.len());
        let mut operands = Vec::with_capacity(args.len());
        for arg in args {
            costs.push(self.cost(arg));
            operands.push(self.operand(arg));
        }
        let overloads = self.overloads(expr.id);
        if overloads.is_empty() {
            return Bounds::ZERO;
        }
        let mut sum = Bounds::ZERO;
        let mut receiver = None;
        if let Some(target) = target {
            sum = self.cost(target);
            receiver = Some(self.operand(target));
        }
        let mut cost = Bounds::new(u64::MAX, 0);
        let mut size: Option<Bounds> = None;
        for overload in overloads {
            let call = Call { expr, function, overload, target: receiver.as_ref(), args: &operands, costs: &costs };
            let estimate = self.overload(&call);
            cost = cost.union(estimate.cost);
            if let Some(result) = estimate.size {
                size = Some(size.map_or(result, |size| size.union(result)));
            }
            let step = match *overload {
                "index_list" => Some("@items"),
                "index_map" => Some("@values"),
                _ => None,
            };
            if let (Some(step), [container, ..]) = (step, args) {
                size = self.entry_sizes(container).map(|sizes| sizes.value);
                let path = extended(&self.path(container), step);
                self.set_path(expr.id, path);
            }
            if size.is_none() {
                size = self.size(expr);
            }
        }
        self.set_size(expr.id, size);
        sum.plus(cost)
    }

    /// Cost of one overload with its arguments, and size of its result.
    fn overload(&mut self, call: &Call<'_, 'c>) -> CallEstimate {
        let arguments = call.costs.iter().fold(Bounds::ZERO, |sum, cost| sum.plus(*cost));
        let library = lists::estimate(self.sizes, call).or_else(|| kubernetes::estimate(self.sizes, call));
        if let Some(estimate) = library {
            return CallEstimate { cost: estimate.cost.plus(arguments), size: estimate.size };
        }
        if let Some(estimate) = self.control(call) {
            return estimate;
        }
        let estimate = self.standard(call).unwrap_or(CallEstimate { cost: Bounds::fixed(1), size: None });
        CallEstimate { cost: estimate.cost.plus(arguments), size: estimate.size }
    }

    /// Operators that do not evaluate all of their arguments.
    fn control(&mut self, call: &Call<'_, 'c>) -> Option<CallEstimate> {
        match (call.overload, call.costs, call.args) {
            ("logical_or" | "logical_and", [left, right], _) => {
                Some(CallEstimate { cost: Bounds::new(left.min, left.plus(*right).max), size: None })
            }
            ("conditional", [test, yes, no], [_, yes_value, no_value]) => {
                let size = yes_value.size_or_unknown().union(no_value.size_or_unknown());
                self.set_entries(call.expr.id, self.joined_entries(yes_value, no_value));
                Some(CallEstimate { cost: test.plus(yes.union(*no)), size: Some(size) })
            }
            _ => None,
        }
    }

    fn joined_entries(&self, a: &Operand<'_>, b: &Operand<'_>) -> Option<EntrySizes> {
        let (a, b) = (self.entry_sizes(a.expr)?, self.entry_sizes(b.expr)?);
        Some(EntrySizes { list: a.list, key: a.key.union(b.key), value: a.value.union(b.value) })
    }

    /// Functions whose work grows with their arguments.
    fn standard(&mut self, call: &Call<'_, 'c>) -> Option<CallEstimate> {
        let only = |cost: Bounds| Some(CallEstimate { cost, size: None });
        match (call.overload, call.target, call.args) {
            ("string_format", Some(target), _) => only(target.size_or_unknown().scaled(STRING_TRAVERSAL)),
            ("string_to_bytes", _, [text]) => {
                let size = text.size_or_unknown();
                let result = Bounds::new(size.min, size.max.wrapping_mul(4));
                Some(CallEstimate { cost: size.scaled(STRING_TRAVERSAL), size: Some(result) })
            }
            ("bytes_to_string", _, [bytes]) => {
                let size = bytes.size_or_unknown();
                let result = Bounds::new(size.min / 4, size.max);
                Some(CallEstimate { cost: size.scaled(STRING_TRAVERSAL), size: Some(result) })
            }
            ("strings_quote", _, [text]) => {
                let size = text.size_or_unknown();
                let result = Bounds::new(size.min.wrapping_add(2), size.max.wrapping_mul(2).wrapping_add(2));
                Some(CallEstimate { cost: size.scaled(STRING_TRAVERSAL), size: Some(result) })
            }
            ("starts_with_string" | "ends_with_string", _, [part]) => {
                only(part.size_or_unknown().scaled(STRING_TRAVERSAL))
            }
            ("in_list", _, [_, list]) => only(list.size_or_unknown().scaled(1.0)),
            ("matches_string", Some(text), [pattern]) => only(
                text.size_or_unknown()
                    .plus(Bounds::fixed(1))
                    .scaled(STRING_TRAVERSAL)
                    .times(pattern.size_or_unknown().scaled(REGEX_LENGTH)),
            ),
            ("contains_string", Some(text), [part]) => only(
                text.size_or_unknown().scaled(STRING_TRAVERSAL).times(part.size_or_unknown().scaled(STRING_TRAVERSAL)),
            ),
            ("add_string" | "add_bytes" | "add_list", _, [left, right]) => {
                let size = left.size_or_unknown().plus(right.size_or_unknown());
                self.set_entries(call.expr.id, self.joined_entries(left, right));
                let list = call.overload == "add_list";
                let cost = if list { Bounds::fixed(1) } else { size.scaled(STRING_TRAVERSAL) };
                Some(CallEstimate { cost, size: Some(size) })
            }
            (overload, _, [left, right]) if compares_sizes(overload) => {
                let max = left.size_or_unknown().max.min(right.size_or_unknown().max);
                only(Bounds::new(u64::from(max > 0), max).scaled(STRING_TRAVERSAL))
            }
            _ => None,
        }
    }
}

/// One overload of a call.
pub(super) struct Call<'k, 'c> {
    pub(super) expr: &'c Expr,
    pub(super) function: &'k str,
    pub(super) overload: &'k str,
    pub(super) target: Option<&'k Operand<'c>>,
    pub(super) args: &'k [Operand<'c>],
    /// Costs of the arguments, without the receiver.
    pub(super) costs: &'k [Bounds],
}

impl Operand<'_> {
    pub(super) fn size_or_unknown(&self) -> Bounds {
        self.size.unwrap_or(Bounds::UNKNOWN)
    }
}

fn compares_sizes(overload: &str) -> bool {
    matches!(
        overload,
        "equals"
            | "not_equals"
            | "less_string"
            | "greater_string"
            | "less_equals_string"
            | "greater_equals_string"
            | "less_bytes"
            | "greater_bytes"
            | "less_equals_bytes"
            | "greater_equals_bytes"
    )
}
