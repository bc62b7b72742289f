//! The status of an AdmissionPolicy, and of an ImagePolicy, which has the same.

use serde_json::Value;
use stockade_policy::compile::incremental::Standing;
use stockade_policy::compiled::Policy;

use super::conditions::{Wanted, conditions, cut};
use super::objects::{Key, Seen};
use super::view::View;
use crate::facts::{Read, reads};
use crate::kinds::admission_policy::{AdmissionPolicyStatus, ExpressionWarning, TypeChecking};
use crate::policies::RefusedObject;

/// Most warnings that are shown; the schema has the same bound.
const MAX_WARNINGS: usize = 64;

/// As it should be; none while nothing can be said.
pub(super) fn status(view: &View<'_>, key: &Key, seen: &Seen, refused: Option<&RefusedObject>) -> Option<Value> {
    let policy = view.policy(&key.name).filter(|p| p.flavour.kind() == key.kind.as_str());
    if refused.is_none() && policy.is_none() {
        // It came and went again between two generations.
        return None;
    }
    let policy = policy.filter(|_| refused.is_none());
    let enforced = match refused {
        None => view.replicas.iter().filter(|r| r.observed.of(key.kind) >= seen.since).count(),
        Some(_) => 0,
    };
    let wanted = match refused {
        Some(refused) => broken(refused),
        None => compiled(view, policy, enforced),
    };
    let status = AdmissionPolicyStatus {
        observed_generation: Some(seen.generation),
        conditions: conditions(wanted, &seen.status, seen.generation, view.now),
        enforced: Some(format!("{enforced}/{}", view.replicas.len())),
        enforced_replicas: i32::try_from(enforced).ok(),
        type_checking: Some(TypeChecking { expression_warnings: policy.map(warnings).unwrap_or_default() }),
        // A rollout that stops, and what a shadow shows, are told by others.
        ..AdmissionPolicyStatus::default()
    };
    serde_json::to_value(status).ok()
}

fn broken(refused: &RefusedObject) -> Vec<Wanted> {
    let (reason, message) = match refused.standing {
        Standing::LastGood => ("LastGood", "the last version that compiles stays in force"),
        _ => ("NotInForce", "no version of it has compiled yet"),
    };
    vec![
        Wanted::new("Compiled", false, "Invalid", refused.diagnostics.to_string()),
        Wanted::new("Enforced", false, reason, message),
        Wanted::new("Ready", false, "Invalid", "it does not compile: see the condition Compiled"),
    ]
}

fn compiled(view: &View<'_>, policy: Option<&Policy>, enforced: usize) -> Vec<Wanted> {
    let all = view.replicas.len();
    let everywhere = enforced == all && all > 0;
    let counted = format!("{enforced} of {all} replicas");
    let reason = if everywhere { "AllReplicas" } else { "Progressing" };
    let is_in = |read: &Read, other: &Read| other.kind == read.kind && other.scope.covers(&read.scope);
    let not_synced = &view.generation.not_synced;
    let missing = policy.into_iter().flat_map(reads::of_policy).find(|r| not_synced.iter().any(|n| is_in(r, n)));
    let ready = match missing {
        Some(read) => {
            let message = format!("objects of {read}, which it reads, are not known");
            Wanted::new("Ready", false, "NotSynced", message)
        }
        None => Wanted::new("Ready", everywhere, reason, counted.clone()),
    };
    vec![Wanted::new("Compiled", true, "Compiled", ""), Wanted::new("Enforced", everywhere, reason, counted), ready]
}

fn warnings(policy: &Policy) -> Vec<ExpressionWarning> {
    let shown = policy.type_warnings.iter().take(MAX_WARNINGS);
    shown.map(|w| ExpressionWarning { field_ref: w.field.clone(), warning: cut(w.warning.clone()) }).collect()
}
