//! Operators and function calls.

use std::sync::Arc;

use bumpalo::Bump;
use memchr::memmem::Finder;

use super::Planner;
use super::node::{Binary, Call, Charge, Constant, Node, Operator, Part, Set, TextTest};
use crate::ast::{Expr, operators as op};
use crate::checked::Reference;
use crate::evaluate::evaluate_constant;
use crate::functions::{Call as Code, Function};
use crate::issues::Issue;
use crate::library::{re2, standard::traversal};
use crate::symbols::Symbols;

/// The functions that cel-go evaluates while planning when their argument is constant.
const CONVERSIONS: &[&str] =
    &["bool", "bytes", "double", "duration", "dyn", "int", "string", "timestamp", "type", "uint"];

impl<'p> Planner<'p> {
    pub(super) fn call(&mut self, e: &'p Expr, target: Option<&'p Expr>, args: &'p [Expr]) -> Node {
        let Some(Reference::Function { name, overloads }) = self.reference(e) else {
            return Self::fault(e, "no such overload".to_owned());
        };
        let overload = if let [only] = overloads.as_slice() { *only } else { "" };
        match (*name, args) {
            (op::INDEX, [a, b]) => return self.index(e, a, b, false),
            (op::OPT_INDEX | op::OPT_SELECT, [a, b]) => return self.index(e, a, b, true),
            _ => {}
        }
        let nodes: Vec<Node> = target.into_iter().chain(args).map(|a| self.expr(a)).collect();
        match self.operator(e, name, overload, nodes) {
            Ok(node) => node,
            Err(nodes) => self.function(e, name, overload, nodes),
        }
    }

    /// An operator, or the arguments back when it is none.
    fn operator(&mut self, e: &Expr, name: &str, overload: &str, nodes: Vec<Node>) -> Result<Node, Vec<Node>> {
        let at = e.id;
        match (name, nodes.len()) {
            (op::LOGICAL_AND, 2..) => return Ok(Node::And { at, terms: flat(nodes, true) }),
            (op::LOGICAL_OR, 2..) => return Ok(Node::Or { at, terms: flat(nodes, false) }),
            _ => {}
        }
        let nodes = match <[Node; 1]>::try_from(nodes) {
            Ok([operand]) => {
                let operand = Box::new(operand);
                return match name {
                    op::LOGICAL_NOT => Ok(Node::Not { at, operand }),
                    op::NOT_STRICTLY_FALSE => Ok(Node::NotStrictlyFalse { operand }),
                    op::NEGATE => Ok(Node::Negate { at, operand }),
                    _ => Err(vec![*operand]),
                };
            }
            Err(nodes) => nodes,
        };
        let nodes = match <[Node; 3]>::try_from(nodes) {
            Ok(parts) if name == op::CONDITIONAL => return Ok(Node::Conditional { at, parts: Box::new(parts) }),
            Ok(parts) => return Err(Vec::from(parts)),
            Err(nodes) => nodes,
        };
        let sides = <[Node; 2]>::try_from(nodes)?;
        let operator = match name {
            op::EQUALS => return Ok(Node::Equal { at, negated: false, sides: Box::new(sides) }),
            op::NOT_EQUALS => return Ok(Node::Equal { at, negated: true, sides: Box::new(sides) }),
            "or" if matches!(overload, "" | "optional_or_optional") => {
                return Ok(Node::OptionalOr { unwrap: false, sides: Box::new(sides) });
            }
            "orValue" if matches!(overload, "" | "optional_orValue_value") => {
                return Ok(Node::OptionalOr { unwrap: true, sides: Box::new(sides) });
            }
            op::IN => return Ok(self.membership(e, overload, sides)),
            op::ADD => Operator::Add,
            op::SUBTRACT => Operator::Subtract,
            op::MULTIPLY => Operator::Multiply,
            op::DIVIDE => Operator::Divide,
            op::MODULO => Operator::Modulo,
            op::LESS => Operator::Less,
            op::LESS_EQUALS => Operator::LessEquals,
            op::GREATER => Operator::Greater,
            op::GREATER_EQUALS => Operator::GreaterEquals,
            _ => return Err(Vec::from(sides)),
        };
        Ok(Node::Binary(Box::new(Binary { at, operator, charge: charge(overload), sides })))
    }

    fn membership(&self, e: &Expr, overload: &str, sides: [Node; 2]) -> Node {
        if overload == "in_list"
            && let Node::Aggregate { node, .. } = &sides[1]
            && let Some(set) = constants(node).and_then(Set::of)
        {
            if set.strings.is_empty() && set.others.is_empty() {
                return Node::Constant(Constant::Bool(false));
            }
            let [operand, _] = sides;
            return Node::Member { operand: Box::new(operand), set: Box::new(set) };
        }
        Node::Binary(Box::new(Binary { at: e.id, operator: Operator::In, charge: charge(overload), sides }))
    }

    fn function(&mut self, e: &Expr, name: &'static str, overload: &'static str, args: Vec<Node>) -> Node {
        let functions: Vec<Arc<Function>> = if overload.is_empty() {
            self.env.functions.get(name).cloned().unwrap_or_default()
        } else {
            self.env.overload(name, overload).cloned().into_iter().collect()
        };
        if functions.is_empty() {
            return Self::fault(e, format!("no such overload: {name}"));
        }
        let args = match text_test(e, overload, args) {
            Ok(test) => return Node::Text(Box::new(test)),
            Err(args) => args,
        };
        let mut regex = None;
        if let (true, Some(Node::Constant(Constant::String(pattern)))) = (takes_pattern(&functions), args.get(1)) {
            match re2::compile(pattern) {
                Ok(compiled) => regex = Some(compiled),
                Err(message) => return self.instantiation_fault(e, &message),
            }
        }
        let conversion = CONVERSIONS.contains(&name) && !self.env.unfolded;
        let constant = matches!(args.as_slice(), [only] if only.is_constant());
        let call = Node::Call(Box::new(Call { at: e.id, name, overload, functions, regex, args: args.into() }));
        if conversion && constant {
            return self.fold(e, call);
        }
        call
    }

    /// Evaluates the conversion of a constant.
    fn fold(&mut self, e: &Expr, call: Node) -> Node {
        let (arena, symbols) = (Bump::new(), Symbols::new());
        let folded = match evaluate_constant(&call, self.aggregates, &arena, &symbols) {
            Ok(value) => Constant::of(value),
            Err(error) => return self.instantiation_fault(e, &error.kind.to_string()),
        };
        match (folded, call) {
            (Some(constant), _) => Node::Constant(constant),
            // `dyn([1])`: what stays an aggregate is its own argument.
            (None, Node::Call(call)) => {
                let mut args = Vec::from(call.args);
                args.swap_remove(0)
            }
            (None, call) => call,
        }
    }

    /// A fault that upstream finds only when it turns the checked expression into a program.
    pub(super) fn instantiation_fault(&mut self, e: &Expr, message: &str) -> Node {
        self.issues.push(Issue { span: e.span, message: format!("program instantiation failed: {message}") });
        Node::Constant(Constant::Null)
    }
}

/// A test of a text for a constant part, or the arguments back when it is none.
fn text_test(e: &Expr, overload: &str, args: Vec<Node>) -> Result<TextTest, Vec<Node>> {
    let [_, Node::Constant(Constant::String(text))] = args.as_slice() else { return Err(args) };
    let (part, cost) = match overload {
        "contains_string" => {
            let finder = Finder::new(text.as_bytes()).into_owned();
            (Part::Within(Box::new(finder)), traversal(text.chars().count() as u64))
        }
        "starts_with_string" => (Part::Prefix(text.clone()), 1),
        "ends_with_string" => (Part::Suffix(text.clone()), 1),
        _ => return Err(args),
    };
    let [subject, _] = <[Node; 2]>::try_from(args)?;
    Ok(TextTest { at: e.id, subject, part, cost })
}

fn takes_pattern(functions: &[Arc<Function>]) -> bool {
    functions.iter().any(|f| matches!(f.call, Code::Pattern(..)))
}

/// Terms of nested conjunctions (or disjunctions) in one row: absorption and cost are the same, the tree is flat.
fn flat(nodes: Vec<Node>, conjunction: bool) -> Box<[Node]> {
    let mut out = Vec::with_capacity(nodes.len());
    for node in nodes {
        match node {
            Node::And { terms, .. } if conjunction => out.extend(terms),
            Node::Or { terms, .. } if !conjunction => out.extend(terms),
            other => out.push(other),
        }
    }
    out.into()
}

fn constants(list: &Node) -> Option<Vec<Constant>> {
    let Node::List { elements, .. } = list else { return None };
    elements
        .iter()
        .map(|e| match &e.value {
            Node::Constant(c) => Some(c.clone()),
            _ => None,
        })
        .collect()
}

fn charge(overload: &str) -> Charge {
    match overload {
        "add_string" | "add_bytes" => Charge::Both,
        "in_list" => Charge::Right,
        "less_string"
        | "less_bytes"
        | "less_equals_string"
        | "less_equals_bytes"
        | "greater_string"
        | "greater_bytes"
        | "greater_equals_string"
        | "greater_equals_bytes" => Charge::Smaller,
        _ => Charge::One,
    }
}
