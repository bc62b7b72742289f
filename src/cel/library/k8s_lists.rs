//! The Kubernetes lists library.

use std::cmp::Ordering;

use super::lists::is_ordered;
use super::support::{Answer, Signatures, native, tree_cost};
use crate::error::ErrorKind;
use crate::functions::{Function, Scope};
use crate::value::Value;

/// The functions of this library.
pub fn functions() -> Vec<Function> {
    vec![
        native("isSorted", IS_SORTED, is_sorted, tree_cost),
        // The sum of an empty list is the zero of its type, which only the overload tells.
        native("sum", &[("list_int_sum_int", "list(int).() -> int")], |_, args| sum(args, Value::Int(0)), tree_cost),
        native(
            "sum",
            &[("list_uint_sum_uint", "list(uint).() -> uint")],
            |_, args| sum(args, Value::Uint(0)),
            tree_cost,
        ),
        native(
            "sum",
            &[("list_double_sum_double", "list(double).() -> double")],
            |_, args| sum(args, Value::Double(0.0)),
            tree_cost,
        ),
        native(
            "sum",
            &[("list_duration_sum_duration", "list(duration).() -> duration")],
            |_, args| sum(args, Value::Duration(0)),
            tree_cost,
        ),
        native("max", MAX, |_, args| extreme(args, Ordering::Less, "max called on empty list"), tree_cost),
        native("min", MIN, |_, args| extreme(args, Ordering::Greater, "min called on empty list"), tree_cost),
        native("indexOf", &[("list_a_index_of_int", "list(A).(A) -> int")], index_of, tree_cost),
        native("lastIndexOf", &[("list_a_last_index_of_int", "list(A).(A) -> int")], last_index_of, tree_cost),
    ]
}

const IS_SORTED: Signatures = &[
    ("list_int_is_sorted_bool", "list(int).() -> bool"),
    ("list_uint_is_sorted_bool", "list(uint).() -> bool"),
    ("list_double_is_sorted_bool", "list(double).() -> bool"),
    ("list_bool_is_sorted_bool", "list(bool).() -> bool"),
    ("list_duration_is_sorted_bool", "list(duration).() -> bool"),
    ("list_timestamp_is_sorted_bool", "list(timestamp).() -> bool"),
    ("list_string_is_sorted_bool", "list(string).() -> bool"),
    ("list_bytes_is_sorted_bool", "list(bytes).() -> bool"),
];

const MAX: Signatures = &[
    ("list_int_max_int", "list(int).() -> int"),
    ("list_uint_max_uint", "list(uint).() -> uint"),
    ("list_double_max_double", "list(double).() -> double"),
    ("list_bool_max_bool", "list(bool).() -> bool"),
    ("list_duration_max_duration", "list(duration).() -> duration"),
    ("list_timestamp_max_timestamp", "list(timestamp).() -> timestamp"),
    ("list_string_max_string", "list(string).() -> string"),
    ("list_bytes_max_bytes", "list(bytes).() -> bytes"),
];

const MIN: Signatures = &[
    ("list_int_min_int", "list(int).() -> int"),
    ("list_uint_min_uint", "list(uint).() -> uint"),
    ("list_double_min_double", "list(double).() -> double"),
    ("list_bool_min_bool", "list(bool).() -> bool"),
    ("list_duration_min_duration", "list(duration).() -> duration"),
    ("list_timestamp_min_timestamp", "list(timestamp).() -> timestamp"),
    ("list_string_min_string", "list(string).() -> string"),
    ("list_bytes_min_bytes", "list(bytes).() -> bytes"),
];

fn items<'a>(args: &[Value<'a>]) -> Result<&'a [Value<'a>], ErrorKind<'a>> {
    match *args {
        [Value::List(items)] => Ok(items),
        _ => Err(ErrorKind::NoSuchOverload),
    }
}

fn is_sorted<'a>(_: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let items = items(args)?;
    for (i, item) in items.iter().enumerate() {
        if !is_ordered(*item) {
            // The function is right and its element is not: upstream does not name the function then.
            return Err(ErrorKind::Function("no such overload"));
        }
        // Elements that cannot be compared count as in order, as upstream has it.
        if i > 0 && items[i - 1].compare(*item).is_ok_and(|o| o == Ordering::Greater) {
            return Ok(Value::Bool(false));
        }
    }
    Ok(Value::Bool(true))
}

/// The element that no other one beats; the first of equal ones.
fn extreme<'a>(args: &[Value<'a>], beaten: Ordering, empty: &'static str) -> Answer<'a> {
    let mut best = None;
    for item in items(args)? {
        if !is_ordered(*item) {
            // The function is right and its element is not: upstream does not name the function then.
            return Err(ErrorKind::Function("no such overload"));
        }
        best = match best {
            Some(best) if !Value::compare(best, *item).is_ok_and(|o| o == beaten) => Some(best),
            _ => Some(*item),
        };
    }
    best.ok_or(ErrorKind::Function(empty))
}

fn sum<'a>(args: &[Value<'a>], zero: Value<'a>) -> Answer<'a> {
    let items = items(args)?;
    // Upstream looks at the first element to tell the type of a list.
    if items.first().is_some_and(|first| first.type_name() != zero.type_name()) {
        return Err(ErrorKind::NoSuchOverload);
    }
    items.iter().try_fold(zero, |sum, item| match (sum, *item) {
        (Value::Int(a), Value::Int(b)) => a.checked_add(b).map(Value::Int).ok_or(ErrorKind::Overflow("integer")),
        (Value::Uint(a), Value::Uint(b)) => {
            a.checked_add(b).map(Value::Uint).ok_or(ErrorKind::Overflow("unsigned integer"))
        }
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(a + b)),
        (Value::Duration(a), Value::Duration(b)) => {
            a.checked_add(b).map(Value::Duration).ok_or(ErrorKind::Overflow("duration"))
        }
        _ => Err(ErrorKind::Function("no such overload")),
    })
}

fn index_of<'a>(_: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::List(items), item] = *args else { return Err(ErrorKind::NoSuchOverload) };
    Ok(position(items.iter().position(|other| other.equals(item))))
}

fn last_index_of<'a>(_: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::List(items), item] = *args else { return Err(ErrorKind::NoSuchOverload) };
    Ok(position(items.iter().rposition(|other| other.equals(item))))
}

fn position<'a>(found: Option<usize>) -> Value<'a> {
    Value::Int(found.map_or(-1, |at| at as i64))
}
