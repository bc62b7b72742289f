//! The syntax tree of one expression, after macro expansion.
//!
//! The shape follows the language definition (cel-spec `syntax.proto`): macros are expanded by the parser into
//! [`Comprehension`]s, operators are calls of functions named `_+_`, `_[_]`, `!_` and so on (see [`operators`]).

use std::sync::Arc;

use crate::source::{Source, Span};

/// Number of an expression node inside its [`Ast`]: dense, from 0, so that side tables are plain vectors.
pub type ExprId = u32;

/// A parsed expression. Not checked: nothing here may be evaluated.
#[derive(Debug, Clone)]
pub struct Ast {
    /// Root of the tree.
    pub root: Expr,
    /// How many ids the tree uses: ids are `0..id_count`.
    pub id_count: ExprId,
    /// By id: first byte of the token that messages about the node point at, as cel-go chooses it: the operator, the
    /// `.` of a selection, the `(` of a call, else the start of the node.
    pub anchors: Vec<u32>,
    /// Text the spans point into.
    pub source: Arc<Source>,
}

impl Ast {
    /// Place that messages about a node point at.
    pub fn anchor(&self, id: ExprId) -> Span {
        let at = self.anchors.get(id as usize).copied().unwrap_or_default();
        Span::new(at, at)
    }
}

/// One node.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// Index into side tables.
    pub id: ExprId,
    /// Place in the source, in bytes. Nodes made by a macro carry the span of the macro call.
    pub span: Span,
    /// What it is.
    pub kind: ExprKind,
}

/// Kinds of nodes.
#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    /// A constant.
    Literal(Literal),
    /// A name; a leading dot (`.a`, resolve from the root container) is kept in the text.
    Ident(String),
    /// `operand.field`, or `has(operand.field)` when `test_only`.
    Select {
        /// Left side.
        operand: Box<Expr>,
        /// Field name as written.
        field: String,
        /// Presence test of the `has()` macro.
        test_only: bool,
    },
    /// `target.function(args)` or `function(args)`.
    Call {
        /// Receiver of a member call.
        target: Option<Box<Expr>>,
        /// Name, possibly qualified (`math.greatest` is a member call on an identifier until checked).
        function: String,
        /// Arguments without the receiver.
        args: Vec<Expr>,
    },
    /// `[a, ?b]`
    List {
        /// Elements in order.
        elements: Vec<Expr>,
        /// Indices of elements written with `?`, ascending.
        optional: Vec<u32>,
    },
    /// `{k: v, ?k: v}`
    Map {
        /// Entries in order.
        entries: Vec<MapEntry>,
    },
    /// `Name{field: value}`
    Struct {
        /// Type name as written.
        name: String,
        /// Fields in order.
        fields: Vec<StructField>,
    },
    /// A macro's loop.
    Comprehension(Box<Comprehension>),
}

impl ExprKind {
    /// Calls `visit` with each direct child, in source order.
    pub fn for_each_child<'e>(&'e self, visit: &mut dyn FnMut(&'e Expr)) {
        match self {
            ExprKind::Literal(_) | ExprKind::Ident(_) => {}
            ExprKind::Select { operand, .. } => visit(operand),
            ExprKind::Call { target, args, .. } => {
                target.iter().for_each(|target| visit(target));
                args.iter().for_each(visit);
            }
            ExprKind::List { elements, .. } => elements.iter().for_each(visit),
            ExprKind::Map { entries } => {
                for entry in entries {
                    visit(&entry.key);
                    visit(&entry.value);
                }
            }
            ExprKind::Struct { fields, .. } => fields.iter().for_each(|field| visit(&field.value)),
            ExprKind::Comprehension(fold) => {
                visit(&fold.iter_range);
                visit(&fold.accu_init);
                visit(&fold.loop_condition);
                visit(&fold.loop_step);
                visit(&fold.result);
            }
        }
    }
}

/// Constants of the language.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// `1`, `-1`, `0x1F`
    Int(i64),
    /// `1u`
    Uint(u64),
    /// `1.0`, `1e3`
    Double(f64),
    /// `'a'`, `r"\d"`, `'''…'''`
    String(String),
    /// `b'a'`
    Bytes(Vec<u8>),
}

/// One `key: value` of a map literal.
#[derive(Debug, Clone, PartialEq)]
pub struct MapEntry {
    /// Id of the entry itself.
    pub id: ExprId,
    /// Key.
    pub key: Expr,
    /// Value.
    pub value: Expr,
    /// Written with `?`: the value is an optional, the entry is absent when it is none.
    pub optional: bool,
}

/// One `field: value` of a struct literal.
#[derive(Debug, Clone, PartialEq)]
pub struct StructField {
    /// Id of the entry itself.
    pub id: ExprId,
    /// Place of the field name.
    pub span: Span,
    /// Field name as written.
    pub name: String,
    /// Value.
    pub value: Expr,
    /// Written with `?`.
    pub optional: bool,
}

/// A fold over a list or a map, as every macro but `has` expands to.
#[derive(Debug, Clone, PartialEq)]
pub struct Comprehension {
    /// Which macro it came from, so that the planner may choose a faster loop of the same meaning and cost.
    pub macro_name: MacroKind,
    /// What is iterated.
    pub iter_range: Expr,
    /// Loop variable: element of a list, key of a map; with `iter_var2` index or key.
    pub iter_var: String,
    /// Second loop variable: value.
    pub iter_var2: Option<String>,
    /// Accumulator variable, a name no user can write (`@result`).
    pub accu_var: String,
    /// Its first value.
    pub accu_init: Expr,
    /// Goes on while true.
    pub loop_condition: Expr,
    /// Next value of the accumulator.
    pub loop_step: Expr,
    /// Value of the whole.
    pub result: Expr,
}

/// Macros that make comprehensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MacroKind {
    /// `all`, one or two variables.
    All,
    /// `exists`, one or two variables.
    Exists,
    /// `exists_one` with one or two variables, `existsOne` with two.
    ExistsOne,
    /// `map` with two or three arguments.
    Map,
    /// `filter`
    Filter,
    /// `transformList` with two variables.
    TransformList,
    /// `transformMap` with two variables.
    TransformMap,
    /// `transformMapEntry` with two variables.
    TransformMapEntry,
    /// `sortBy`
    SortBy,
    /// `cel.bind`, `optMap`, `optFlatMap`: a loop over nothing that names a value.
    Bind,
}

/// Words of the grammar that may name fields and functions of members but not variables (cel-spec, syntax).
pub const RESERVED_WORDS: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Function names of the operators, as the language definition spells them.
pub mod operators {
    #![allow(missing_docs, reason = "the value is the documentation")]
    pub const CONDITIONAL: &str = "_?_:_";
    pub const LOGICAL_AND: &str = "_&&_";
    pub const LOGICAL_OR: &str = "_||_";
    pub const LOGICAL_NOT: &str = "!_";
    pub const EQUALS: &str = "_==_";
    pub const NOT_EQUALS: &str = "_!=_";
    pub const LESS: &str = "_<_";
    pub const LESS_EQUALS: &str = "_<=_";
    pub const GREATER: &str = "_>_";
    pub const GREATER_EQUALS: &str = "_>=_";
    pub const ADD: &str = "_+_";
    pub const SUBTRACT: &str = "_-_";
    pub const MULTIPLY: &str = "_*_";
    pub const DIVIDE: &str = "_/_";
    pub const MODULO: &str = "_%_";
    pub const NEGATE: &str = "-_";
    pub const INDEX: &str = "_[_]";
    pub const OPT_INDEX: &str = "_[?_]";
    pub const OPT_SELECT: &str = "_?._";
    pub const IN: &str = "@in";
    pub const NOT_STRICTLY_FALSE: &str = "@not_strictly_false";
}
