//! Lists, maps and structs that expressions write out.

use bumpalo::collections::Vec as ArenaVec;

use super::{Answer, Fail, Run};
use crate::ast::ExprId;
use crate::plan::node::{Element, MapEntry, StructNode};
use crate::render::Shown;
use crate::value::{Entries, Struct, Value, map_of, object_of, same_key};

/// cel-go's `ListCreateBaseCost`, `MapCreateBaseCost`, `StructCreateBaseCost`.
const LIST: u64 = 10;
const MAP: u64 = 30;
const STRUCT: u64 = 40;

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
        Ok(map_of(built?, self.scope().arena, self.scope().symbols))
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
            (true, Value::Optional(None)) => out.retain(|(k, _)| !same_key(*k, key)),
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
        let arena = self.scope().arena;
        let fields = object_of(&built?, arena, self.scope().symbols);
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
}
