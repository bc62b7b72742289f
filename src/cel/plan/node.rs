//! The planned tree: what the evaluator walks. Built once, shared between threads.

use std::sync::Arc;

use memchr::memmem::Finder;
use regex::Regex;

use crate::ast::ExprId;
use crate::functions::Function;
use crate::symbols::Symbol;
use crate::value::{Timestamp, Value};

/// A scalar constant, owned by the plan.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Constant {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Box<str>),
    Bytes(Box<[u8]>),
    Duration(i64),
    Timestamp(Timestamp),
    Type(Box<str>),
}

/// A node. What it costs is what cel-go's tracker charges for the same expression (`interpreter/runtimecost.go`).
#[derive(Debug)]
pub(crate) enum Node {
    /// Free.
    Constant(Constant),
    /// A list or map of constants: built once per evaluation, free.
    Aggregate {
        slot: usize,
        node: Box<Node>,
    },
    /// A variable or value with selections and indices: 1, and 1 for each step taken.
    Path(Box<Path>),
    /// `has(…)`: 1 for each step taken.
    Test(Box<Path>),
    /// `c ? a : b`: free, and so is a bare variable as branch.
    Conditional {
        at: ExprId,
        parts: Box<[Node; 3]>,
    },
    /// Free. At least two terms.
    And {
        at: ExprId,
        terms: Box<[Node]>,
    },
    /// Free. At least two terms.
    Or {
        at: ExprId,
        terms: Box<[Node]>,
    },
    Not {
        at: ExprId,
        operand: Box<Node>,
    },
    /// True unless the operand is false, errors included.
    NotStrictlyFalse {
        operand: Box<Node>,
    },
    Equal {
        at: ExprId,
        negated: bool,
        sides: Box<[Node; 2]>,
    },
    Binary(Box<Binary>),
    Negate {
        at: ExprId,
        operand: Box<Node>,
    },
    /// `x in [constants]`: free.
    Member {
        operand: Box<Node>,
        set: Box<Set>,
    },
    /// `a.or(b)`, `a.orValue(b)`: free, `b` only when `a` is none.
    OptionalOr {
        unwrap: bool,
        sides: Box<[Node; 2]>,
    },
    Call(Box<Call>),
    Text(Box<TextTest>),
    List {
        at: ExprId,
        elements: Box<[Element]>,
    },
    Map {
        at: ExprId,
        entries: Box<[MapEntry]>,
    },
    Struct(Box<StructNode>),
    Loop(Box<Loop>),
    Fold(Box<Fold>),
    /// Fails when it is reached: a name or function that an unchecked expression does not resolve.
    Fault {
        at: ExprId,
        message: Box<str>,
    },
}

/// A variable or value, and steps into it.
#[derive(Debug)]
pub(crate) struct Path {
    pub(crate) at: ExprId,
    pub(crate) base: Base,
    pub(crate) steps: Vec<Step>,
}

#[derive(Debug)]
pub(crate) enum Base {
    /// A declared variable.
    Root(usize),
    /// A loop variable or accumulator.
    Local(usize),
    /// `variables.name` or `variables.?name`, whose step is counted here.
    Lazy { slot: usize, name: Box<str>, optional: bool },
    /// `variables` itself.
    LazyRoot,
    /// Any other expression.
    Value(Node),
    /// A conditional: the path then costs its steps only.
    Conditional(Node),
}

/// One selection or index: 1.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) at: ExprId,
    /// Written with `?`.
    pub(crate) optional: bool,
    pub(crate) kind: StepKind,
}

#[derive(Debug)]
pub(crate) enum StepKind {
    Field {
        symbol: Symbol,
        name: Box<str>,
    },
    Constant(Constant),
    /// Evaluated each time; a bare variable is free here.
    Dynamic(Node),
}

/// Operators of two operands that are always both evaluated.
#[derive(Debug)]
pub(crate) struct Binary {
    pub(crate) at: ExprId,
    pub(crate) operator: Operator,
    pub(crate) charge: Charge,
    pub(crate) sides: [Node; 2],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Less,
    LessEquals,
    Greater,
    GreaterEquals,
    In,
}

/// What an operator costs; the checker must have found one overload for anything but 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Charge {
    One,
    /// A tenth of the smaller operand, rounded up.
    Smaller,
    /// A tenth of both operands together, rounded up.
    Both,
    /// Size of the right operand.
    Right,
}

/// Constants of a list on the right of `in`.
#[derive(Debug)]
pub(crate) struct Set {
    /// Sorted.
    pub(crate) strings: Vec<Box<str>>,
    pub(crate) others: Vec<Constant>,
}

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) at: ExprId,
    pub(crate) name: &'static str,
    /// The only overload that the checker left, or empty.
    pub(crate) overload: &'static str,
    /// Asked in order until one takes the arguments.
    pub(crate) functions: Vec<Arc<Function>>,
    /// Constant argument 1 of a function that takes a regular expression.
    pub(crate) regex: Option<Regex>,
    pub(crate) args: Box<[Node]>,
}

/// `contains`, `startsWith` or `endsWith` of a constant.
#[derive(Debug)]
pub(crate) struct TextTest {
    pub(crate) at: ExprId,
    pub(crate) subject: Node,
    pub(crate) part: Part,
    /// Cost for each ten code points of the subject.
    pub(crate) cost: u64,
}

/// What is looked for in a text.
#[derive(Debug)]
pub(crate) enum Part {
    Within(Box<Finder<'static>>),
    Prefix(Box<str>),
    Suffix(Box<str>),
}

#[derive(Debug)]
pub(crate) struct Element {
    pub(crate) value: Node,
    pub(crate) optional: bool,
}

#[derive(Debug)]
pub(crate) struct MapEntry {
    pub(crate) key: Node,
    pub(crate) value: Node,
    pub(crate) optional: bool,
}

#[derive(Debug)]
pub(crate) struct StructNode {
    pub(crate) at: ExprId,
    pub(crate) type_name: Box<str>,
    pub(crate) fields: Box<[StructField]>,
}

#[derive(Debug)]
pub(crate) struct StructField {
    pub(crate) name: Box<str>,
    pub(crate) value: Node,
    pub(crate) optional: bool,
}

/// A macro's loop in a form of its own: same meaning and cost as the fold that it expands to.
#[derive(Debug)]
pub(crate) struct Loop {
    pub(crate) at: ExprId,
    pub(crate) kind: LoopKind,
    pub(crate) range: Node,
    pub(crate) vars: Vars,
    /// Predicate of the elements that count, for the kinds that build something.
    pub(crate) filter: Option<Node>,
    /// Predicate, element, or map.
    pub(crate) body: Node,
    /// Cost of the empty list or map that a loop starts with, where it is not folded.
    pub(crate) init_cost: u64,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Vars {
    pub(crate) first: usize,
    pub(crate) second: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoopKind {
    All,
    Exists,
    ExistsOne,
    /// `map`, `filter`, `transformList`: the cost of the list of one that upstream adds.
    Collect {
        list_cost: u64,
    },
    /// `transformMap`: keys stay, the body is the value.
    Values,
    /// `transformMapEntry`: the body is a map of entries.
    Entries,
}

/// Any other comprehension, as written.
#[derive(Debug)]
pub(crate) struct Fold {
    pub(crate) at: ExprId,
    pub(crate) range: Node,
    pub(crate) vars: Vars,
    pub(crate) accumulator: usize,
    /// Evaluated when first read.
    pub(crate) init: Node,
    pub(crate) condition: Node,
    pub(crate) step: Node,
    pub(crate) result: Node,
}

// === impl Constant ===

impl Constant {
    #[inline]
    pub(crate) fn value(&self) -> Value<'_> {
        match self {
            Constant::Null => Value::Null,
            Constant::Bool(b) => Value::Bool(*b),
            Constant::Int(i) => Value::Int(*i),
            Constant::Uint(u) => Value::Uint(*u),
            Constant::Double(d) => Value::Double(*d),
            Constant::String(s) => Value::String(s),
            Constant::Bytes(b) => Value::Bytes(b),
            Constant::Duration(d) => Value::Duration(*d),
            Constant::Timestamp(t) => Value::Timestamp(*t),
            Constant::Type(t) => Value::Type(t),
        }
    }

    /// The constant of a scalar value; `None` for aggregates and library values.
    pub(crate) fn of(value: Value<'_>) -> Option<Self> {
        Some(match value {
            Value::Null => Constant::Null,
            Value::Bool(b) => Constant::Bool(b),
            Value::Int(i) => Constant::Int(i),
            Value::Uint(u) => Constant::Uint(u),
            Value::Double(d) => Constant::Double(d),
            Value::String(s) => Constant::String(s.into()),
            Value::Bytes(b) => Constant::Bytes(b.into()),
            Value::Duration(d) => Constant::Duration(d),
            Value::Timestamp(t) => Constant::Timestamp(t),
            Value::Type(t) => Constant::Type(t.into()),
            _ => return None,
        })
    }
}

// === impl Set ===

impl Set {
    /// A set of constants; `None` when one is of a kind that upstream does not put into sets.
    pub(crate) fn of(constants: Vec<Constant>) -> Option<Self> {
        let mut set = Set { strings: Vec::new(), others: Vec::new() };
        for c in constants {
            match c {
                Constant::String(s) => set.strings.push(s),
                Constant::Bool(_) | Constant::Int(_) | Constant::Uint(_) | Constant::Double(_) => set.others.push(c),
                _ => return None,
            }
        }
        set.strings.sort_unstable();
        Some(set)
    }

    pub(crate) fn contains(&self, value: Value<'_>) -> bool {
        match value {
            Value::String(s) => self.strings.binary_search_by(|x| (**x).cmp(s)).is_ok(),
            _ => self.others.iter().any(|c| c.value().equals(value)),
        }
    }
}

// === impl Part ===

impl Part {
    #[inline]
    pub(crate) fn is_in(&self, text: &str) -> bool {
        match self {
            Part::Within(finder) => finder.find(text.as_bytes()).is_some(),
            Part::Prefix(part) => text.starts_with(&**part),
            Part::Suffix(part) => text.ends_with(&**part),
        }
    }
}

// === impl Node ===

impl Node {
    pub(crate) fn is_constant(&self) -> bool {
        matches!(self, Node::Constant(_) | Node::Aggregate { .. })
    }

    /// Whether it yields true or false, if anything.
    #[inline]
    pub(crate) fn decides(&self) -> bool {
        match self {
            Node::Test(_)
            | Node::And { .. }
            | Node::Or { .. }
            | Node::Not { .. }
            | Node::Equal { .. }
            | Node::Member { .. }
            | Node::Text(_) => true,
            Node::Loop(l) => matches!(l.kind, LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne),
            _ => false,
        }
    }

    /// Name of cel-go's type of a constant; `None` for what is not constant.
    pub(crate) fn constant_go_type(&self) -> Option<&'static str> {
        match self {
            Node::Constant(c) => Some(go_type(c.value())),
            Node::Aggregate { node, .. } => match **node {
                Node::Map { .. } => Some("*types.baseMap"),
                _ => Some("*types.baseList"),
            },
            _ => None,
        }
    }
}

/// Name of cel-go's own type of a value, which some of its messages show.
pub(crate) fn go_type(v: Value<'_>) -> &'static str {
    match v {
        Value::Null => "types.Null",
        Value::Bool(_) => "types.Bool",
        Value::Int(_) => "types.Int",
        Value::Uint(_) => "types.Uint",
        Value::Double(_) => "types.Double",
        Value::String(_) => "types.String",
        Value::Bytes(_) => "types.Bytes",
        Value::Duration(_) => "types.Duration",
        Value::Timestamp(_) => "types.Timestamp",
        Value::List(_) => "*types.baseList",
        Value::Object(_) | Value::Map(_) => "*types.baseMap",
        Value::Struct(_) => "*dynamic.ObjectVal",
        Value::Optional(_) => "*types.Optional",
        Value::Type(_) => "*types.Type",
        Value::Opaque(o) => o.go_type(),
    }
}
