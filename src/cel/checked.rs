//! A parsed expression with types and resolved names. Only a checked expression can be planned.

use crate::ast::Ast;
use crate::types::Type;

/// Output of the checker.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The tree; qualified names (`a.b.c` naming one variable, `math.greatest(…)`) have been rewritten to
    /// [`crate::ast::ExprKind::Ident`] and global calls.
    pub(crate) ast: Ast,
    /// Type of each node by id.
    pub(crate) types: Vec<Type>,
    /// What the name or call of a node refers to, by id.
    pub(crate) references: Vec<Option<Reference>>,
}

/// What a name refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// A declared variable, by slot.
    Variable(usize),
    /// The root named `variables`, whose members are lazy.
    LazyRoot,
    /// A loop variable or accumulator of an enclosing comprehension, by name.
    Local,
    /// A type used as value (`int`, `google.protobuf.Timestamp`): its name.
    TypeName(String),
    /// A function: the name in the environment and the ids of the overloads that may apply.
    Function {
        /// Name in the environment.
        name: &'static str,
        /// Candidates, at least one.
        overloads: Vec<&'static str>,
    },
}

impl Checked {
    /// Type of the whole expression.
    pub fn output_type(&self) -> &Type {
        &self.types[self.ast.root.id as usize]
    }
}
