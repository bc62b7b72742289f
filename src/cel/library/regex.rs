//! `find` and `findAll` of the Kubernetes regex library.

use bumpalo::collections::Vec as ArenaVec;
use regex::Regex;

use super::re2;
use super::support::{Answer, declare, fail, pattern_cost, reserve};
use crate::error::ErrorKind;
use crate::functions::{Call, Function, Scope};
use crate::value::Value;

/// The functions of this library.
pub fn functions() -> Vec<Function> {
    vec![
        declare(
            "find",
            &[("string_find_string", "string.(string) -> string")],
            Call::Pattern(|scope, args| compiled(scope, args, find), find),
            pattern_cost,
        ),
        declare(
            "findAll",
            &[
                ("string_find_all_string", "string.(string) -> list(string)"),
                ("string_find_all_string_int", "string.(string, int) -> list(string)"),
            ],
            Call::Pattern(|scope, args| compiled(scope, args, find_all), find_all),
            pattern_cost,
        ),
    ]
}

/// What upstream says where it compiled the pattern beforehand: it names no function.
const NO_OVERLOAD: ErrorKind<'static> = ErrorKind::Function("no such overload");

/// For a pattern that is known only now.
fn compiled<'a>(
    scope: &Scope<'a>,
    args: &[Value<'a>],
    code: for<'b> fn(&Regex, &Scope<'b>, &[Value<'b>]) -> Answer<'b>,
) -> Answer<'a> {
    let [Value::String(_), Value::String(pattern), ..] = *args else { return Err(ErrorKind::NoSuchOverload) };
    let regex = re2::compile(pattern).map_err(|why| fail(scope, format_args!("Illegal regex: {why}")))?;
    code(&regex, scope, args)
}

fn find<'a>(regex: &Regex, _: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::String(text), _] = *args else { return Err(NO_OVERLOAD) };
    Ok(Value::String(regex.find(text).map_or("", |m| m.as_str())))
}

fn find_all<'a>(regex: &Regex, scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let (text, limit) = match *args {
        [Value::String(text), _] => (text, -1),
        [Value::String(text), _, Value::Int(limit)] => (text, limit),
        _ => return Err(NO_OVERLOAD),
    };
    let mut found = ArenaVec::new_in(scope.arena);
    for m in regex.find_iter(text).take(usize::try_from(limit).unwrap_or(usize::MAX)) {
        if found.len() == found.capacity() {
            reserve((found.len() + 1).saturating_mul(2 * size_of::<Value<'_>>()))?;
        }
        found.push(Value::String(m.as_str()));
    }
    Ok(Value::List(found.into_bump_slice()))
}
