//! The schema as the merge sees it: what of scalar, list and map a type may be.

use stockade_cel::Value;

use super::Form;
use crate::json;
use crate::shape::{ListKind, Shape, StringFormat, TypeId};

/// A type, or one of the two that stand where the schema declares none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TypeRef {
    Type(TypeId),
    /// Anything, replaced as a whole.
    Untyped,
    /// Anything; maps merge by key, lists are replaced.
    Deduced,
    /// No such member may exist.
    Undeclared,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scalar {
    Number,
    String,
    Bool,
    Any,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListAtom {
    pub(super) element: TypeRef,
    pub(super) atomic: bool,
    /// Fields that tell items apart; empty for a set of scalars.
    pub(super) keys: &'static [&'static str],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MapAtom {
    /// Struct whose fields are declared, if it is one.
    fields: Option<TypeId>,
    /// Type of members that are not declared fields.
    element: TypeRef,
    pub(super) atomic: bool,
}

/// What a type may be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Atom {
    pub(super) scalar: Option<Scalar>,
    pub(super) list: Option<ListAtom>,
    pub(super) map: Option<MapAtom>,
}

impl MapAtom {
    /// Type of a member.
    pub(super) fn member(&self, key: &str) -> TypeRef {
        self.declared(key).unwrap_or(self.element)
    }

    /// Type of a declared field.
    pub(super) fn declared(&self, key: &str) -> Option<TypeRef> {
        self.fields?.field(key).map(|f| TypeRef::Type(f.ty))
    }

    /// Without any schema: the members of a custom resource.
    pub(super) fn is_deduced(&self) -> bool {
        self.element == TypeRef::Deduced
    }
}

impl Atom {
    pub(super) fn of(ty: TypeRef) -> Self {
        let anything = |scalar, element, atomic| Atom {
            scalar,
            list: Some(ListAtom { element: TypeRef::Untyped, atomic: true, keys: &[] }),
            map: Some(MapAtom { fields: None, element, atomic }),
        };
        let scalar = |scalar| Atom { scalar: Some(scalar), ..Atom::default() };
        let map = |fields, element, atomic| Atom { map: Some(MapAtom { fields, element, atomic }), ..Atom::default() };
        let id = match ty {
            TypeRef::Type(id) => id,
            TypeRef::Untyped => return anything(Some(Scalar::Any), TypeRef::Untyped, true),
            TypeRef::Deduced => return anything(Some(Scalar::Any), TypeRef::Deduced, false),
            TypeRef::Undeclared => return Atom::default(),
        };
        match id.shape() {
            Shape::String(StringFormat::DateTime | StringFormat::Other(_)) | Shape::Quantity => scalar(Scalar::Any),
            Shape::String(_) => scalar(Scalar::String),
            Shape::Int { .. } | Shape::Double => scalar(Scalar::Number),
            Shape::Bool => scalar(Scalar::Bool),
            Shape::IntOrString | Shape::Any => anything(Some(Scalar::Any), TypeRef::Deduced, false),
            Shape::Raw => anything(Some(Scalar::Any), TypeRef::Untyped, true),
            Shape::Object => map(None, TypeRef::Deduced, false),
            Shape::Map { element, atomic } => map(None, TypeRef::Type(*element), *atomic),
            Shape::Struct { atomic, .. } => map(Some(id), TypeRef::Undeclared, *atomic),
            Shape::List { element, kind } => {
                let (atomic, keys) = match kind {
                    ListKind::Atomic => (true, &[][..]),
                    ListKind::Set => (false, &[][..]),
                    ListKind::Map(keys) => (false, keys.as_slice()),
                };
                let list = ListAtom { element: TypeRef::Type(*element), atomic, keys };
                Atom { list: Some(list), ..Atom::default() }
            }
        }
    }

    /// What a value of this type is merged as: what it is, where the type allows that; otherwise what the type
    /// prefers (map, scalar, list).
    pub(super) fn form(self, value: Option<Value<'_>>) -> Form {
        let value = value.unwrap_or_default();
        match self {
            Atom { list: Some(list), .. } if matches!(value, Value::List(_)) => Form::List(list),
            Atom { scalar: Some(_), .. } if is_scalar(value) => Form::Leaf,
            Atom { map: Some(map), .. } if json::object(value).is_some() => Form::Map(map),
            Atom { map: Some(map), .. } => Form::Map(map),
            Atom { scalar: Some(_), .. } => Form::Leaf,
            Atom { list: Some(list), .. } => Form::List(list),
            _ => Form::Leaf,
        }
    }
}

/// What counts as a scalar: the kinds of JSON, no value of CEL's own.
pub(super) fn is_scalar(value: Value<'_>) -> bool {
    matches!(value, Value::Int(_) | Value::Double(_) | Value::String(_) | Value::Bool(_))
}
