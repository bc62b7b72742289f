//! Lists as sets (cel-go `ext.Sets`).

use super::support::{Answer, native};
use crate::error::ErrorKind;
use crate::functions::{Function, Scope};
use crate::limits::PER_CALL_COST;
use crate::value::Value;

/// The functions of this library.
pub fn functions() -> Vec<Function> {
    vec![
        native(
            "sets.contains",
            &[("list_sets_contains_list", "(list(T), list(T)) -> bool")],
            |_, args| {
                let (a, b) = lists(args)?;
                Ok(Value::Bool(contains(a, b)))
            },
            |_, args, _| 1 + product(args),
        ),
        native(
            "sets.equivalent",
            &[("list_sets_equivalent_list", "(list(T), list(T)) -> bool")],
            |_, args| {
                let (a, b) = lists(args)?;
                Ok(Value::Bool(contains(a, b) && contains(b, a)))
            },
            |_, args, _| 1 + product(args).saturating_mul(2),
        ),
        native(
            "sets.intersects",
            &[("list_sets_intersects_list", "(list(T), list(T)) -> bool")],
            intersects,
            |_, args, _| 1 + product(args),
        ),
    ]
}

fn product(args: &[Value<'_>]) -> u64 {
    let [a, b, ..] = args else { return 0 };
    a.cost_size().saturating_mul(b.cost_size())
}

fn lists<'a>(args: &[Value<'a>]) -> Result<(&'a [Value<'a>], &'a [Value<'a>]), ErrorKind<'a>> {
    let [Value::List(a), Value::List(b)] = *args else { return Err(ErrorKind::NoSuchOverload) };
    // The comparisons are as many as the cost that is charged for them afterwards.
    if (a.len() as u64).saturating_mul(b.len() as u64) > PER_CALL_COST {
        return Err(ErrorKind::CostLimit);
    }
    Ok((a, b))
}

fn has(list: &[Value<'_>], item: Value<'_>) -> bool {
    list.iter().any(|other| item.equals(*other))
}

fn contains(list: &[Value<'_>], part: &[Value<'_>]) -> bool {
    part.iter().all(|item| has(list, *item))
}

fn intersects<'a>(_: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let (a, b) = lists(args)?;
    Ok(Value::Bool(a.iter().any(|item| has(b, *item))))
}
