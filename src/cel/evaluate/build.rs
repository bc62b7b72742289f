//! Lists, maps and structs that expressions write out.

use std::cmp::Ordering;

use bumpalo::collections::Vec as ArenaVec;

use super::{Answer, Fail, Run};
use crate::ast::ExprId;
use crate::plan::node::{Element, MapEntry, StructNode};
use crate::render::Shown;
use crate::value::{Entry, Object, Struct, Value};

/// cel-go's `ListCreateBaseCost`, `MapCreateBaseCost`, `StructCreateBaseCost`.
const LIST: u64 = 10;
const MAP: u64 = 30;
const STRUCT: u64 = 40;

type Entries<'a> = ArenaVec<'a, (Value<'a>, Value<'a>)>;

impl<'a> Run<'a, '_> {
    pub(super) fn list(&mut self, at: ExprId, elements: &'a [Element]) -> Answer<'a> {
        let built = self.elements(at, elements);
        self.tick(LIST)?;
        built
    }

    fn elements(&mut self, at: ExprId, elements: &'a [Element]) -> Answer<'a> {
        let mut items = ArenaVec::with_capacity_in(elements.len(), self.scope().arena);
        for element in elements {
            let value = self.eval(&element.value)?;
            match (element.optional, value) {
                (false, v) => items.push(v),
                (true, Value::Optional(Some(v))) => items.push(*v),
                (true, Value::Optional(None)) => {}
                (true, v) => {
                    let kind = self.text(format_args!(
                        "cannot initialize optional list element from non-optional value {}",
                        Shown(v)
                    ));
                    return Err(self.fail(kind, at));
                }
            }
        }
        Ok(Value::List(items.into_bump_slice()))
    }

    pub(super) fn map(&mut self, at: ExprId, entries: &'a [MapEntry]) -> Answer<'a> {
        let built = self.entries(at, entries);
        self.tick(MAP)?;
        Ok(self.map_value(built?))
    }

    fn entries(&mut self, at: ExprId, entries: &'a [MapEntry]) -> Result<Entries<'a>, Fail<'a>> {
        let mut out = ArenaVec::with_capacity_in(entries.len(), self.scope().arena);
        for entry in entries {
            let key = self.eval(&entry.key)?;
            let value = self.eval(&entry.value)?;
            self.put(at, &mut out, key, value, entry.optional)?;
        }
        Ok(out)
    }

    /// Adds one entry. An optional one that is none takes away what an earlier entry of that key put there.
    fn put(
        &self,
        at: ExprId,
        out: &mut Entries<'a>,
        key: Value<'a>,
        value: Value<'a>,
        optional: bool,
    ) -> Result<(), Fail<'a>> {
        match (optional, value) {
            (false, v) => out.push((key, v)),
            (true, Value::Optional(Some(v))) => out.push((key, *v)),
            (true, Value::Optional(None)) => out.retain(|(k, _)| key_order(*k, key).is_ne()),
            (true, v) => {
                let (key, value) = (Shown(key), Shown(v));
                let kind =
                    self.text(format_args!("cannot initialize optional entry '{key}' from non-optional value {value}"));
                return Err(self.fail(kind, at));
            }
        }
        Ok(())
    }

    pub(super) fn structure(&mut self, s: &'a StructNode) -> Answer<'a> {
        let built = self.fields(s);
        self.tick(STRUCT)?;
        let fields = self.object(built?);
        let arena = self.scope().arena;
        Ok(Value::Struct(arena.alloc(Struct { type_name: &s.type_name, fields })))
    }

    fn fields(&mut self, s: &'a StructNode) -> Result<Entries<'a>, Fail<'a>> {
        let mut out = ArenaVec::with_capacity_in(s.fields.len(), self.scope().arena);
        for field in &s.fields {
            let value = self.eval(&field.value)?;
            self.put(s.at, &mut out, Value::String(&field.name), value, field.optional)?;
        }
        Ok(out)
    }

    /// A map of entries, the last of equal keys winning. One shape for one meaning: an object when all keys are
    /// strings.
    pub(super) fn map_value(&self, entries: Entries<'a>) -> Value<'a> {
        if entries.iter().all(|(k, _)| matches!(k, Value::String(_))) {
            return Value::Object(self.scope().arena.alloc(self.object(entries)));
        }
        Value::Map(last_wins(entries).into_bump_slice())
    }

    fn object(&self, entries: Entries<'a>) -> Object<'a> {
        let arena = self.scope().arena;
        let symbols = self.scope().symbols;
        let entry = |(k, value): &(Value<'a>, Value<'a>)| {
            let key = k.as_str().unwrap_or("");
            Entry { symbol: symbols.lookup(key), key, value: *value }
        };
        let made = arena.alloc_slice_fill_iter(entries.iter().map(entry));
        if let Ok(object) = Object::new(made, arena) {
            return object;
        }
        let distinct = arena.alloc_slice_fill_iter(last_wins(entries).iter().map(entry));
        Object::new(distinct, arena).unwrap_or(Object::EMPTY)
    }
}

/// Entries without those that a later one of the same key replaces.
fn last_wins(entries: Entries<'_>) -> Entries<'_> {
    let arena = entries.bump();
    let order = arena.alloc_slice_fill_iter(0..entries.len());
    order.sort_unstable_by(|a, b| key_order(entries[*a].0, entries[*b].0).then(a.cmp(b)));
    let mut replaced = ArenaVec::new_in(arena);
    replaced.extend(order.windows(2).filter(|w| key_order(entries[w[0]].0, entries[w[1]].0).is_eq()).map(|w| w[0]));
    if replaced.is_empty() {
        return entries;
    }
    replaced.sort_unstable();
    let mut entries = entries;
    let mut at = 0;
    entries.retain(|_| {
        at += 1;
        replaced.binary_search(&(at - 1)).is_err()
    });
    entries
}

/// A total order of keys in which only keys of one type can be equal, as Go's map has it.
pub(super) fn key_order(a: Value<'_>, b: Value<'_>) -> Ordering {
    a.type_name().cmp(b.type_name()).then_with(|| a.compare(b).unwrap_or(Ordering::Equal))
}
