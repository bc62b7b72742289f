//! Rollouts that this replica has stopped, written into the status of their policies: from there every replica obeys,
//! and a person sees why.
//!
//! Each replica writes its own, whoever leads: a hold is rare, and must not wait for an election. It is of one
//! generation of the spec. An edit makes another, and so lets the rollout go on.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client};
use serde_json::json;
use stockade_engine::rollout::Hold;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::{SourceKind, render};
use crate::access::Access;
use crate::kinds::admission_policy::RolloutStatus;
use crate::replicas::{RequestError, bounded};

/// Who owns the fields that are written here.
const MANAGER: &str = "stockade-rollouts";

/// Most holds that wait to be written. What finds no room holds on its own replica all the same.
const MAX_WAITING: usize = 64;

/// How often a write is tried, with twice the wait each time: some two minutes in all.
const TRIES: u32 = 10;
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// Takes holds and writes them, one after the other. All of it happens in the future, which ends when nobody can send
/// any more.
pub fn write_holds(access: &Access) -> (mpsc::Sender<Hold>, impl Future<Output = ()> + Send + use<>) {
    let (tell, mut told) = mpsc::channel(MAX_WAITING);
    let client = access.client.clone();
    let writing = async move {
        while let Some(hold) = told.recv().await {
            write_until_done(&client, &hold).await;
        }
    };
    (tell, writing)
}

async fn write_until_done(client: &Client, hold: &Hold) {
    let resource = SourceKind::of_own(hold.flavour).api_resource();
    let api = Api::all_with(client.clone(), &resource);
    for number in 0..TRIES {
        match write(&api, &resource, hold).await {
            Ok(()) => return,
            Err(RequestError::Refused(kube::Error::Api(answer))) if answer.code == 404 => return,
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(policy = &*hold.policy, error, "stopped rollout not written yet");
            }
        }
        sleep(FIRST_WAIT * 2_u32.pow(number)).await;
    }
    tracing::error!(policy = &*hold.policy, "stopped rollout not written: it is stopped on this replica only");
}

/// Writes a hold, unless the spec has been edited since, or it is held already.
async fn write(api: &Api<DynamicObject>, resource: &ApiResource, hold: &Hold) -> Result<(), RequestError> {
    let name = &*hold.policy;
    let object = bounded(api.get(name)).await?;
    let Some(generation) =
        object.metadata.generation.filter(|_| render::revision(hold.flavour, &object) == Some(hold.revision))
    else {
        return Ok(());
    };
    let before = object.data.pointer("/status/rollout").cloned().unwrap_or_default();
    let before: RolloutStatus = serde_json::from_value(before).unwrap_or_default();
    if before.held == Some(true) && before.observed_generation == Some(generation) {
        return Ok(());
    }
    let status = json!({ "rollout": status(hold, generation) });
    let (api_version, kind) = (&resource.api_version, &resource.kind);
    let object = json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": name }, "status": status });
    let params = PatchParams::apply(MANAGER).force();
    bounded(api.patch_status(name, &params, &Patch::Apply(&object))).await?;
    Ok(())
}

fn status(hold: &Hold, generation: i64) -> RolloutStatus {
    let budget = hold.budget;
    RolloutStatus {
        observed_generation: Some(generation),
        held: Some(true),
        held_at: Timestamp::from_second(hold.at).ok().map(Time),
        reason: Some(format!(
            "denied {} of {} requests in {} s, more than {} %: Deny only warns until the policy is edited",
            hold.denied, hold.judged, budget.window_seconds, budget.max_percentage
        )),
        denied: i64::try_from(hold.denied).ok(),
        judged: i64::try_from(hold.judged).ok(),
    }
}

#[cfg(test)]
mod tests;
