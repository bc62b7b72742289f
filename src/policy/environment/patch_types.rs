//! Types that a mutation constructs (apiserver `pkg/cel/mutation`): `Object` and `Object.any.path` take any field of
//! any type, `JSONPatch` takes the four fields of RFC 6902.

use stockade_cel::Type;
use stockade_cel::env::StructProvider;

use super::{APPLY_CONFIGURATION, JSON_PATCH};

/// Knows the types above.
#[derive(Debug)]
pub(super) struct PatchTypes;

impl StructProvider for PatchTypes {
    fn has_struct(&self, name: &str) -> bool {
        let path = name.strip_prefix(APPLY_CONFIGURATION);
        name == JSON_PATCH || path.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    fn field(&self, structure: &str, field: &str) -> Option<Type> {
        if structure != JSON_PATCH {
            return Some(Type::Dyn);
        }
        match field {
            "op" | "path" | "from" => Some(Type::String),
            "value" => Some(Type::Dyn),
            _ => None,
        }
    }

    fn constructible(&self, name: &str) -> bool {
        self.has_struct(name)
    }
}
