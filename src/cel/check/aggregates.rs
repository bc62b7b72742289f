//! Literals of lists, maps and structs.

use super::Checker;
use super::format::Shown;
use super::names;
use super::unify::most_general;
use crate::ast::{Expr, ExprId, ExprKind, MapEntry, StructField};
use crate::checked::Reference;
use crate::types::Type;

impl Checker<'_> {
    pub(super) fn list(&mut self, id: ExprId, elements: &mut [Expr], optional: &[u32]) {
        let mut joined = None;
        for (i, element) in elements.iter_mut().enumerate() {
            self.check(element);
            let ty = self.maybe_optional(element, optional.binary_search(&(i as u32)).is_ok());
            joined = Some(self.join(joined, ty));
        }
        let element = joined.unwrap_or_else(|| self.unifier.fresh());
        self.set_bounded(id, Type::list(element));
    }

    pub(super) fn map(&mut self, id: ExprId, entries: &mut [MapEntry]) {
        let mut joined: Option<(Type, Type)> = None;
        for entry in entries {
            self.check(&mut entry.key);
            let (keys, values) = joined.take().map_or((None, None), |(k, v)| (Some(k), Some(v)));
            let key = self.type_of(&entry.key);
            let key = self.join(keys, key);
            self.check(&mut entry.value);
            let value = self.maybe_optional(&entry.value, entry.optional);
            let value = self.join(values, value);
            joined = Some((key, value));
        }
        let (key, value) = joined.unwrap_or_else(|| (self.unifier.fresh(), self.unifier.fresh()));
        self.set_bounded(id, Type::map(key, value));
    }

    /// Type that an element contributes; one marked with `?` must be an optional and contributes what is in it.
    fn maybe_optional(&mut self, expr: &Expr, marked: bool) -> Type {
        let ty = self.type_of(expr);
        if !marked {
            return ty;
        }
        match &ty {
            Type::Optional(inner) => (**inner).clone(),
            Type::Dyn => ty,
            _ => {
                self.mismatch(expr.id, &Type::optional(ty.clone()), &ty);
                ty
            }
        }
    }

    /// Common type of the elements so far and the next. Whether they may differ is the business of the validator.
    fn join(&mut self, previous: Option<Type>, next: Type) -> Type {
        let Some(previous) = previous else { return next };
        if self.unifier.assignable(&previous, &next) {
            return most_general(&previous, &next).clone();
        }
        Type::Dyn
    }

    pub(super) fn structure(&mut self, expr: &mut Expr) {
        let id = expr.id;
        let ExprKind::Struct { name, fields } = &mut expr.kind else { return };
        let Some(found) = names::find(self.env, &self.scopes, name) else {
            let name = name.clone();
            self.undeclared(id, &name);
            return;
        };
        name.clone_from(&found.name);
        self.refer(id, Reference::TypeName(found.name.clone()));
        let ty = self.constructed(id, &found.ty);
        self.set(id, ty);
        for field in fields {
            self.field_value(&found.name, field);
        }
    }

    /// Type that a struct literal of a name of type `named` makes.
    fn constructed(&mut self, id: ExprId, named: &Type) -> Type {
        let Type::Type(inner) = named else {
            self.issue(id, format!("'{named}' is not a type"));
            return Type::Error;
        };
        match &**inner {
            ty @ (Type::Duration | Type::Timestamp | Type::Null) => ty.clone(),
            Type::Struct(name) => {
                if self.env.structs.iter().any(|s| s.constructible(name)) {
                    return (**inner).clone();
                }
                self.issue(id, format!("undeclared reference to '{name}' (in container '{}')", self.env.container));
                Type::Error
            }
            other => {
                self.issue(id, format!("'{}' is not a message type", super::format::bare_name(other)));
                Type::Error
            }
        }
    }

    fn field_value(&mut self, structure: &str, field: &mut StructField) {
        self.check(&mut field.value);
        let declared = self.struct_field(field.id, structure, &field.name);
        let found = self.maybe_optional(&field.value, field.optional);
        if !self.unifier.assignable(&declared, &found) {
            let (declared, found) = (Shown(&declared), Shown(&found));
            let name = &field.name;
            let message = format!("expected type of field '{name}' is '{declared}' but provided type is '{found}'");
            self.issue(field.id, message);
        }
    }
}
