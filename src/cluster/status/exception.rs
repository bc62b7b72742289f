//! The status of a PolicyException.

use jiff::Timestamp;
use serde_json::Value;
use stockade_engine::exceptions::{Age, age};
use stockade_policy::compiled::Exception;

use super::conditions::{Wanted, conditions};
use super::objects::{Key, Seen};
use super::view::View;
use crate::kinds::policy_exception::PolicyExceptionStatus;
use crate::policies::RefusedObject;

/// As it should be; none while nothing can be said.
pub(super) fn status(view: &View<'_>, key: &Key, seen: &Seen, refused: Option<&RefusedObject>) -> Option<Value> {
    let wanted = match refused {
        Some(refused) => vec![Wanted::new("Ready", false, "Invalid", refused.diagnostics.to_string())],
        None => readable(view, view.exception(&key.namespace, &key.name)?),
    };
    let status = PolicyExceptionStatus {
        observed_generation: Some(seen.generation),
        conditions: conditions(wanted, &seen.status, seen.generation, view.now),
        ..PolicyExceptionStatus::default()
    };
    serde_json::to_value(status).ok()
}

fn readable(view: &View<'_>, exception: &Exception) -> Vec<Wanted> {
    let age = age(exception, view.now.as_second());
    let at = Timestamp::from_second(exception.expires).map(|t| t.to_string()).unwrap_or_default();
    let expired = match age {
        Age::Expired => Wanted::new("Expired", true, "Expired", format!("since {at} it waives nothing")),
        Age::ExpiresSoon => Wanted::new("Expired", false, "ExpiresSoon", format!("expires {at}")),
        Age::Valid => Wanted::new("Expired", false, "Valid", format!("expires {at}")),
    };
    let unknown: Vec<&str> =
        exception.policies.iter().map(|p| p.name.as_str()).filter(|name| view.policy(name).is_none()).collect();
    let ready = match (age, unknown.as_slice()) {
        (Age::Expired, _) => Wanted::new("Ready", false, "Expired", format!("since {at} it waives nothing")),
        (_, []) => Wanted::new("Ready", true, "Ready", ""),
        (_, names) => Wanted::new("Ready", false, "PolicyNotFound", format!("no policy named {}", names.join(", "))),
    };
    vec![ready, expired]
}
