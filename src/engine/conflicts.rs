//! Fields that several mutating policies set to different values: the last one wins, as in the API server, and people
//! are told, because which one is last depends on names.

use std::collections::HashMap;

use stockade_cel::Value;
use stockade_policy::compiled::{Binding, Policy};
use stockade_schema::json_patch::Operation;

use crate::decision::{FindingAction, FindingResult};
use crate::outcome::{Outcome, Place};

/// Most fields watched for conflicts in one request.
const MAX_FIELDS: usize = 1_000;

/// Most conflicts told of in warnings.
const MAX_WARNED: usize = 3;

/// Who set which field last.
#[derive(Default)]
pub(crate) struct Conflicts<'c> {
    fields: HashMap<&'c str, (&'c Policy, Option<Value<'c>>)>,
    found: Vec<Conflict<'c>>,
}

struct Conflict<'c> {
    field: &'c str,
    first: &'c Policy,
    last: &'c Policy,
    binding: Option<&'c Binding>,
}

impl<'c> Conflicts<'c> {
    /// Remembers what a policy changed, and notes what another one had set before. Elements of lists are left out:
    /// their positions shift, and adding to one list is what policies do side by side.
    pub(crate) fn note(&mut self, place: Place<'c>, operations: &[Operation<'c>]) {
        let of_lists =
            |path: &str| path.split('/').any(|part| part.bytes().all(|b| b.is_ascii_digit()) && !part.is_empty());
        for o in operations.iter().filter(|o| !o.path.is_empty() && !of_lists(o.path)) {
            if let Some((first, value)) = self.fields.get(o.path) {
                let differs = serde_json::to_value(value).ok() != serde_json::to_value(o.value).ok();
                if differs && first.name != place.policy.name {
                    let conflict = Conflict { field: o.path, first, last: place.policy, binding: place.binding };
                    self.found.push(conflict);
                }
            } else if self.fields.len() >= MAX_FIELDS {
                continue;
            }
            self.fields.insert(o.path, (place.policy, o.value));
        }
    }

    /// Tells of the conflicts: all as findings, the first few as warnings.
    pub(crate) fn report(self, out: &mut Outcome) {
        for (number, c) in self.found.iter().enumerate() {
            let (first, last, field) = (&c.first.name, &c.last.name, c.field);
            let message = format!("policies '{first}' and '{last}' set {field} to different values; '{last}' wins");
            if number < MAX_WARNED {
                out.warn(message.clone());
            }
            let place = Place { policy: c.last, binding: c.binding };
            let mut finding = place.finding("conflict", (FindingAction::Warn, FindingResult::Mutated), message, 0);
            finding.path = Some(c.field.trim_start_matches('/').replace('/', "."));
            out.find(finding);
        }
    }
}
