//! What can go wrong while an expression is evaluated.

use std::fmt;

use crate::ast::ExprId;
use crate::value::Value;

/// A runtime error and the sub-expression that made it. Small and `Copy`: errors are absorbed by `&&`, `||` and
/// `?:` on the hot path.
#[derive(Debug, Clone, Copy)]
pub struct EvalError<'a> {
    /// What.
    pub kind: ErrorKind<'a>,
    /// Which node of the program; [`crate::Program::span`] gives its place in the source.
    pub at: ExprId,
}

/// Kinds of runtime errors, worded by `Display` as cel-go and the API server word them.
#[derive(Debug, Clone, Copy)]
pub enum ErrorKind<'a> {
    /// `no such key: x`
    NoSuchKey(Value<'a>),
    /// `no such overload`: an operator or function met values it is not defined for.
    NoSuchOverload,
    /// `index out of bounds: 3`
    IndexOutOfBounds(i64),
    /// `division by zero`
    DivisionByZero,
    /// `modulus by zero`
    ModulusByZero,
    /// `integer overflow`, `unsigned integer overflow`, `duration overflow`, `timestamp overflow`: the first word(s).
    Overflow(&'static str),
    /// Any other failure of a function, in the words of the upstream library.
    Function(&'a str),
    /// `variables.name` failed.
    Variable {
        /// Which.
        name: &'a str,
        /// Why.
        cause: &'a EvalError<'a>,
    },
    /// The cost limit of one evaluation was reached. Not absorbed by `&&` and `||`.
    CostLimit,
    /// The memory bound of one evaluation was reached. Not absorbed.
    MemoryLimit,
    /// The deadline of the request has passed. Not absorbed.
    Deadline,
}

impl ErrorKind<'_> {
    /// Whether the evaluation ends here whatever surrounds it.
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::CostLimit | Self::MemoryLimit | Self::Deadline => true,
            // A variable is an evaluation with a cost limit of its own; that it reached it is an error like any other.
            Self::Variable { cause, .. } => !matches!(cause.kind, ErrorKind::CostLimit) && cause.kind.is_fatal(),
            _ => false,
        }
    }
}

impl fmt::Display for ErrorKind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchKey(key) => write!(f, "no such key: {}", crate::render::Shown(*key)),
            Self::NoSuchOverload => f.write_str("no such overload"),
            Self::IndexOutOfBounds(i) => write!(f, "index out of bounds: {i}"),
            Self::DivisionByZero => f.write_str("division by zero"),
            Self::ModulusByZero => f.write_str("modulus by zero"),
            Self::Overflow(what) => write!(f, "{what} overflow"),
            Self::Function(text) => f.write_str(text),
            Self::Variable { name, cause } => {
                write!(f, "composited variable {name:?} fails to evaluate: {}", cause.kind)
            }
            Self::CostLimit => f.write_str("operation cancelled: actual cost limit exceeded"),
            Self::MemoryLimit => f.write_str("operation cancelled: evaluation memory limit exceeded"),
            Self::Deadline => f.write_str("operation interrupted: deadline of the request exceeded"),
        }
    }
}
