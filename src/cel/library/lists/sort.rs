//! `sort` and what the macro `sortBy` calls.

use std::cmp::Ordering;

use bumpalo::collections::Vec as ArenaVec;

use super::affordable;
use crate::error::ErrorKind;
use crate::functions::Scope;
use crate::library::support::{Answer, fail, list};
use crate::value::Value;

/// Up to so many elements Go's `sort.Slice` sorts by insertion, which leaves equal elements in their order. We keep
/// that order for more elements too, where Go promises none.
const INSERTION: usize = 12;

/// `list.sort()`
pub(super) fn sort<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::List(items)] = *args else { return Err(ErrorKind::Function("no such overload: sort")) };
    sorted(scope, items, items)
}

/// `list.@sortByAssociatedKeys(keys)`
pub(super) fn sort_by_keys<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::List(items), Value::List(keys)] = *args else { return Err(ErrorKind::NoSuchOverload) };
    sorted(scope, items, keys)
}

fn sorted<'a>(scope: &Scope<'a>, items: &'a [Value<'a>], keys: &[Value<'a>]) -> Answer<'a> {
    if items.len() != keys.len() {
        return Err(fail(
            scope,
            format_args!(
                "@sortByAssociatedKeys() expected a list of the same size as the associated keys list, but got {} and \
                 {} elements respectively",
                items.len(),
                keys.len()
            ),
        ));
    }
    let Some(first) = keys.first() else { return Ok(Value::List(items)) };
    if !is_ordered(*first) {
        return Err(ErrorKind::Function("list elements must be comparable"));
    }
    if keys.iter().any(|key| key.type_name() != first.type_name()) {
        return Err(ErrorKind::Function("list elements must have the same type"));
    }
    affordable(keys)?;
    let mut order = ArenaVec::from_iter_in(0..keys.len(), scope.arena);
    // NaN is less than nothing and nothing is less than it, so this is no order that a library sort would accept.
    let less = |a: usize, b: usize| keys[a].compare(keys[b]).is_ok_and(|o| o == Ordering::Less);
    if order.len() <= INSERTION {
        for end in 1..order.len() {
            let mut at = end;
            while at > 0 && less(order[at], order[at - 1]) {
                order.swap(at, at - 1);
                at -= 1;
            }
        }
    } else {
        merge_sort(scope, &mut order, less);
    }
    list(scope, order.iter().map(|&i| items[i]))
}

/// Whether cel-go orders values of this type.
pub(in crate::library) fn is_ordered(value: Value<'_>) -> bool {
    matches!(
        value,
        Value::Bool(_)
            | Value::Int(_)
            | Value::Uint(_)
            | Value::Double(_)
            | Value::String(_)
            | Value::Bytes(_)
            | Value::Duration(_)
            | Value::Timestamp(_)
    )
}

/// Stable, and terminates whatever `less` answers.
fn merge_sort<'a>(scope: &Scope<'a>, order: &mut ArenaVec<'a, usize>, less: impl Fn(usize, usize) -> bool) {
    let len = order.len();
    let mut from = order.clone();
    let mut width = 1;
    let mut to = ArenaVec::with_capacity_in(len, scope.arena);
    while width < len {
        to.clear();
        for start in (0..len).step_by(2 * width) {
            let (middle, end) = ((start + width).min(len), (start + 2 * width).min(len));
            let (mut a, mut b) = (start, middle);
            while a < middle || b < end {
                if b >= end || (a < middle && !less(from[b], from[a])) {
                    to.push(from[a]);
                    a += 1;
                } else {
                    to.push(from[b]);
                    b += 1;
                }
            }
        }
        std::mem::swap(&mut from, &mut to);
        width *= 2;
    }
    order.copy_from_slice(&from);
}

#[cfg(test)]
mod tests {
    use bumpalo::Bump;

    use super::*;
    use crate::symbols::Symbols;

    fn sort_ints(numbers: &[i64], keys: &[f64]) -> Vec<i64> {
        let (arena, symbols) = (Bump::new(), Symbols::new());
        let scope = Scope { arena: &arena, symbols: &symbols, authorizer: None, host: None };
        let items: Vec<_> = numbers.iter().map(|n| Value::Int(*n)).collect();
        let keys: Vec<_> = keys.iter().map(|n| Value::Double(*n)).collect();
        let items = arena.alloc_slice_copy(&items);
        let keys = arena.alloc_slice_copy(&keys);
        let sorted = sort_by_keys(&scope, &[Value::List(items), Value::List(keys)]).unwrap();
        sorted.as_list().unwrap().iter().filter_map(|v| v.as_int()).collect()
    }

    #[test]
    fn equal_keys_keep_their_order() {
        let numbers: Vec<i64> = (0..50).collect();
        let keys: Vec<f64> = numbers.iter().map(|n| (n % 3) as f64).collect();
        let mut expected = numbers.clone();
        expected.sort_by_key(|n| n % 3);
        assert_eq!(sort_ints(&numbers, &keys), expected);
    }

    #[test]
    fn keys_that_are_no_numbers_end_in_some_order() {
        let numbers: Vec<i64> = (0..100).collect();
        let keys: Vec<f64> = numbers.iter().map(|n| if n % 7 == 0 { f64::NAN } else { -(*n as f64) }).collect();
        let mut result = sort_ints(&numbers, &keys);
        result.sort_unstable();
        assert_eq!(result, numbers);
    }
}
