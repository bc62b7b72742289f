//! Lists (cel-go `ext.Lists` version 3; `first` and `last` belong to the optionals).

mod sort;

use bumpalo::collections::Vec as ArenaVec;

pub(super) use sort::is_ordered;

use super::support::{Answer, fail, list, native, reserve};
use crate::error::ErrorKind;
use crate::functions::{Function, Scope};
use crate::limits::PER_CALL_COST;
use crate::value::Value;

/// Cost of a call and of the list that it makes (cel-go `callCost`, `ListCreateBaseCost`).
const LIST_RESULT: u64 = 1 + 10;

/// The functions of this library.
pub fn functions() -> Vec<Function> {
    vec![
        native("slice", &[("list_slice", "list(T).(int, int) -> list(T)")], slice, |overload, _, result| {
            known(overload, LIST_RESULT + result.cost_size())
        }),
        native(
            "flatten",
            &[("list_flatten", "list(list(T)).() -> list(T)"), ("list_flatten_int", "list(dyn).(int) -> list(dyn)")],
            flatten,
            flatten_cost,
        ),
        native(
            "sort",
            &[
                ("list_int_sort", "list(int).() -> list(int)"),
                ("list_uint_sort", "list(uint).() -> list(uint)"),
                ("list_double_sort", "list(double).() -> list(double)"),
                ("list_bool_sort", "list(bool).() -> list(bool)"),
                ("list_google.protobuf.Duration_sort", "list(duration).() -> list(duration)"),
                ("list_google.protobuf.Timestamp_sort", "list(timestamp).() -> list(timestamp)"),
                ("list_string_sort", "list(string).() -> list(string)"),
                ("list_bytes_sort", "list(bytes).() -> list(bytes)"),
            ],
            sort::sort,
            |overload, args, _| known(overload, args.first().map_or(1, |list| self_compare_cost(*list))),
        ),
        native(
            "@sortByAssociatedKeys",
            &[
                ("list_int_sortByAssociatedKeys", "list(T).(list(int)) -> list(T)"),
                ("list_uint_sortByAssociatedKeys", "list(T).(list(uint)) -> list(T)"),
                ("list_double_sortByAssociatedKeys", "list(T).(list(double)) -> list(T)"),
                ("list_bool_sortByAssociatedKeys", "list(T).(list(bool)) -> list(T)"),
                ("list_google.protobuf.Duration_sortByAssociatedKeys", "list(T).(list(duration)) -> list(T)"),
                ("list_google.protobuf.Timestamp_sortByAssociatedKeys", "list(T).(list(timestamp)) -> list(T)"),
                ("list_string_sortByAssociatedKeys", "list(T).(list(string)) -> list(T)"),
                ("list_bytes_sortByAssociatedKeys", "list(T).(list(bytes)) -> list(T)"),
            ],
            sort::sort_by_keys,
            |overload, args, _| known(overload, args.get(1).map_or(1, |keys| self_compare_cost(*keys))),
        ),
        native("lists.range", &[("lists_range", "(int) -> list(int)")], range, |overload, _, result| {
            known(overload, LIST_RESULT + result.cost_size())
        }),
        native("reverse", &[("list_reverse", "list(T).() -> list(T)")], reverse, |overload, _, result| {
            known(overload, LIST_RESULT + result.cost_size())
        }),
        native("distinct", &[("list_distinct", "list(T).() -> list(T)")], distinct, |overload, args, _| {
            known(overload, args.first().map_or(1, |list| self_compare_cost(*list)))
        }),
    ]
}

/// Upstream charges by overload and nothing but the call where it does not know which.
fn known(overload: &str, cost: u64) -> u64 {
    if overload.is_empty() { 1 } else { cost }
}

/// Comparing each element with each.
fn self_compare_cost(list: Value<'_>) -> u64 {
    let size = list.cost_size();
    let factor = match list.as_list().and_then(<[_]>::first) {
        Some(Value::String(_) | Value::Bytes(_)) => 2.1,
        _ => 2.0,
    };
    (size.saturating_mul(size) as f64 * factor) as u64 + LIST_RESULT
}

/// Refuses what would be charged beyond the limit afterwards.
fn affordable<'a>(items: &[Value<'a>]) -> Result<(), ErrorKind<'a>> {
    if self_compare_cost(Value::List(items)) > PER_CALL_COST { Err(ErrorKind::CostLimit) } else { Ok(()) }
}

fn slice<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::List(items), Value::Int(start), Value::Int(end)] = *args else {
        return Err(ErrorKind::NoSuchOverload);
    };
    let fault = |why: std::fmt::Arguments<'_>| Err(fail(scope, format_args!("cannot slice({start}, {end}), {why}")));
    let (Ok(from), Ok(to)) = (usize::try_from(start), usize::try_from(end)) else {
        return fault(format_args!("negative indexes not supported"));
    };
    if from > to {
        return fault(format_args!("start index must be less than or equal to end index"));
    }
    match items.get(from..to) {
        Some(part) => Ok(Value::List(part)),
        None => fault(format_args!("list is length {}", items.len())),
    }
}

fn flatten<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let (items, depth) = match *args {
        [Value::List(items)] => (items, 1),
        [Value::List(items), Value::Int(depth)] => (items, depth),
        [other] => return Err(fail(scope, format_args!("no such overload: {}.flatten()", other.type_name()))),
        [list, depth] => {
            let (list, depth) = (list.type_name(), depth.type_name());
            return Err(fail(scope, format_args!("no such overload: {list}.flatten({depth})")));
        }
        _ => return Err(ErrorKind::NoSuchOverload),
    };
    if depth < 0 {
        return Err(ErrorKind::Function("level must be non-negative"));
    }
    let mut out = ArenaVec::new_in(scope.arena);
    flatten_into(items, depth, &mut out)?;
    Ok(Value::List(out.into_bump_slice()))
}

/// Recursion ends with the nesting of the value, which is bounded where values are made.
fn flatten_into<'a>(items: &[Value<'a>], depth: i64, out: &mut ArenaVec<'a, Value<'a>>) -> Result<(), ErrorKind<'a>> {
    for item in items {
        match item {
            Value::List(inner) if depth > 0 => flatten_into(inner, depth - 1, out)?,
            _ => {
                if out.len() == out.capacity() {
                    reserve((out.len() + 1).saturating_mul(2 * size_of::<Value<'_>>()))?;
                }
                out.push(*item);
            }
        }
    }
    Ok(())
}

fn flatten_cost(overload: &str, args: &[Value<'_>], _: &Value<'_>) -> u64 {
    let depth = match args {
        [_, Value::Int(depth)] => *depth as f64,
        _ => 1.0,
    };
    let size = args.first().map_or(1, |list| list.cost_size());
    // A negative product wraps around upstream.
    let product = size as f64 * depth;
    let product = if product < 0.0 { product as i64 as u64 } else { product as u64 };
    known(overload, product.wrapping_add(LIST_RESULT))
}

fn range<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::Int(n)] = *args else { return Err(ErrorKind::NoSuchOverload) };
    if u64::try_from(n).is_ok_and(|n| n > PER_CALL_COST) {
        return Err(ErrorKind::CostLimit);
    }
    list(scope, (0..n.max(0) as usize).map(|i| Value::Int(i as i64)))
}

fn reverse<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::List(items)] = *args else { return Err(ErrorKind::NoSuchOverload) };
    list(scope, items.iter().rev().copied())
}

fn distinct<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::List(items)] = *args else { return Err(ErrorKind::NoSuchOverload) };
    affordable(items)?;
    let mut out: ArenaVec<'a, Value<'a>> = ArenaVec::with_capacity_in(items.len(), scope.arena);
    for item in items {
        if !out.iter().any(|seen| item.equals(*seen)) {
            out.push(*item);
        }
    }
    Ok(Value::List(out.into_bump_slice()))
}

#[cfg(test)]
mod tests;
