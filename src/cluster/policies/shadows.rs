//! How shadows differ from the policies they shadow, counted by each replica and added up in their status.
//!
//! A replica adds what it has counted to the sum that the status has, under its `resourceVersion`, so that no addition
//! of another is lost. Sums in Leases would be of live replicas alone: each one that goes would take its share with it.
//! They are of one generation of the spec; an edit begins anew.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client};
use serde_json::{Value, json};
use stockade_engine::shadow::Comparisons;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Generations, SourceKind, render};
use crate::access::Access;
use crate::kinds::admission_policy::ShadowStatus;
use crate::replicas::{RequestError, bounded};

/// Who owns the fields that are written here.
const MANAGER: &str = "stockade-shadows";
/// How often it is looked what was counted: so long the first difference waits.
const LOOK: Duration = Duration::from_secs(5);
/// Shortest time between two writes of one policy by one replica: each stays in etcd for a while.
const SPACING: Duration = Duration::from_secs(30);
/// The same while nothing differs but the number of requests.
const QUIET_SPACING: Duration = Duration::from_secs(300);
/// How often one write is tried anew when another replica was faster, before the next look.
const TRIES: u32 = 5;

/// Adds up for ever. All of it happens in the future, which ends when there are no more generations.
pub fn write_shadows(access: &Access, generations: Generations) -> impl Future<Output = ()> + Send + use<> {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shadows = Shadows { client: access.client.clone(), waiting: BTreeMap::new(), written: BTreeMap::new() };
    async move {
        while generations.has_changed().is_ok() {
            looks.tick().await;
            let engine = Arc::clone(&generations.borrow().engine);
            let is_shadow = |name: &str| engine.shadows().counts(name);
            shadows.waiting.retain(|name, _| is_shadow(name));
            shadows.written.retain(|name, _| is_shadow(name));
            engine.shadows().take().into_iter().for_each(|counted| shadows.add(counted));
            shadows.write_due(Instant::now()).await;
        }
    }
}

/// What this replica has counted and not written, and when it wrote last, by policy: only those there are.
struct Shadows {
    client: Client,
    waiting: BTreeMap<Arc<str>, Comparisons>,
    written: BTreeMap<Arc<str>, Instant>,
}

// === impl Shadows ===

impl Shadows {
    /// Adds what was counted of a policy; counts of an older revision are dropped.
    fn add(&mut self, counted: Comparisons) {
        match self.waiting.get_mut(&counted.policy) {
            Some(before) if before.revision == counted.revision => {
                before.judged += counted.judged;
                before.newly_fails += counted.newly_fails;
                before.no_longer_fails += counted.no_longer_fails;
            }
            _ => drop(self.waiting.insert(Arc::clone(&counted.policy), counted)),
        }
    }

    async fn write_due(&mut self, now: Instant) {
        let is_due = |counted: &Comparisons| {
            let spacing = if counted.newly_fails + counted.no_longer_fails > 0 { SPACING } else { QUIET_SPACING };
            self.written.get(&counted.policy).is_none_or(|last| now.duration_since(*last) >= spacing)
        };
        let due: Vec<Comparisons> = self.waiting.values().filter(|c| is_due(c)).cloned().collect();
        for counted in due {
            match write(&self.client, &counted).await {
                Ok(()) => {
                    self.waiting.remove(&counted.policy);
                    self.written.insert(counted.policy, now);
                }
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(policy = &*counted.policy, error, "differences of a shadow not written yet");
                    // What ails one write ails the next.
                    return;
                }
            }
        }
    }
}

/// Adds to the status, unless the spec has been edited since or the policy is gone.
async fn write(client: &Client, counted: &Comparisons) -> Result<(), RequestError> {
    let resource = SourceKind::of_own(counted.flavour).api_resource();
    let api = Api::all_with(client.clone(), &resource);
    let mut tries = 1;
    loop {
        match try_write(&api, &resource, counted).await {
            Err(RequestError::Refused(kube::Error::Api(answer))) if answer.code == 404 => return Ok(()),
            Err(RequestError::Refused(kube::Error::Api(answer))) if answer.code == 409 && tries < TRIES => tries += 1,
            other => return other,
        }
    }
}

async fn try_write(
    api: &Api<DynamicObject>,
    resource: &ApiResource,
    counted: &Comparisons,
) -> Result<(), RequestError> {
    let name = &*counted.policy;
    let object = bounded(api.get(name)).await?;
    let Some(generation) =
        object.metadata.generation.filter(|_| render::revision(counted.flavour, &object) == Some(counted.revision))
    else {
        return Ok(());
    };
    let before = object.data.pointer("/status/shadow").cloned().unwrap_or_default();
    let sum = json!({
        "apiVersion": resource.api_version, "kind": resource.kind,
        "metadata": { "name": name, "resourceVersion": object.metadata.resource_version },
        "status": { "shadow": sum(before, counted, generation) },
    });
    let params = PatchParams::apply(MANAGER).force();
    bounded(api.patch_status(name, &params, &Patch::Apply(&sum))).await?;
    Ok(())
}

/// What the status has, if it is of this generation, and what was counted.
fn sum(before: Value, counted: &Comparisons, generation: i64) -> ShadowStatus {
    let before: ShadowStatus = serde_json::from_value(before).unwrap_or_default();
    let before = Some(before).filter(|b| b.observed_generation == Some(generation)).unwrap_or_default();
    let add = |before: Option<i64>, more: u64| {
        Some(before.unwrap_or(0).saturating_add(i64::try_from(more).unwrap_or(i64::MAX)))
    };
    ShadowStatus {
        observed_generation: Some(generation),
        judged: add(before.judged, counted.judged),
        differences: add(before.differences, counted.newly_fails + counted.no_longer_fails),
        newly_fails: add(before.newly_fails, counted.newly_fails),
        no_longer_fails: add(before.no_longer_fails, counted.no_longer_fails),
    }
}

#[cfg(test)]
mod tests {
    use stockade_policy::compiled::Flavour;

    use super::*;

    #[test]
    fn what_replicas_counted_of_one_generation_is_added_up() {
        let counted = Comparisons {
            flavour: Flavour::Image,
            policy: "p".into(),
            revision: 7,
            judged: 10,
            newly_fails: 2,
            no_longer_fails: 1,
        };
        let first = serde_json::to_value(sum(Value::Null, &counted, 3)).unwrap();
        let of = |generation: i64, times: i64| {
            json!({
                "observedGeneration": generation, "judged": 10 * times, "differences": 3 * times,
                "newlyFails": 2 * times, "noLongerFails": times,
            })
        };
        assert_eq!(first, of(3, 1));
        assert_eq!(serde_json::to_value(sum(first.clone(), &counted, 3)).unwrap(), of(3, 2));
        assert_eq!(serde_json::to_value(sum(first, &counted, 4)).unwrap(), of(4, 1));
    }
}
