//! CEL as Kubernetes speaks it.
//!
//! An expression passes through types that cannot be confused: text → [`ast::Ast`] (parsed) → [`checked::Checked`]
//! (typed, names resolved) → [`Program`] (planned: slots, constants and regular expressions resolved) → a
//! [`value::Value`] (evaluated over a borrowed document, in an arena, within a cost and memory budget).

pub mod ast;
pub mod authorizer;
pub mod check;
pub mod checked;
pub mod document;
pub mod env;
pub mod error;
pub mod estimate;
mod evaluate;
pub mod evaluation;
pub mod functions;
pub mod issues;
pub mod library;
pub mod limits;
pub mod opaque;
pub mod parse;
mod plan;
mod render;
mod resolve;
pub mod source;
pub mod symbols;
mod time;
pub mod types;
pub mod value;

mod program;

pub use check::check;
pub use env::{Env, Language};
pub use error::{ErrorKind, EvalError};
pub use evaluation::{Evaluation, Outcome};
pub use issues::{Issue, Issues};
pub use parse::{Syntax, parse};
pub use program::Program;
pub use symbols::{Symbol, Symbols};
pub use types::Type;
pub use value::{Object, Value};
