//! Types as the checker's messages show them (cel-go `checker/format.go`).

use std::fmt;

use crate::types::Type;

/// A type in a message.
pub(super) struct Shown<'t>(pub(super) &'t Type);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Type::Duration => f.write_str("duration"),
            Type::Timestamp => f.write_str("timestamp"),
            Type::Null => f.write_str("null"),
            Type::List(t) => write!(f, "list({})", Shown(t)),
            Type::Map(k, v) => write!(f, "map({}, {})", Shown(k), Shown(v)),
            Type::Optional(t) => write!(f, "optional_type({})", Shown(t)),
            Type::Type(t) => write!(f, "type({})", Shown(t)),
            other => other.fmt(f),
        }
    }
}

/// Argument types of a call: `(int, string)`, with a receiver `string.(int)`.
pub(super) struct Signature<'t> {
    pub(super) member: bool,
    pub(super) args: &'t [Type],
}

impl fmt::Display for Signature<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut args = self.args;
        if let Some((receiver, rest)) = args.split_first().filter(|_| self.member) {
            write!(f, "{}.", Shown(receiver))?;
            args = rest;
        }
        f.write_str("(")?;
        for (i, arg) in args.iter().enumerate() {
            write!(f, "{}{}", if i > 0 { ", " } else { "" }, Shown(arg))?;
        }
        f.write_str(")")
    }
}

/// Name of a type without its parameters, as run-time messages show it.
pub(super) fn bare_name(ty: &Type) -> String {
    match ty {
        Type::List(_) => "list".to_owned(),
        Type::Map(..) => "map".to_owned(),
        Type::Optional(_) => "optional_type".to_owned(),
        Type::Type(_) => "type".to_owned(),
        other => other.to_string(),
    }
}
