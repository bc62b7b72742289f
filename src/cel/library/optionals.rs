//! `optional_type`: values that may be absent (cel-go `OptionalTypes`, version 2).
//!
//! `or` and `orValue` look at their second operand only when they need it: the planner makes them nodes of their own.

use bumpalo::collections::Vec as ArenaVec;

use crate::error::ErrorKind;
use crate::functions::{Call, Function, NativeFn, Scope, constant_cost};
use crate::library::declarations::signature;
use crate::render::Shown;
use crate::value::Value;

type Answer<'a> = Result<Value<'a>, ErrorKind<'a>>;

/// Constructors, accessors, and the index operators that take or make optionals.
pub fn functions() -> Vec<Function> {
    let native = |name, overloads, code: NativeFn| function(name, overloads, Call::Native(code));
    vec![
        native("optional.of", &[("optional_of", "(V) -> optional_type(V)")], of),
        native("optional.ofNonZeroValue", &[("optional_ofNonZeroValue", "(V) -> optional_type(V)")], of_non_zero),
        native("optional.none", &[("optional_none", "() -> optional_type(V)")], none),
        native("value", &[("optional_value", "optional_type(V).() -> V")], value),
        native("hasValue", &[("optional_hasValue", "optional_type(V).() -> bool")], has_value),
        native("first", &[("list_first", "list(V).() -> optional_type(V)")], first),
        native("last", &[("list_last", "list(V).() -> optional_type(V)")], last),
        native("optional.unwrap", &[("optional_unwrap", "(list(optional_type(V))) -> list(V)")], unwrap),
        native("unwrapOpt", &[("optional_unwrapOpt", "list(optional_type(V)).() -> list(V)")], unwrap),
        function(
            "or",
            &[("optional_or_optional", "optional_type(V).(optional_type(V)) -> optional_type(V)")],
            Call::Operator,
        ),
        function("orValue", &[("optional_orValue_value", "optional_type(V).(V) -> V")], Call::Operator),
        function("_?._", &[("select_optional_field", "(dyn, string) -> optional_type(V)")], Call::Operator),
        function(
            "_[?_]",
            &[
                ("list_optindex_optional_int", "(list(V), int) -> optional_type(V)"),
                ("optional_list_optindex_optional_int", "(optional_type(list(V)), int) -> optional_type(V)"),
                ("map_optindex_optional_value", "(map(K, V), K) -> optional_type(V)"),
                ("optional_map_optindex_optional_value", "(optional_type(map(K, V)), K) -> optional_type(V)"),
            ],
            Call::Operator,
        ),
        function(
            "_[_]",
            &[
                ("optional_list_index_int", "(optional_type(list(V)), int) -> optional_type(V)"),
                ("optional_map_index_value", "(optional_type(map(K, V)), K) -> optional_type(V)"),
            ],
            Call::Operator,
        ),
    ]
}

fn function(name: &'static str, overloads: &[(&'static str, &str)], call: Call) -> Function {
    let overloads = overloads.iter().filter_map(|(id, text)| signature(id, text)).collect();
    Function { name, overloads, call, cost: constant_cost }
}

fn some<'a>(scope: &Scope<'a>, v: Value<'a>) -> Value<'a> {
    Value::Optional(Some(scope.arena.alloc(v)))
}

fn of<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    match args {
        [v] => Ok(some(scope, *v)),
        _ => Err(ErrorKind::NoSuchOverload),
    }
}

fn of_non_zero<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    match args {
        [v] if v.is_zero() => Ok(Value::Optional(None)),
        _ => of(scope, args),
    }
}

fn none<'a>(_: &Scope<'a>, _: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Optional(None))
}

fn value<'a>(_: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    match args {
        [Value::Optional(Some(v))] => Ok(**v),
        [Value::Optional(None)] => Err(ErrorKind::Function("optional.none() dereference")),
        _ => Err(ErrorKind::NoSuchOverload),
    }
}

fn has_value<'a>(_: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    match args {
        [Value::Optional(v)] => Ok(Value::Bool(v.is_some())),
        _ => Err(ErrorKind::NoSuchOverload),
    }
}

fn first<'a>(_: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    match args {
        [Value::List(items)] => Ok(Value::Optional(items.first())),
        _ => Err(ErrorKind::NoSuchOverload),
    }
}

fn last<'a>(_: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    match args {
        [Value::List(items)] => Ok(Value::Optional(items.last())),
        _ => Err(ErrorKind::NoSuchOverload),
    }
}

fn unwrap<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::List(items)] = args else { return Err(ErrorKind::NoSuchOverload) };
    // Upstream tells the type of a list by its first element.
    if items.first().is_some_and(|v| !matches!(v, Value::Optional(_))) {
        return Err(ErrorKind::NoSuchOverload);
    }
    let mut out = ArenaVec::with_capacity_in(items.len(), scope.arena);
    for item in *items {
        match item {
            Value::Optional(Some(v)) => out.push(**v),
            Value::Optional(None) => {}
            other => {
                let text = bumpalo::format!(in scope.arena, "value {} is not optional", Shown(*other));
                return Err(ErrorKind::Function(text.into_bump_str()));
            }
        }
    }
    Ok(Value::List(out.into_bump_slice()))
}
