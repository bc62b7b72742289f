//! Comprehensions.

use bumpalo::collections::Vec as ArenaVec;

use super::{Answer, Fail, Local, Run};
use crate::ast::ExprId;
use crate::error::ErrorKind;
use crate::plan::node::{Fold, Loop, LoopKind, Node, Vars, go_type};
use crate::render::Shown;
use crate::value::{Entries, Value, map_of, repeated_key};

/// What is iterated.
#[derive(Clone, Copy)]
struct Items<'a> {
    range: Value<'a>,
    len: usize,
}

impl<'a> Run<'a, '_> {
    /// A macro that builds something.
    pub(super) fn building_loop(&mut self, l: &'a Loop) -> Answer<'a> {
        let items = self.range(l.at, &l.range, l.vars)?;
        match l.kind {
            LoopKind::Collect { list_cost } => self.collect(l, items, list_cost),
            _ => self.transform(l, items),
        }
    }

    /// A macro that yields true or false.
    pub(super) fn decisive_loop(&mut self, l: &'a Loop) -> Result<bool, Fail<'a>> {
        let items = self.range(l.at, &l.range, l.vars)?;
        match l.kind {
            // The condition is `@not_strictly_false(@result)`.
            LoopKind::All => self.quantify(l, items, false, 2),
            // The condition is `@not_strictly_false(!@result)`.
            LoopKind::Exists => self.quantify(l, items, true, 3),
            _ => self.exists_one(l, items),
        }
    }

    fn range(&mut self, at: ExprId, node: &'a Node, vars: Vars) -> Result<Items<'a>, Fail<'a>> {
        let range = self.eval(node)?;
        let len = match range {
            Value::List(l) => l.len(),
            Value::Object(o) => o.len(),
            Value::Map(m) => m.len(),
            other => {
                let kind = match vars.second {
                    Some(_) => self.text(format_args!("unsupported comprehension range type: {}", go_type(other))),
                    None => self.text(format_args!("got '{}', expected iterable type", go_type(other))),
                };
                return Err(self.fail(kind, at));
            }
        };
        Ok(Items { range, len })
    }

    #[inline(always)]
    fn bind(&self, vars: Vars, items: Items<'a>, i: usize) {
        let (first, second) = match items.range {
            Value::List(l) => match vars.second {
                None => (Local::Element(&l[i]), Local::Value(Value::Null)),
                Some(_) => (Local::Value(Value::Int(i as i64)), Local::Element(&l[i])),
            },
            Value::Object(o) => match o.entries().get(i) {
                Some(e) => (Local::Value(Value::String(e.key)), Local::Element(&e.value)),
                None => return,
            },
            map => {
                let (key, value) = map.map_entry(i).unwrap_or_default();
                (Local::Value(key), Local::Value(value))
            }
        };
        if let Some(cell) = self.locals.get(vars.first) {
            cell.set(first);
        }
        if let Some(cell) = vars.second.and_then(|s| self.locals.get(s)) {
            cell.set(second);
        }
    }

    /// `all` (decided by false) and `exists` (decided by true). A deciding element absorbs the errors of all others.
    fn quantify(&mut self, l: &'a Loop, items: Items<'a>, decisive: bool, condition: u64) -> Result<bool, Fail<'a>> {
        let mut failure = None;
        let mut decided = false;
        for i in 0..items.len {
            self.tick(condition)?;
            if decided {
                break;
            }
            self.bind(l.vars, items, i);
            self.cost += 1;
            match self.truth(&l.body) {
                Ok(Some(b)) => decided = b == decisive,
                Ok(None) => {
                    if failure.is_none() {
                        failure = Some(self.fail(ErrorKind::NoSuchOverload, l.at));
                    }
                }
                Err(e) if e.kind.is_fatal() => return Err(e),
                Err(e) => failure = failure.or(Some(e)),
            }
        }
        self.tick(1)?;
        match failure {
            Some(e) if !decided => Err(e),
            _ => Ok(decided == decisive),
        }
    }

    fn exists_one(&mut self, l: &'a Loop, items: Items<'a>) -> Result<bool, Fail<'a>> {
        let mut count = Ok(0u64);
        for i in 0..items.len {
            self.bind(l.vars, items, i);
            match self.predicate(l, &l.body) {
                Ok(true) => {
                    // `@result + 1`
                    self.tick(2)?;
                    count = count.map(|n| n + 1);
                }
                Ok(false) => {}
                Err(e) if e.kind.is_fatal() => return Err(e),
                Err(e) => count = Err(e),
            }
        }
        // `@result == 1`
        self.tick(2)?;
        Ok(count? == 1)
    }

    fn predicate(&mut self, l: &'a Loop, node: &'a Node) -> Result<bool, Fail<'a>> {
        match self.truth(node)? {
            Some(b) => Ok(b),
            None => Err(self.fail(ErrorKind::NoSuchOverload, l.at)),
        }
    }

    /// Whether an element passes the filter. An error takes the place of what was built so far.
    fn passes(&mut self, l: &'a Loop, failure: &mut Option<Fail<'a>>) -> Result<bool, Fail<'a>> {
        let Some(filter) = &l.filter else { return Ok(true) };
        match self.predicate(l, filter) {
            Ok(b) => Ok(b),
            Err(e) if e.kind.is_fatal() => Err(e),
            Err(e) => {
                *failure = Some(e);
                Ok(false)
            }
        }
    }

    /// `map`, `filter`, `transformList`: `@result + [body]` for each that passes. Elements after an error are still
    /// evaluated, and charged, as upstream does.
    fn collect(&mut self, l: &'a Loop, items: Items<'a>, list_cost: u64) -> Answer<'a> {
        let capacity = if l.filter.is_some() { items.len.min(16) } else { items.len };
        self.reserve(capacity * size_of::<Value<'_>>())?;
        let mut out = ArenaVec::with_capacity_in(capacity, self.scope().arena);
        let mut failure = None;
        for i in 0..items.len {
            self.bind(l.vars, items, i);
            if !self.passes(l, &mut failure)? {
                continue;
            }
            let element = self.eval(&l.body);
            self.tick(2 + list_cost)?;
            match element {
                Ok(v) if failure.is_none() => out.push(v),
                Ok(_) => {}
                Err(e) if e.kind.is_fatal() => return Err(e),
                Err(e) => failure = failure.or(Some(e)),
            }
        }
        self.tick(1 + l.init_cost)?;
        failure.map_or_else(|| Ok(Value::List(out.into_bump_slice())), Err)
    }

    /// `transformMap` and `transformMapEntry`: `cel.@mapInsert(@result, …)` for each that passes.
    fn transform(&mut self, l: &'a Loop, items: Items<'a>) -> Answer<'a> {
        let mut out = ArenaVec::with_capacity_in(items.len.min(16), self.scope().arena);
        let mut failure = None;
        for i in 0..items.len {
            self.bind(l.vars, items, i);
            if !self.passes(l, &mut failure)? {
                continue;
            }
            self.tick(1)?;
            if l.kind == LoopKind::Values {
                // Three arguments: upstream stops at the accumulator's error before it looks at the others.
                if failure.is_some() {
                    continue;
                }
                self.tick(1)?;
            }
            let value = self.eval(&l.body);
            self.tick(1)?;
            match value {
                Err(e) if e.kind.is_fatal() => return Err(e),
                Err(e) => failure = failure.or(Some(e)),
                Ok(_) if failure.is_some() => {}
                Ok(value) => failure = self.insert(l, items, i, value, &mut out).err(),
            }
        }
        self.tick(1 + l.init_cost)?;
        // Whatever failed came after the entries that are here.
        if let Some(key) = repeated_key(&out, self.scope().arena) {
            let kind = self.text(format_args!("insert failed: key {} already exists", Shown(key)));
            return Err(self.fail(kind, l.at));
        }
        match failure {
            Some(e) => Err(e),
            None => Ok(map_of(out, self.scope().arena, self.scope().symbols)),
        }
    }

    fn insert(
        &self,
        l: &'a Loop,
        items: Items<'a>,
        i: usize,
        value: Value<'a>,
        out: &mut Entries<'a>,
    ) -> Result<(), Fail<'a>> {
        if l.kind == LoopKind::Values {
            let key = match items.range {
                Value::List(_) => Value::Int(i as i64),
                map => map.map_entry(i).unwrap_or_default().0,
            };
            // Keys of a map or indices of a list: distinct already.
            out.push((key, value));
            return Ok(());
        }
        let Some(len) = value.map_len() else { return Err(self.fail(ErrorKind::NoSuchOverload, l.at)) };
        out.extend((0..len).filter_map(|n| value.map_entry(n)));
        Ok(())
    }

    /// A comprehension as written.
    pub(super) fn fold(&mut self, f: &'a Fold) -> Answer<'a> {
        let items = self.range(f.at, &f.range, f.vars)?;
        let Some(accumulator) = self.locals.get(f.accumulator) else {
            return Err(self.fail(ErrorKind::Function("no such attribute(s)"), f.at));
        };
        accumulator.set(Local::Pending(&f.init));
        for i in 0..items.len {
            self.bind(f.vars, items, i);
            match self.truth(&f.condition) {
                Ok(Some(false)) => break,
                Err(e) if e.kind.is_fatal() => return Err(e),
                _ => {}
            }
            accumulator.set(match self.eval(&f.step) {
                Ok(v) => Local::Value(v),
                Err(e) if e.kind.is_fatal() => return Err(e),
                Err(e) => Local::Failed(e),
            });
        }
        self.eval(&f.result)
    }
}
