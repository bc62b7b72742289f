//! The status of a NamespaceGroup.

use serde_json::{Value, json};

use super::conditions::{Wanted, conditions};
use super::gaps::{Gaps, gaps};
use super::objects::Seen;
use super::view::View;
use crate::kinds::namespace_group::NamespaceGroupStatus;
use crate::policies::RefusedObject;

/// Most namespaces, and most gaps, that are named; the schema has the same bound.
const MAX_NAMED: usize = 100;

/// As it should be; none while nothing can be said, as before Namespaces have synced.
pub(super) fn status(view: &View<'_>, name: &str, seen: &Seen, refused: Option<&RefusedObject>) -> Option<Value> {
    if let Some(refused) = refused {
        let wanted = vec![Wanted::new("Ready", false, "Invalid", refused.diagnostics.to_string())];
        let conditions = conditions(wanted, &seen.status, seen.generation, view.now);
        return Some(json!({ "observedGeneration": seen.generation, "conditions": conditions }));
    }
    let group = view.generation.engine.set().groups.iter().find(|g| *g.name == *name)?;
    let Gaps { members, gaps } = gaps(view, group)?;
    let ready = match gaps.len() {
        0 => Wanted::new("Ready", true, "NoGaps", ""),
        some => {
            let message = format!("{some} of {} namespaces lack something: see status.gaps", members.len());
            Wanted::new("Ready", false, "Gaps", message)
        }
    };
    let status = NamespaceGroupStatus {
        observed_generation: Some(seen.generation),
        conditions: conditions(vec![ready], &seen.status, seen.generation, view.now),
        members: i64::try_from(members.len()).ok(),
        gap_count: i64::try_from(gaps.len()).ok(),
        ..NamespaceGroupStatus::default()
    };
    let mut status = serde_json::to_value(status).ok()?;
    // Written also when they are empty: a list that is left out may stay somebody else's.
    status["namespaces"] = json!(members.iter().take(MAX_NAMED).collect::<Vec<_>>());
    status["gaps"] = json!(gaps.iter().take(MAX_NAMED).collect::<Vec<_>>());
    Some(status)
}
