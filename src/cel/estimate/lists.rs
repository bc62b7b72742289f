//! Costs of cel-go's list and set libraries (`ext/lists.go` version 3, `ext/sets.go`).

use super::calls::Call;
use super::{Bounds, CallEstimate, LIST_BASE, Operand, STRING_TRAVERSAL, Sizes};
use crate::ast::{ExprKind, Literal};

/// Cost of a function of these libraries; none for others.
pub(super) fn estimate(sizes: &dyn Sizes, call: &Call<'_, '_>) -> Option<CallEstimate> {
    let size = |operand: &Operand<'_>| known(sizes, operand);
    match (call.overload, call.target, call.args) {
        ("list_sets_contains_list" | "list_sets_intersects_list", _, [a, b]) => {
            Some(CallEstimate { cost: size(a).times(size(b)).scaled(1.0).plus(Bounds::fixed(1)), size: None })
        }
        ("list_sets_equivalent_list", _, [a, b]) => {
            Some(CallEstimate { cost: size(a).times(size(b)).scaled(2.0).plus(Bounds::fixed(1)), size: None })
        }
        ("list_slice", Some(list), [start, end]) => {
            let end = int(end, size(list).max);
            Some(allocating(1.0, Bounds::fixed(end.wrapping_sub(int(start, 0)))))
        }
        ("list_flatten", Some(list), []) => Some(allocating(1.0, size(list))),
        ("list_flatten_int", Some(list), [depth]) => Some(allocating(int(depth, u64::MAX) as f64, size(list))),
        ("lists_range", None, [count]) => Some(allocating(1.0, Bounds::fixed(int(count, u64::MAX)))),
        ("list_reverse", Some(list), []) => Some(allocating(1.0, size(list))),
        ("list_distinct", Some(list), []) => Some(allocating(2.0, size(list).times(size(list)))),
        (overload, Some(list), args) => {
            let (element, keys) = sorted(overload)?;
            let list = match (keys, args) {
                (false, []) => list,
                (true, [keys]) => keys,
                _ => return None,
            };
            let text = matches!(element, "string" | "bytes");
            let factor = if text { 2.0 + STRING_TRAVERSAL } else { 2.0 };
            Some(allocating(factor, size(list).times(size(list))))
        }
        _ => None,
    }
}

/// The element type of a sort's overload, and whether it sorts by keys.
fn sorted(overload: &str) -> Option<(&str, bool)> {
    let rest = overload.strip_prefix("list_")?;
    if let Some(element) = rest.strip_suffix("_sortByAssociatedKeys") {
        return Some((element, true));
    }
    rest.strip_suffix("_sort").map(|element| (element, false))
}

fn allocating(factor: f64, size: Bounds) -> CallEstimate {
    CallEstimate { cost: size.scaled(factor).plus(Bounds::fixed(1 + LIST_BASE)), size: Some(size) }
}

/// Size of an operand as libraries see it.
pub(super) fn known(sizes: &dyn Sizes, operand: &Operand<'_>) -> Bounds {
    operand.size.or_else(|| sizes.size(&operand.path, &operand.ty)).unwrap_or(Bounds::UNKNOWN)
}

/// Value of an int literal, not below 0; `otherwise` for all else.
fn int(operand: &Operand<'_>, otherwise: u64) -> u64 {
    match operand.expr.kind {
        ExprKind::Literal(Literal::Int(value)) => value.max(0) as u64,
        _ => otherwise,
    }
}
