//! Calls of library functions.

use std::fmt::Arguments;

use super::{Answer, Run};
use crate::error::ErrorKind;
use crate::functions::{Call as Code, Function};
use crate::plan::node::Call;
use crate::value::Value;

/// Arguments of most calls, on the stack.
const FEW: usize = 4;

impl<'a> Run<'a, '_> {
    pub(super) fn call(&mut self, c: &'a Call) -> Answer<'a> {
        let mut few = [Value::Null; FEW];
        let args: &mut [Value<'a>] = if c.args.len() <= FEW {
            &mut few[..c.args.len()]
        } else {
            self.scope().arena.alloc_slice_fill_copy(c.args.len(), Value::Null)
        };
        // Upstream evaluates both of two arguments whatever becomes of the first, but stops at the first error among
        // more, where the pattern is compiled beforehand, and where the overload is chosen at run time.
        let stops = c.args.len() > 2 || c.regex.is_some() || (c.overload.is_empty() && c.name != "matches");
        let mut failure = None;
        for (i, node) in c.args.iter().enumerate() {
            match self.eval(node) {
                Ok(v) => args[i] = v,
                Err(e) if e.kind.is_fatal() => return Err(e),
                Err(e) if stops && i + 1 < c.args.len() => return Err(e),
                Err(e) => failure = failure.or(Some(e)),
            }
        }
        if let Some(e) = failure {
            self.charge(c, args, Value::Null)?;
            return Err(e);
        }
        let result = self.invoke(c, args);
        self.charge(c, args, result.unwrap_or(Value::Null))?;
        self.reserve(0)?;
        result.map_err(|kind| self.fail(kind, c.at))
    }

    fn charge(&mut self, c: &'a Call, args: &[Value<'a>], result: Value<'a>) -> Result<(), super::Fail<'a>> {
        // Functions of one name charge alike but for what the overload says; the first speaks for all.
        let cost = c.functions.first().map_or(1, |f| (f.cost)(c.overload, args, &result));
        self.tick(cost)
    }

    fn invoke(&self, c: &'a Call, args: &[Value<'a>]) -> Result<Value<'a>, ErrorKind<'a>> {
        for function in &c.functions {
            match self.invoke_one(c, function, args) {
                Err(ErrorKind::NoSuchOverload) => {}
                other => return other,
            }
        }
        Err(self.no_overload(c.name, args))
    }

    fn invoke_one(&self, c: &'a Call, function: &Function, args: &[Value<'a>]) -> Result<Value<'a>, ErrorKind<'a>> {
        let scope = self.scope();
        match (function.call, &c.regex) {
            (Code::Native(code), _) | (Code::Pattern(code, _), None) => code(scope, args),
            (Code::Pattern(_, code), Some(regex)) => code(regex, scope, args),
            (Code::Host, _) => match scope.host {
                Some(host) => host.call(c.name, args, scope),
                None => Err(self.text(format_args!("{} is not available here", c.name))),
            },
            (Code::Operator, _) => Err(ErrorKind::NoSuchOverload),
        }
    }

    /// The error of a function that is defined for other types, with the types it met.
    fn no_overload(&self, name: &str, args: &[Value<'a>]) -> ErrorKind<'a> {
        // Functions that upstream dispatches by what the value can do say no more than their name.
        let receiver = matches!(args.first(), Some(Value::String(_) | Value::Timestamp(_) | Value::Duration(_)));
        if matches!(name, "size" | "matches") {
            if receiver {
                return ErrorKind::NoSuchOverload;
            }
            return self.text(format_args!("no such overload: {name}"));
        }
        let mut types = bumpalo::collections::String::new_in(self.scope().arena);
        for (i, arg) in args.iter().enumerate() {
            types.push_str(if i > 0 { ", " } else { "" });
            types.push_str(arg.type_name());
        }
        self.text(format_args!("no such overload: {name}({types})"))
    }

    /// An error with a text put together in the arena.
    pub(super) fn text(&self, text: Arguments<'_>) -> ErrorKind<'a> {
        ErrorKind::Function(bumpalo::format!(in self.scope().arena, "{}", text).into_bump_str())
    }
}
