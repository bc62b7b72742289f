//! Types of fields, as the server's OpenAPI document declares them.

use crate::kinds::Kinds;

/// A type of the built-in schema; small, `Copy`, valid for the life of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(pub(crate) u16);

/// The declared fields of a struct type, shared by its atomic and its granular form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StructId(pub(crate) u16);

/// What a type looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// A JSON string.
    String(StringFormat),
    /// A JSON integer of 32 or 64 bits.
    Int {
        /// 32 or 64.
        bits: u8,
    },
    /// A JSON number.
    Double,
    /// A JSON boolean.
    Bool,
    /// `IntOrString`: an integer or a string.
    IntOrString,
    /// `resource.Quantity`: a string or a number. The server's own schema for CEL gives it no type, so that fields of
    /// it, and maps of it (`resources.limits`), are not visible to upstream's type check.
    Quantity,
    /// Any JSON value (`apiextensions.v1.JSON` and its relatives).
    Any,
    /// `RawExtension`: any object, replaced as a whole when merged.
    Raw,
    /// An object without declared fields (`FieldsV1`), merged key by key.
    Object,
    /// A list.
    List {
        /// Type of the items.
        element: TypeId,
        /// How two lists merge.
        kind: ListKind,
    },
    /// A map with string keys.
    Map {
        /// Type of the values.
        element: TypeId,
        /// Replaced as a whole when merged.
        atomic: bool,
    },
    /// An object with declared fields.
    Struct {
        /// Which.
        fields: StructId,
        /// Replaced as a whole when merged.
        atomic: bool,
    },
}

/// What a string holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StringFormat {
    /// Anything.
    Plain,
    /// Base64 of bytes.
    Byte,
    /// RFC 3339.
    DateTime,
    /// Another format the document names.
    Other(&'static str),
    /// One of the values, separated by `|`. The server checks them in validation, after admission.
    Enum(&'static str),
}

/// How two lists merge (`x-kubernetes-list-type`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListKind {
    /// Replaced as a whole.
    Atomic,
    /// A set of scalars.
    Set,
    /// Items are objects, told apart by these fields.
    Map(Vec<&'static str>),
}

/// The declared fields of a struct type.
#[derive(Debug, PartialEq, Eq)]
pub struct Fields {
    /// Name in the OpenAPI document: `io.k8s.api.core.v1.PodSpec`.
    pub name: &'static str,
    /// Sorted by name.
    pub(crate) list: Vec<Field>,
}

/// One declared field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// JSON name.
    pub name: &'static str,
    /// Its type.
    pub ty: TypeId,
    /// Listed as required.
    pub required: bool,
    /// When the server writes it.
    pub presence: Presence,
    /// The declared default as JSON text. Zero values (`""`, `0`, `{}`) are declared for fields that Go always
    /// writes; other defaults of the server are not declared here but filled by the server's defaulting functions.
    pub default: Option<&'static str>,
}

/// When the server writes a field (its Go type and `json` tag).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Unless it is empty or zero; one whose Go type is a struct, always.
    Omitted,
    /// Always, be it zero or null.
    Always,
    /// When it was set, be it to zero.
    Pointer,
    /// Always: a value, be it zero, or null when it was not set.
    Nullable,
    /// Unless it is zero, a struct too.
    NeverZero,
}

// === impl Fields ===

impl Fields {
    /// The field of that name.
    pub fn get(&self, name: &str) -> Option<&Field> {
        self.list.binary_search_by_key(&name, |f| f.name).ok().map(|i| &self.list[i])
    }

    /// All, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &Field> {
        self.list.iter()
    }
}

// === impl StructId ===

impl StructId {
    /// The fields.
    pub fn fields(self) -> &'static Fields {
        Kinds::builtin().fields(self)
    }
}

// === impl TypeId ===

impl TypeId {
    /// What it looks like.
    pub fn shape(self) -> &'static Shape {
        Kinds::builtin().shape(self)
    }

    /// The field of a struct; `None` when this is no struct or has no such field.
    pub fn field(self, name: &str) -> Option<&'static Field> {
        match self.shape() {
            Shape::Struct { fields, .. } => fields.fields().get(name),
            _ => None,
        }
    }

    /// Type of a member by key: a field of a struct, or any key of a map.
    pub fn member(self, name: &str) -> Option<TypeId> {
        match self.shape() {
            Shape::Struct { fields, .. } => fields.fields().get(name).map(|f| f.ty),
            Shape::Map { element, .. } => Some(*element),
            _ => None,
        }
    }

    /// Type of a list's items.
    pub fn element(self) -> Option<TypeId> {
        match self.shape() {
            Shape::List { element, .. } => Some(*element),
            _ => None,
        }
    }

    /// Name of a struct type in the OpenAPI document.
    pub fn name(self) -> Option<&'static str> {
        match self.shape() {
            Shape::Struct { fields, .. } => Some(fields.fields().name),
            _ => None,
        }
    }
}
