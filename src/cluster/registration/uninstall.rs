//! Removing the registration, before the replicas go that it points to; and, when that is asked for, the own kinds.
//!
//! A leader puts back what is deleted under it. So the Deployment is told to stop first: its replicas answer for the
//! seconds of their drain, and the registration is deleted again and again until nobody holds the Lease of the writers.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use tokio::time::Instant;

use super::NAME;
use super::stored::{Side, is_ours};
use crate::access::{Access, FIELD_MANAGER};
use crate::kinds::definitions::own;
use crate::replicas::{LEADER_LEASE, Times};

/// Between two looks whether they are gone.
const PAUSE: Duration = Duration::from_millis(200);

/// Why the registration is not known to be gone.
#[derive(Debug, thiserror::Error)]
pub enum UninstallError {
    /// The API server refused, or did not answer.
    #[error("{kind} {name}: {source}")]
    Request {
        /// What was asked for.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Why.
        source: kube::Error,
    },
    /// Something holds it: a finalizer, or a replica that still writes.
    #[error("still there after {} s: the registration, or who writes it", .0.as_secs())]
    Remains(Duration),
}

/// Stops the replicas, deletes both configurations and waits until they are gone and nobody is left who would write
/// them, `within` at most. Gives how many were deleted: 0 when there were none. One that does not carry Stockade's label
/// is left alone.
///
/// # Errors
/// As told; it may be called again.
pub async fn uninstall(access: &Access, within: Duration) -> Result<usize, UninstallError> {
    let all = async {
        stop_replicas(access).await?;
        let mut deleted = 0;
        let mut leader = Leader::default();
        loop {
            // Looked at before the deletion: who was gone by then writes nothing after it.
            let gone = leader.is_gone(access).await?;
            for side in Side::BOTH {
                deleted += usize::from(remove(&access.client, side).await?);
            }
            if gone {
                return Ok(deleted);
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(within, all).await.unwrap_or(Err(UninstallError::Remains(within)))
}

/// Deletes the definitions of the own kinds, and with them every object of these kinds. Gives how many there were.
///
/// # Errors
/// The API server refused, or did not answer.
pub async fn remove_kinds(client: &Client) -> Result<usize, UninstallError> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut deleted = 0;
    for name in own().map(|definition| definition.name_any()) {
        let answer = api.delete(&name, &DeleteParams::default()).await;
        deleted += usize::from(found("CustomResourceDefinition", &name, answer)?.is_some());
    }
    Ok(deleted)
}

/// Replicas that no Deployment keeps end by whoever started them.
async fn stop_replicas(access: &Access) -> Result<(), UninstallError> {
    let api: Api<Deployment> = Api::namespaced(access.client.clone(), &access.namespace);
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let answer = api.patch_scale(NAME, &params, &Patch::Merge(json!({ "spec": { "replicas": 0 } }))).await;
    found("Deployment", NAME, answer).map(drop)
}

/// Whether there was one.
async fn remove(client: &Client, side: Side) -> Result<bool, UninstallError> {
    let api = side.api(client);
    let mut removed = false;
    while let Some(object) = found(side.kind(), NAME, api.get_opt(NAME).await)?.flatten().filter(is_ours) {
        // Not one that somebody else made in between.
        let preconditions = Preconditions { uid: object.metadata.uid.clone(), resource_version: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        removed |= found(side.kind(), NAME, api.delete(NAME, &params).await)?.is_some();
        tokio::time::sleep(PAUSE).await;
    }
    Ok(removed)
}

/// An answer; none when there is nothing of that name, or something else by now.
fn found<T>(kind: &'static str, name: &str, answer: kube::Result<T>) -> Result<Option<T>, UninstallError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(None),
        Err(source) => Err(UninstallError::Request { kind, name: name.to_owned(), source }),
    }
}

/// Who holds the Lease of the writers. One that died holds it still: it counts as gone when the Lease has not changed
/// for a whole term, by the local clock.
#[derive(Default)]
struct Leader {
    last: Option<(Lease, Instant)>,
}

// === impl Leader ===

impl Leader {
    async fn is_gone(&mut self, access: &Access) -> Result<bool, UninstallError> {
        let api: Api<Lease> = Api::namespaced(access.client.clone(), &access.namespace);
        let lease = found("Lease", LEADER_LEASE, api.get_opt(LEADER_LEASE).await)?.flatten();
        Ok(self.saw(lease, Instant::now()))
    }

    fn saw(&mut self, lease: Option<Lease>, now: Instant) -> bool {
        let held =
            |l: &Lease| l.spec.as_ref().and_then(|s| s.holder_identity.as_deref()).is_some_and(|h| !h.is_empty());
        let Some(lease) = lease.filter(held) else { return true };
        match &self.last {
            Some((last, since)) if *last == lease => now.duration_since(*since) >= Times::default().lease,
            _ => {
                self.last = Some((lease, now));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_is_gone_when_its_lease_is_free_or_unchanged_for_a_term() {
        let lease = |holder: &str, transitions: i32| {
            let mut lease = Lease::default();
            let spec = lease.spec.get_or_insert_default();
            (spec.holder_identity, spec.lease_transitions) = (Some(holder.to_owned()), Some(transitions));
            Some(lease)
        };
        let (start, term) = (Instant::now(), Times::default().lease);
        let mut leader = Leader::default();
        assert!(!leader.saw(lease("a", 1), start));
        assert!(!leader.saw(lease("a", 1), start + term / 2));
        assert!(!leader.saw(lease("b", 2), start + term), "another");
        assert!(leader.saw(lease("b", 2), start + term * 2));
        assert!(leader.saw(lease("", 3), start) && leader.saw(None, start));
    }
}
