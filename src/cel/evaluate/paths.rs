//! Variables, selections, indices and presence tests.

use super::{Answer, Fail, Local, Memo, Run};
use crate::ast::ExprId;
use crate::error::ErrorKind;
use crate::limits::PER_CALL_COST;
use crate::plan::node::{Base, Node, Path, Step, StepKind, go_type};
use crate::value::{Object, Struct, Value};

/// Type name of `variables` itself.
const LAZY_ROOT: &Struct<'static> = &Struct { type_name: "kubernetes.variables", fields: Object::EMPTY };

/// Outcome of one step.
#[derive(Clone, Copy)]
enum Found<'a> {
    Value(Value<'a>),
    /// Not there; the error to make of it unless it is optional.
    Missing(ErrorKind<'a>),
}

impl<'a> Run<'a, '_> {
    #[inline]
    pub(super) fn path(&mut self, p: &'a Path) -> Answer<'a> {
        let answer = self.resolve(p);
        self.tick(u64::from(!matches!(p.base, Base::Conditional(_))))?;
        answer
    }

    /// Value of a plain path, charged. `None` for any other, and where a limit is to be looked at: nothing has been
    /// evaluated or charged then.
    #[inline]
    pub(super) fn glance(&mut self, p: &'a Path) -> Option<&'a Value<'a>> {
        let value = self.plain(&p.base, &p.steps)?;
        let cost = self.cost.saturating_add(p.steps.len() as u64 + 1);
        if cost >= self.check_at {
            return None;
        }
        self.cost = cost;
        Some(value)
    }

    /// Value of a branch of a conditional, or of an index: a path costs its steps only.
    pub(super) fn branch(&mut self, node: &'a Node) -> Answer<'a> {
        let answer = match node {
            Node::Path(p) => self.resolve(p),
            Node::Test(p) => match self.plain_test(p) {
                Some(found) => {
                    self.cost += p.steps.len() as u64;
                    Ok(Value::Bool(found))
                }
                None => self.presence(p, true),
            },
            other => return self.eval(other),
        };
        self.tick(0)?;
        answer
    }

    /// `has(…)`
    pub(super) fn test(&mut self, p: &'a Path) -> Result<bool, Fail<'a>> {
        let answer = match self.plain_test(p) {
            Some(found) => {
                self.cost += p.steps.len() as u64;
                Ok(found)
            }
            None => self.any_test(p),
        };
        self.tick(0)?;
        answer
    }

    #[cold]
    fn any_test(&mut self, p: &'a Path) -> Result<bool, Fail<'a>> {
        self.enter()?;
        let answer = self.presence(p, false);
        self.depth -= 1;
        Ok(matches!(answer?, Value::Bool(true)))
    }

    /// [`Run::presence`] where there are but objects and their fields on the way. Costs a unit for each step.
    #[inline]
    fn plain_test(&self, p: &'a Path) -> Option<bool> {
        let (last, steps) = p.steps.split_last()?;
        match (self.plain(&p.base, steps)?, &last.kind) {
            (Value::Object(object), StepKind::Field { symbol, name }) if !last.optional => {
                Some(object.get_symbol(*symbol, name).is_some())
            }
            _ => None,
        }
    }

    /// What most paths come to: a variable, and fields of objects that are there. `None` for whatever is not as simple,
    /// errors included; nothing has been evaluated or charged then. Costs a unit for each step.
    #[inline]
    fn plain(&self, base: &'a Base, steps: &'a [Step]) -> Option<&'a Value<'a>> {
        let mut value = match base {
            Base::Root(slot) => self.context.roots.get(*slot)?,
            Base::Local(slot) => match self.locals.get(*slot)?.get() {
                Local::Element(v) => v,
                _ => return None,
            },
            _ => return None,
        };
        for step in steps {
            match (&step.kind, value) {
                (StepKind::Field { symbol, name }, Value::Object(object)) if !step.optional => {
                    value = object.get_symbol(*symbol, name)?;
                }
                _ => return None,
            }
        }
        Some(value)
    }

    /// Whether the last step of a path finds something. As branch of a conditional upstream loses the presence test of
    /// an optional path and yields the optional itself; so do we.
    fn presence(&mut self, p: &'a Path, branch: bool) -> Answer<'a> {
        let absent = if branch { Value::Optional(None) } else { Value::Bool(false) };
        let base = self.base(p)?;
        let Some((last, steps)) = p.steps.split_last() else {
            return Ok(if branch { base } else { Value::Bool(!matches!(base, Value::Optional(None))) });
        };
        let Some((value, optional)) = self.walk(base, steps)? else { return Ok(absent) };
        let optional = optional || last.optional;
        let found = self.find(last, value);
        let present = match found {
            // A struct without the field selects as null, but does not have it.
            Ok(Found::Value(v)) if !missing_in_struct(last, value) => Some(v),
            _ => None,
        };
        if !optional || present.is_some() {
            self.cost += 1;
        }
        found?;
        Ok(match present {
            Some(v) if branch && optional => Value::Optional(Some(self.scope().arena.alloc(v))),
            None if branch && optional => absent,
            found => Value::Bool(found.is_some()),
        })
    }

    #[inline]
    fn resolve(&mut self, p: &'a Path) -> Answer<'a> {
        match self.plain(&p.base, &p.steps) {
            Some(value) => {
                self.cost += p.steps.len() as u64;
                Ok(*value)
            }
            None => self.resolve_any(p),
        }
    }

    fn resolve_any(&mut self, p: &'a Path) -> Answer<'a> {
        let base = self.base(p)?;
        if p.steps.is_empty() {
            return Ok(base);
        }
        match self.walk(base, &p.steps)? {
            Some((value, false)) => Ok(value),
            Some((value, true)) => Ok(Value::Optional(Some(self.scope().arena.alloc(value)))),
            None => Ok(Value::Optional(None)),
        }
    }

    fn base(&mut self, p: &'a Path) -> Answer<'a> {
        match &p.base {
            Base::Root(slot) => match self.context.roots.get(*slot) {
                Some(v) => Ok(*v),
                None => Err(self.fail(ErrorKind::Function("no such attribute(s)"), p.at)),
            },
            Base::Local(slot) => self.local(*slot, p.at),
            Base::Lazy { slot, name, optional } => {
                self.cost += 1;
                let value = self.lazy(*slot, name, p.at)?;
                if *optional {
                    return Ok(Value::Optional(Some(self.scope().arena.alloc(value))));
                }
                Ok(value)
            }
            Base::LazyRoot => Ok(Value::Struct(LAZY_ROOT)),
            Base::Value(node) | Base::Conditional(node) => self.eval(node),
        }
    }

    fn local(&mut self, slot: usize, at: ExprId) -> Answer<'a> {
        let Some(cell) = self.locals.get(slot) else {
            return Err(self.fail(ErrorKind::Function("no such attribute(s)"), at));
        };
        match cell.get() {
            Local::Value(v) => Ok(v),
            Local::Element(v) => Ok(*v),
            Local::Failed(e) => Err(e),
            Local::Pending(init) => {
                let answer = self.eval(init);
                cell.set(match answer {
                    Ok(v) => Local::Value(v),
                    Err(e) => Local::Failed(e),
                });
                answer
            }
        }
    }

    /// A lazy variable: evaluated when first selected, with a cost limit of its own; its error is kept too.
    fn lazy(&mut self, slot: usize, name: &'a str, at: ExprId) -> Answer<'a> {
        let (Some(cell), Some(program)) = (self.context.memo.get(slot), self.context.lazy.get(slot)) else {
            return Err(self.fail(ErrorKind::NoSuchKey(Value::String(name)), at));
        };
        match cell.get() {
            Memo::Done(answer) => return answer,
            Memo::Busy => return Err(self.fail(ErrorKind::Function("a variable refers to itself"), at)),
            Memo::Unset => cell.set(Memo::Busy),
        }
        self.context.depth.set(self.depth);
        let (answer, cost) = Run::plan(self.context, program.plan(), PER_CALL_COST);
        self.context.lazy_cost.set(self.context.lazy_cost.get().saturating_add(cost));
        let answer = answer.map_err(|cause| self.fail(ErrorKind::Variable { name, cause }, at));
        cell.set(Memo::Done(answer));
        answer
    }

    /// Takes steps from a value; the flag says whether the result is wrapped in an optional. `None` when an optional
    /// step found nothing.
    fn walk(&mut self, base: Value<'a>, steps: &'a [Step]) -> Result<Option<(Value<'a>, bool)>, Fail<'a>> {
        let (mut value, mut optional) = match base {
            Value::Optional(None) => return Ok(None),
            Value::Optional(Some(inner)) => (*inner, true),
            other => (other, false),
        };
        for step in steps {
            optional |= step.optional;
            let found = self.find(step, value);
            if !optional || matches!(found, Ok(Found::Value(_))) {
                self.cost += 1;
            }
            match found? {
                Found::Value(v) => value = v,
                Found::Missing(_) if optional => return Ok(None),
                Found::Missing(kind) => return Err(self.fail(kind, step.at)),
            }
        }
        Ok(Some((value, optional)))
    }

    fn find(&mut self, step: &'a Step, value: Value<'a>) -> Result<Found<'a>, Fail<'a>> {
        let found = match &step.kind {
            StepKind::Field { symbol, name } => match value {
                Value::Object(object) => Ok(match object.get_symbol(*symbol, name) {
                    Some(member) => Found::Value(*member),
                    None => Found::Missing(ErrorKind::NoSuchKey(Value::String(name))),
                }),
                _ => self.find_key(value, Value::String(name)),
            },
            StepKind::Constant(c) => self.find_key(value, c.value()),
            StepKind::Dynamic(node) => {
                let key = self.branch(node)?;
                match key {
                    Value::String(_) | Value::Int(_) | Value::Uint(_) | Value::Bool(_) | Value::Double(_) => {
                        self.find_key(value, key)
                    }
                    // What a document holds is in Go's own types when it gets here.
                    Value::List(_) if matches!(node, Node::Path(_)) => {
                        Err(ErrorKind::Function("invalid qualifier type: []interface {}"))
                    }
                    Value::Object(_) if matches!(node, Node::Path(_)) => {
                        Err(ErrorKind::Function("invalid qualifier type: map[string]interface {}"))
                    }
                    Value::Null => Err(ErrorKind::Function("invalid qualifier type: <nil>")),
                    _ => Err(self.text(format_args!("invalid qualifier type: {}", go_type(key)))),
                }
            }
        };
        found.map_err(|kind| self.fail(kind, step.at))
    }

    fn find_key(&self, value: Value<'a>, key: Value<'a>) -> Result<Found<'a>, ErrorKind<'a>> {
        match value {
            Value::Object(_) | Value::Map(_) => Ok(match value.lookup(key) {
                Some(member) => Found::Value(member),
                None => Found::Missing(ErrorKind::NoSuchKey(key)),
            }),
            Value::List(items) => {
                let index = self.list_index(key)?;
                Ok(match usize::try_from(index).ok().and_then(|i| items.get(i)) {
                    Some(item) => Found::Value(*item),
                    None => Found::Missing(ErrorKind::IndexOutOfBounds(index)),
                })
            }
            Value::Struct(s) => match key {
                // A field that is not set is null to those who select it.
                Value::String(name) => Ok(Found::Value(s.fields.get(name).unwrap_or(Value::Null))),
                _ => Ok(Found::Missing(ErrorKind::NoSuchKey(key))),
            },
            _ => Ok(Found::Missing(ErrorKind::NoSuchKey(key))),
        }
    }

    fn list_index(&self, key: Value<'a>) -> Result<i64, ErrorKind<'a>> {
        let index = match key {
            Value::Int(i) => Some(i),
            Value::Uint(u) => i64::try_from(u).ok(),
            Value::Double(d) if d.fract() == 0.0 && d.abs() < 9e18 => Some(d as i64),
            Value::Double(_) => None,
            other => {
                return Err(self.text(format_args!("unsupported index type '{}' in list", other.type_name())));
            }
        };
        index.ok_or_else(|| self.text(format_args!("unsupported index value {} in list", crate::render::Shown(key))))
    }
}

fn missing_in_struct(step: &Step, value: Value<'_>) -> bool {
    match (&step.kind, value) {
        (StepKind::Field { name, .. }, Value::Struct(s)) => s.fields.get(name).is_none(),
        _ => false,
    }
}
