//! Values as text: what `string(x)`, messages and JSON show for those that JSON has no form for.

use std::fmt;

use crate::value::Value;

/// Shows a bytes, duration, timestamp or library value as the text the API server converts it to.
pub(crate) struct Text<'a>(pub(crate) Value<'a>);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Opaque(o) => write!(f, "{o}"),
            other => write!(f, "{other:?}"),
        }
    }
}
