//! Struct types from tables of their fields.

use stockade_cel::Type;
use stockade_cel::env::StructProvider;

/// Shapes of fields.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    Text,
    Bool,
    Int,
    Time,
    Any,
    Texts,
    TextMap,
    TextsMap,
    Struct(&'static str),
    Structs(&'static str),
}

/// Fields by name.
pub(super) type Fields = &'static [(&'static str, Shape)];

/// Knows the types that a table has; none of them can be constructed.
#[derive(Debug)]
pub(super) struct Table(pub(super) fn(&str) -> Option<Fields>);

impl StructProvider for Table {
    fn has_struct(&self, name: &str) -> bool {
        (self.0)(name).is_some()
    }

    fn field(&self, structure: &str, field: &str) -> Option<Type> {
        let (_, shape) = (self.0)(structure)?.iter().find(|(name, _)| *name == field)?;
        Some(match shape {
            Shape::Text => Type::String,
            Shape::Bool => Type::Bool,
            Shape::Int => Type::Int,
            Shape::Time => Type::Timestamp,
            Shape::Any => Type::Dyn,
            Shape::Texts => Type::list(Type::String),
            Shape::TextMap => Type::map(Type::String, Type::String),
            Shape::TextsMap => Type::map(Type::String, Type::list(Type::String)),
            Shape::Struct(name) => Type::structure(name),
            Shape::Structs(name) => Type::list(Type::structure(name)),
        })
    }

    fn constructible(&self, _: &str) -> bool {
        false
    }
}
