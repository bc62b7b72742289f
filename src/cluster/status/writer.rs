//! Writes the status of objects that a watch brought, by server-side apply.

use std::time::Duration;

use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::metrics::StatusMetrics;
use super::objects::{Key, Objects};
use crate::access::Access;
use crate::object::Object;
use crate::replicas::{RequestError, bounded};

/// Most writes between two looks; with [`SPACING`] fifty a second. The next look goes on where this one ended.
pub(super) const MAX_WRITES: usize = 100;

/// Between two writes: a thousand policies that change at once are no reason to press the API server.
const SPACING: Duration = Duration::from_millis(20);

/// One owner of fields. What it wrote is known before the watch brings it, so no write causes another.
pub(super) struct Writer<'i> {
    access: &'i Access,
    metrics: &'i StatusMetrics,
    pub(super) objects: Objects,
}

/// A write failed; it has been said why.
#[derive(Debug)]
pub(super) struct Failed;

// === impl Writer ===

impl<'i> Writer<'i> {
    pub(super) fn new(access: &'i Access, metrics: &'i StatusMetrics) -> Self {
        Self { access, metrics, objects: Objects::default() }
    }

    /// Writes fields of the status of one object after the other, as those of one owner, who takes them from whoever had
    /// them; other fields stay.
    ///
    /// # Errors
    /// What ails one write ails the next: the rest is left for the next look.
    pub(super) async fn write(&mut self, manager: &str, statuses: Vec<(Key, Value)>) -> Result<(), Failed> {
        for (key, status) in statuses {
            let kind = key.kind.as_str();
            match self.apply(manager, &key, &status).await {
                Ok(object) => {
                    self.metrics.written(kind);
                    self.objects.put(key.kind, &object);
                }
                Err(RequestError::Refused(kube::Error::Api(answer))) if answer.code == 404 => {}
                Err(error) => {
                    self.metrics.failed(kind);
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(kind, namespace = key.namespace, name = key.name, error, "status not written");
                    return Err(Failed);
                }
            }
            sleep(SPACING).await;
        }
        Ok(())
    }

    async fn apply(&self, manager: &str, key: &Key, status: &Value) -> Result<Object, RequestError> {
        let resource = key.kind.api_resource();
        let client = self.access.client.clone();
        let api: Api<Object> = match key.namespace.as_str() {
            "" => Api::all_with(client, &resource),
            namespace => Api::namespaced_with(client, namespace, &resource),
        };
        let object = json!({
            "apiVersion": resource.api_version, "kind": resource.kind,
            "metadata": { "name": key.name }, "status": status,
        });
        let params = PatchParams::apply(manager).force();
        bounded(api.patch_status(&key.name, &params, &Patch::Apply(&object))).await
    }
}
