//! Operators: logic, arithmetic, comparison, membership.

use std::cmp::Ordering;

use super::{Answer, Fail, Run};
use crate::ast::ExprId;
use crate::error::ErrorKind;
use crate::library::standard::traversal;
use crate::plan::node::{Binary, Charge, Node, Operator};
use crate::time;
use crate::value::Value;

impl<'a> Run<'a, '_> {
    pub(super) fn conditional(&mut self, at: ExprId, parts: &'a [Node; 3]) -> Answer<'a> {
        match self.truth(&parts[0])? {
            Some(true) => self.branch(&parts[1]),
            Some(false) => self.branch(&parts[2]),
            None => Err(self.fail(ErrorKind::NoSuchOverload, at)),
        }
    }

    pub(super) fn not_strictly_false(&mut self, operand: &'a Node) -> Answer<'a> {
        let value = self.truth(operand);
        self.tick(1)?;
        match value {
            Err(e) if e.kind.is_fatal() => Err(e),
            Ok(Some(b)) => Ok(Value::Bool(b)),
            _ => Ok(Value::Bool(true)),
        }
    }

    pub(super) fn optional_or(&mut self, unwrap: bool, sides: &'a [Node; 2]) -> Answer<'a> {
        match self.eval(&sides[0])? {
            Value::Optional(None) => self.eval(&sides[1]),
            Value::Optional(Some(v)) if unwrap => Ok(*v),
            // Upstream passes on what is no optional.
            other => Ok(other),
        }
    }

    /// Evaluates both operands whatever becomes of the first, and charges for both, as upstream does.
    fn operands(
        &mut self,
        sides: &'a [Node; 2],
        charge: impl Fn(Value<'a>, Value<'a>) -> u64,
    ) -> Result<(Value<'a>, Value<'a>), Fail<'a>> {
        let left = match &sides[0] {
            Node::Path(p) => match self.glance(p) {
                Some(value) => Ok(*value),
                None => self.path(p),
            },
            other => self.eval(other),
        };
        if let Err(e) = left
            && e.kind.is_fatal()
        {
            return Err(e);
        }
        let right = self.eval(&sides[1]);
        match (left, right) {
            (Ok(l), Ok(r)) => {
                self.tick(charge(l, r))?;
                Ok((l, r))
            }
            (_, Err(e)) if e.kind.is_fatal() => Err(e),
            (l, r) => {
                // An error has no size, which counts as 1.
                self.tick(charge(l.unwrap_or(Value::Null), r.unwrap_or(Value::Null)))?;
                l.and(r).map(|v| (v, v))
            }
        }
    }

    pub(super) fn equal(&mut self, at: ExprId, negated: bool, sides: &'a [Node; 2]) -> Result<bool, Fail<'a>> {
        let (l, r) = self.operands(sides, |l, r| match l {
            Value::Opaque(_) if !negated => 1,
            _ => smaller(l, r),
        })?;
        // `==` of a library's value may be undefined; `!=` then counts it as unequal.
        let equal = if negated { Ok(l.equals(r)) } else { l.strictly_equals(r).ok_or(ErrorKind::NoSuchOverload) };
        equal.map(|equal| equal != negated).map_err(|kind| self.fail(kind, at))
    }

    pub(super) fn negate(&mut self, at: ExprId, operand: &'a Node) -> Answer<'a> {
        let value = self.eval(operand);
        self.tick(1)?;
        match value? {
            Value::Int(i) => i.checked_neg().map(Value::Int).ok_or(ErrorKind::Overflow("integer")),
            Value::Duration(d) => d.checked_neg().map(Value::Duration).ok_or(ErrorKind::Overflow("integer")),
            Value::Double(d) => Ok(Value::Double(-d)),
            Value::Bool(_) => Err(ErrorKind::NoSuchOverload),
            other => Err(no_operator(other, "no such overload: -_", false)),
        }
        .map_err(|kind| self.fail(kind, at))
    }

    pub(super) fn binary(&mut self, b: &'a Binary) -> Answer<'a> {
        let (l, r) = self.operands(&b.sides, |l, r| match b.charge {
            Charge::One => 1,
            Charge::Smaller => smaller(l, r),
            Charge::Both => traversal(l.cost_size() + r.cost_size()),
            Charge::Right => r.cost_size(),
        })?;
        let result = match b.operator {
            Operator::Add => return self.add(l, r, b.at),
            Operator::Subtract => subtract(l, r),
            Operator::Multiply => multiply(l, r),
            Operator::Divide => divide(l, r),
            Operator::Modulo => modulo(l, r),
            Operator::In => contains(l, r),
            Operator::Less => order(l, r, "no such overload: _<_", Ordering::is_lt),
            Operator::LessEquals => order(l, r, "no such overload: _<=_", Ordering::is_le),
            Operator::Greater => order(l, r, "no such overload: _>_", Ordering::is_gt),
            Operator::GreaterEquals => order(l, r, "no such overload: _>=_", Ordering::is_ge),
        };
        result.map_err(|kind| self.fail(kind, b.at))
    }

    fn add(&mut self, l: Value<'a>, r: Value<'a>, at: ExprId) -> Answer<'a> {
        let sum = match (l, r) {
            (Value::Int(a), Value::Int(b)) => a.checked_add(b).map(Value::Int).ok_or(ErrorKind::Overflow("integer")),
            (Value::Uint(a), Value::Uint(b)) => {
                a.checked_add(b).map(Value::Uint).ok_or(ErrorKind::Overflow("unsigned integer"))
            }
            (Value::Double(a), Value::Double(b)) => Ok(Value::Double(a + b)),
            (Value::Duration(a), Value::Duration(b)) => {
                a.checked_add(b).map(Value::Duration).ok_or(ErrorKind::Overflow("integer"))
            }
            (Value::Timestamp(t), Value::Duration(d)) | (Value::Duration(d), Value::Timestamp(t)) => {
                time::add(t, d).map(Value::Timestamp)
            }
            (Value::String(a), Value::String(b)) => {
                self.reserve(a.len() + b.len())?;
                let mut text = bumpalo::collections::String::with_capacity_in(a.len() + b.len(), self.scope().arena);
                text.push_str(a);
                text.push_str(b);
                Ok(Value::String(text.into_bump_str()))
            }
            (Value::Bytes(a), Value::Bytes(b)) => {
                self.reserve(a.len() + b.len())?;
                let at = |i: usize| if i < a.len() { a[i] } else { b[i - a.len()] };
                Ok(Value::Bytes(self.scope().arena.alloc_slice_fill_with(a.len() + b.len(), at)))
            }
            (Value::List(a), Value::List(b)) => {
                if a.is_empty() || b.is_empty() {
                    return Ok(if a.is_empty() { r } else { l });
                }
                self.reserve((a.len() + b.len()) * size_of::<Value<'_>>())?;
                let at = |i: usize| if i < a.len() { a[i] } else { b[i - a.len()] };
                Ok(Value::List(self.scope().arena.alloc_slice_fill_with(a.len() + b.len(), at)))
            }
            _ => Err(no_operator(l, "no such overload: _+_", has_order_or_list(l) && !matches!(l, Value::Bool(_)))),
        };
        sum.map_err(|kind| self.fail(kind, at))
    }
}

/// A tenth of the smaller of two sizes, rounded up.
#[inline]
fn smaller(l: Value<'_>, r: Value<'_>) -> u64 {
    if let (Value::String(a), Value::String(b)) = (l, r) {
        // Up to ten bytes are at most ten code points: the count does not matter.
        if a.len().min(b.len()) <= 10 {
            return u64::from(!a.is_empty() && !b.is_empty());
        }
    }
    traversal(l.cost_size().min(r.cost_size()))
}

type Result2<'a> = Result<Value<'a>, ErrorKind<'a>>;

/// The error of an operator: upstream names the operator only to operands that know nothing of it.
fn no_operator<'a>(left: Value<'a>, named: &'static str, knows: bool) -> ErrorKind<'a> {
    let receiver = matches!(left, Value::String(_) | Value::Timestamp(_) | Value::Duration(_));
    if knows || receiver { ErrorKind::NoSuchOverload } else { ErrorKind::Function(named) }
}

fn is_number(v: Value<'_>) -> bool {
    matches!(v, Value::Int(_) | Value::Uint(_) | Value::Double(_))
}

fn has_order_or_list(v: Value<'_>) -> bool {
    matches!(v, Value::Bool(_) | Value::Bytes(_) | Value::List(_)) || is_number(v)
}

fn subtract<'a>(l: Value<'a>, r: Value<'a>) -> Result2<'a> {
    match (l, r) {
        (Value::Int(a), Value::Int(b)) => a.checked_sub(b).map(Value::Int).ok_or(ErrorKind::Overflow("integer")),
        (Value::Uint(a), Value::Uint(b)) => {
            a.checked_sub(b).map(Value::Uint).ok_or(ErrorKind::Overflow("unsigned integer"))
        }
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(a - b)),
        (Value::Duration(a), Value::Duration(b)) => {
            a.checked_sub(b).map(Value::Duration).ok_or(ErrorKind::Overflow("integer"))
        }
        (Value::Timestamp(t), Value::Duration(d)) => match d.checked_neg() {
            Some(d) => time::add(t, d).map(Value::Timestamp),
            None => Err(ErrorKind::Overflow("integer")),
        },
        (Value::Timestamp(a), Value::Timestamp(b)) => time::between(a, b).map(Value::Duration),
        _ => Err(no_operator(l, "no such overload: _-_", is_number(l))),
    }
}

fn multiply<'a>(l: Value<'a>, r: Value<'a>) -> Result2<'a> {
    match (l, r) {
        (Value::Int(a), Value::Int(b)) => a.checked_mul(b).map(Value::Int).ok_or(ErrorKind::Overflow("integer")),
        (Value::Uint(a), Value::Uint(b)) => {
            a.checked_mul(b).map(Value::Uint).ok_or(ErrorKind::Overflow("unsigned integer"))
        }
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(a * b)),
        _ => Err(no_operator(l, "no such overload: _*_", is_number(l))),
    }
}

fn divide<'a>(l: Value<'a>, r: Value<'a>) -> Result2<'a> {
    match (l, r) {
        (Value::Int(_), Value::Int(0)) | (Value::Uint(_), Value::Uint(0)) => Err(ErrorKind::DivisionByZero),
        (Value::Int(a), Value::Int(b)) => a.checked_div(b).map(Value::Int).ok_or(ErrorKind::Overflow("integer")),
        (Value::Uint(a), Value::Uint(b)) => Ok(Value::Uint(a / b)),
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(a / b)),
        _ => Err(no_operator(l, "no such overload: _/_", is_number(l))),
    }
}

fn modulo<'a>(l: Value<'a>, r: Value<'a>) -> Result2<'a> {
    match (l, r) {
        (Value::Int(_), Value::Int(0)) | (Value::Uint(_), Value::Uint(0)) => Err(ErrorKind::ModulusByZero),
        (Value::Int(a), Value::Int(b)) => a.checked_rem(b).map(Value::Int).ok_or(ErrorKind::Overflow("integer")),
        (Value::Uint(a), Value::Uint(b)) => Ok(Value::Uint(a % b)),
        _ => Err(no_operator(l, "no such overload: _%_", matches!(l, Value::Int(_) | Value::Uint(_)))),
    }
}

fn order<'a>(l: Value<'a>, r: Value<'a>, named: &'static str, test: fn(Ordering) -> bool) -> Result2<'a> {
    match l.compare(r) {
        Ok(o) => Ok(Value::Bool(test(o))),
        Err(ErrorKind::NoSuchOverload) => {
            Err(no_operator(l, named, has_order_or_list(l) && !matches!(l, Value::List(_))))
        }
        Err(e) => Err(e),
    }
}

fn contains<'a>(element: Value<'a>, container: Value<'a>) -> Result2<'a> {
    match container {
        Value::List(items) => Ok(Value::Bool(items.iter().any(|i| element.equals(*i)))),
        Value::Object(_) | Value::Map(_) => Ok(Value::Bool(container.lookup(element).is_some())),
        _ => Err(ErrorKind::NoSuchOverload),
    }
}
