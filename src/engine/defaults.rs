//! Defaults of the API server in what mutations add: it fills them after each mutation, so that the next policy sees
//! a container's `imagePullPolicy` though the mutation that added the container did not say it.
//!
//! They are not part of the answer: the API server fills them again when it applies the patch, and people should be
//! shown what policies changed and nothing else.

use serde_json::Value as Json;
use stockade_cel::Value;
use stockade_cel::document::from_json;
use stockade_schema::normalise::normalise;

use crate::facts::Into;
use crate::source_object::carry_over;

/// Fills defaults into mutated objects that came with theirs filled.
#[derive(Default)]
pub(crate) struct Defaults {
    /// Whether the object came as the API server presents it; found out at the first change. An object straight from
    /// a file is left as it is, for its own missing defaults would look like changes.
    presented: Option<bool>,
    /// The object without the defaults that were filled, once some were.
    plain: Option<Json>,
}

// === impl Defaults ===

impl Defaults {
    /// `after`, what a mutation made of `before`, with its defaults filled.
    pub(crate) fn fill<'a>(&mut self, before: Value<'a>, after: Value<'a>, into: Into<'a>) -> Value<'a> {
        if same(before, after) || !*self.presented.get_or_insert_with(|| is_presented(before)) {
            return after;
        }
        let Ok(mutated) = serde_json::to_value(after) else { return after };
        if let Some(plain) = &mut self.plain {
            *plain = carry_over(plain, &serde_json::to_value(before).unwrap_or_default(), &mutated);
        }
        let filled = normalise(mutated.clone());
        if filled == mutated {
            return after;
        }
        self.plain.get_or_insert(mutated);
        from_json(&filled, into.arena, into.symbols).unwrap_or(after)
    }

    /// The object to answer with, where the last one seen is `last`.
    pub(crate) fn without<'a>(&self, last: Value<'a>, into: Into<'a>) -> Value<'a> {
        let plain = self.plain.as_ref().and_then(|json| from_json(json, into.arena, into.symbols).ok());
        plain.unwrap_or(last)
    }
}

fn same(a: Value<'_>, b: Value<'_>) -> bool {
    matches!((a.as_object(), b.as_object()), (Some(a), Some(b)) if std::ptr::eq(a, b))
}

fn is_presented(object: Value<'_>) -> bool {
    serde_json::to_value(object).is_ok_and(|json| normalise(json.clone()) == json)
}
