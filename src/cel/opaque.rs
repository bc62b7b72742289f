//! Values of the Kubernetes CEL libraries.

use std::fmt;

use crate::value::Value;

/// A value that only the functions of its library can look into.
#[derive(Debug, Clone, Copy)]
pub enum Opaque<'a> {
    /// A value of a library that the embedding program added (`cluster`, `network`).
    Host {
        /// CEL type name.
        type_name: &'static str,
        /// What the functions of that library need.
        data: Value<'a>,
    },
}

impl Opaque<'_> {
    /// CEL type name, as `type(x)` shows it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Opaque::Host { type_name, .. } => type_name,
        }
    }

    /// Equality of `==`.
    pub fn equals(&self, other: &Opaque<'_>) -> bool {
        match (self, other) {
            (Opaque::Host { type_name: a, data: x }, Opaque::Host { type_name: b, data: y }) => a == b && x.equals(*y),
        }
    }

    /// Size by which upstream's cost tracker charges; 1 for what has no size.
    pub fn cost_size(&self) -> u64 {
        match self {
            Opaque::Host { .. } => 1,
        }
    }
}

impl fmt::Display for Opaque<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.type_name())
    }
}
