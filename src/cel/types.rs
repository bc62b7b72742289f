//! Types of expressions, as the checker knows them.

use std::fmt;
use std::sync::Arc;

/// A type. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Type {
    /// Anything; checks are left to run time.
    Dyn,
    /// Type of an expression that did not check; assignable to all, so that one fault gives one message.
    Error,
    /// `null_type`
    Null,
    /// `bool`
    Bool,
    /// `int`, 64 bits
    Int,
    /// `uint`, 64 bits
    Uint,
    /// `double`
    Double,
    /// `string`
    String,
    /// `bytes`
    Bytes,
    /// `google.protobuf.Duration`
    Duration,
    /// `google.protobuf.Timestamp`
    Timestamp,
    /// `list(T)`
    List(Arc<Type>),
    /// `map(K, V)`
    Map(Arc<Type>, Arc<Type>),
    /// `optional_type(T)`
    Optional(Arc<Type>),
    /// The type of a type: `type(T)`
    Type(Arc<Type>),
    /// A named type with fields that a [`crate::env::StructProvider`] knows (`kubernetes.AdmissionRequest`, `Object.spec`).
    Struct(Arc<str>),
    /// A named type without fields (`kubernetes.Quantity`, `net.IP`).
    Opaque(Arc<str>),
    /// A type parameter of a function declaration (`T` in `list(T).first() -> optional_type(T)`).
    Param(Arc<str>),
    /// A type variable made by the checker.
    Variable(u32),
}

impl Type {
    /// `list(element)`
    pub fn list(element: Type) -> Self {
        Type::List(Arc::new(element))
    }

    /// `map(key, value)`
    pub fn map(key: Type, value: Type) -> Self {
        Type::Map(Arc::new(key), Arc::new(value))
    }

    /// `optional_type(inner)`
    pub fn optional(inner: Type) -> Self {
        Type::Optional(Arc::new(inner))
    }

    /// `type(inner)`
    pub fn of_type(inner: Type) -> Self {
        Type::Type(Arc::new(inner))
    }

    /// A named type without fields.
    pub fn opaque(name: &str) -> Self {
        Type::Opaque(name.into())
    }

    /// A named type with fields.
    pub fn structure(name: &str) -> Self {
        Type::Struct(name.into())
    }

    /// A type parameter.
    pub fn param(name: &str) -> Self {
        Type::Param(name.into())
    }
}

impl fmt::Display for Type {
    /// As cel-go prints types in error messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Dyn => f.write_str("dyn"),
            Type::Error => f.write_str("!error!"),
            Type::Null => f.write_str("null_type"),
            Type::Bool => f.write_str("bool"),
            Type::Int => f.write_str("int"),
            Type::Uint => f.write_str("uint"),
            Type::Double => f.write_str("double"),
            Type::String => f.write_str("string"),
            Type::Bytes => f.write_str("bytes"),
            Type::Duration => f.write_str("google.protobuf.Duration"),
            Type::Timestamp => f.write_str("google.protobuf.Timestamp"),
            Type::List(t) => write!(f, "list({t})"),
            Type::Map(k, v) => write!(f, "map({k}, {v})"),
            Type::Optional(t) => write!(f, "optional_type({t})"),
            Type::Type(t) => write!(f, "type({t})"),
            Type::Struct(n) | Type::Opaque(n) | Type::Param(n) => f.write_str(n),
            Type::Variable(n) => write!(f, "_var{n}"),
        }
    }
}
