//! The type of a built-in kind's objects for the checker (apiserver `pkg/cel/common/schemas.go`): each nested object
//! has a type named by its path (`Pod.spec.containers.@idx`), found by walking the schema, so that schemas which
//! contain themselves need no copy.

use stockade_cel::Type;
use stockade_cel::env::StructProvider;
use stockade_schema::{Shape, StringFormat, TypeId};

/// Deepest path that is followed; no field of a built-in kind that an expression names lies this deep.
const MAX_PATH: usize = 64;

/// Types of one kind.
#[derive(Debug)]
pub(super) struct SchemaTypes {
    name: String,
    root: TypeId,
}

impl SchemaTypes {
    pub(super) fn new(name: &str, root: TypeId) -> Self {
        Self { name: name.to_owned(), root }
    }

    pub(super) fn root_type(&self) -> Type {
        declared(&self.name, self.root, 0).unwrap_or(Type::Dyn)
    }

    /// The struct type that a path names.
    fn resolve(&self, path: &str) -> Option<TypeId> {
        let rest = path.strip_prefix(self.name.as_str())?;
        let mut at = self.root;
        if rest.is_empty() {
            return Some(at);
        }
        for step in rest.strip_prefix('.')?.split('.') {
            at = match (step, at.shape()) {
                ("@idx", Shape::List { element, .. }) | ("@elem", Shape::Map { element, .. }) => *element,
                (name, Shape::Struct { .. }) => at.field(&unescaped(name))?.ty,
                _ => return None,
            };
        }
        matches!(at.shape(), Shape::Struct { .. } | Shape::Raw | Shape::Object).then_some(at)
    }
}

impl StructProvider for SchemaTypes {
    fn has_struct(&self, name: &str) -> bool {
        self.resolve(name).is_some()
    }

    fn field(&self, structure: &str, field: &str) -> Option<Type> {
        let at = self.resolve(structure)?;
        declared(&format!("{structure}.{field}"), at.field(&unescaped(field))?.ty, 0)
    }

    fn constructible(&self, _: &str) -> bool {
        false
    }
}

/// The checker's type of a schema; `None` for what upstream does not show to expressions.
fn declared(path: &str, ty: TypeId, depth: usize) -> Option<Type> {
    if depth > MAX_PATH {
        return None;
    }
    Some(match ty.shape() {
        Shape::String(StringFormat::Byte) => Type::Bytes,
        Shape::String(StringFormat::DateTime) => Type::Timestamp,
        Shape::String(StringFormat::Other("duration")) => Type::Duration,
        Shape::String(StringFormat::Other("date")) => Type::Timestamp,
        Shape::String(_) => Type::String,
        Shape::Int { .. } => Type::Int,
        Shape::Double => Type::Double,
        Shape::Bool => Type::Bool,
        Shape::IntOrString => Type::Dyn,
        Shape::Quantity | Shape::Any => return None,
        Shape::Raw | Shape::Object | Shape::Struct { .. } => Type::structure(path),
        Shape::List { element, .. } => Type::list(declared(&format!("{path}.@idx"), *element, depth + 1)?),
        Shape::Map { element, .. } => Type::map(Type::String, declared(&format!("{path}.@elem"), *element, depth + 1)?),
    })
}

/// The JSON name of a field as expressions spell it: names that are words of the language, or hold other characters
/// than letters, digits and `_`, are written escaped (`__namespace__`, `x__dash__y`).
fn unescaped(name: &str) -> String {
    if !name.contains("__") {
        return name.to_owned();
    }
    let word = name.strip_prefix("__").and_then(|n| n.strip_suffix("__")).filter(|n| !n.contains("__"));
    match word {
        Some("dash" | "dot" | "slash" | "underscores") | None => name
            .replace("__dash__", "-")
            .replace("__dot__", ".")
            .replace("__slash__", "/")
            .replace("__underscores__", "__"),
        Some(word) => word.to_owned(),
    }
}
