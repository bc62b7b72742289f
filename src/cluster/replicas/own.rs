//! A replica's own Lease: that it lives, whether it is ready, and how far it has put policies in force.

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, OwnerReference};
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{COMPONENT_LABEL, Inputs, NAME_LABEL, OBSERVED_ANNOTATION, READY_ANNOTATION, Times, bounded};
use crate::access::FIELD_MANAGER;

/// What stands before the Pod's name in the name of its Lease.
pub(super) const PREFIX: &str = "stockade-replica-";

/// Keeper of one replica's Lease.
pub(super) struct Own {
    api: Api<Lease>,
    identity: String,
    inputs: Inputs,
    times: Times,
    began: Timestamp,
}

// === impl Own ===

impl Own {
    pub(super) fn new(api: Api<Lease>, identity: String, inputs: Inputs, times: Times) -> Self {
        Self { api, identity, inputs, times, began: Timestamp::now() }
    }

    /// Writes the Lease again and again until `stop`, then deletes it.
    pub(super) async fn keep(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(self.renew()).await;
        if let Err(error) = bounded(self.api.delete(&self.name(), &DeleteParams::default())).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "own Lease not deleted, it will expire");
        }
    }

    async fn renew(&mut self) {
        let mut failing = false;
        loop {
            let lease = self.lease();
            let params = PatchParams::apply(FIELD_MANAGER).force();
            let name = self.name();
            let pause = match bounded(self.api.patch(&name, &params, &Patch::Apply(&lease))).await {
                Ok(_) => {
                    if std::mem::take(&mut failing) {
                        tracing::info!("own Lease renewed again");
                    }
                    self.times.renew_own
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(error = &error as &dyn std::error::Error, "own Lease not renewed, trying again");
                    }
                    self.times.retry
                }
            };
            tokio::time::sleep(self.times.spacing).await;
            tokio::select! {
                () = changed(&mut self.inputs.ready) => {}
                () = changed(&mut self.inputs.observed) => {}
                () = tokio::time::sleep(pause.saturating_sub(self.times.spacing)) => {}
            }
        }
    }

    fn name(&self) -> String {
        format!("{PREFIX}{}", self.identity)
    }

    /// The Lease as it is to be now. What it tells counts as told.
    fn lease(&mut self) -> Lease {
        let ready = self.inputs.ready.borrow_and_update().to_string();
        let observed = self.inputs.observed.borrow_and_update().to_string();
        let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        let owner = self.inputs.pod_uid.as_ref().map(|uid| OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            name: self.identity.clone(),
            uid: uid.clone(),
            ..OwnerReference::default()
        });
        Lease {
            metadata: ObjectMeta {
                name: Some(self.name()),
                labels: Some([NAME_LABEL, COMPONENT_LABEL].map(owned).into()),
                annotations: Some([(OBSERVED_ANNOTATION, &*observed), (READY_ANNOTATION, &*ready)].map(owned).into()),
                owner_references: owner.map(|owner| vec![owner]),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.identity.clone()),
                lease_duration_seconds: Some(self.times.lease_seconds()),
                acquire_time: Some(MicroTime(self.began)),
                renew_time: Some(MicroTime(Timestamp::now())),
                ..LeaseSpec::default()
            }),
        }
    }
}

/// Waits for a change; for ever when none can come any more.
async fn changed<T>(input: &mut watch::Receiver<T>) {
    if input.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests;
