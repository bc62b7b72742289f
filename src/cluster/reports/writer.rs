//! Writes reports, and only those whose content changed.
//!
//! Replicas may, for the moment in which a share moves, both write a report: each writes it whole, by server-side
//! apply, and the content of both is made from the same objects. The annotation tells what was written without reading
//! the report.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::core::{DynamicObject, PartialObjectMeta};
use kube::{Client, ResourceExt as _};
use serde_json::json;

use super::{Content, Group, NAME, Rendered};
use crate::audit::metrics::AuditMetrics;
use crate::audit::pace::Pace;
use crate::pages;

/// Annotation: hash of the results, and the number of passes.
const WRITTEN_ANNOTATION: &str = "stockade.dev/written";
/// Annotation: results that there was no room for.
const LEFT_OUT_ANNOTATION: &str = "stockade.dev/results-left-out";
/// Label of reports that are ours.
const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "stockade");
/// Field manager.
const MANAGER: &str = "stockade";
/// Writes a second, and at once. A write of a report takes an API server about 3 ms.
const WRITES: (u32, u32) = (50, 50);
/// Reports of a page when they are listed by their metadata.
const PAGE: u32 = 500;

/// The one who writes the reports of this replica's share.
pub(crate) struct Writer {
    client: Client,
    group: Group,
    pace: Pace,
    metrics: AuditMetrics,
    /// What lies in the API server, as far as is known.
    written: HashMap<Arc<str>, Written>,
}

/// What was written of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Written {
    hash: u64,
    pass: usize,
}

/// Whether a report that differs in the number of passes alone is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passes {
    /// It is: after all objects were judged.
    Write,
    /// It is not: objects come and go all the time, and every write stays in etcd for a while.
    Leave,
}

// === impl Writer ===

impl Writer {
    pub(crate) fn new(client: Client, group: Group, metrics: AuditMetrics) -> Self {
        Self { client, group, pace: Pace::new(WRITES.0, WRITES.1), metrics, written: HashMap::new() }
    }

    /// Reads which reports there are.
    ///
    /// # Errors
    /// The API server cannot be reached, or does not serve reports.
    pub(crate) async fn load(&mut self) -> Result<(), kube::Error> {
        let mut written = HashMap::new();
        for namespaced in [true, false] {
            let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &self.group.resource(namespaced));
            let ours = format!("{}={}", MANAGED_BY.0, MANAGED_BY.1);
            let mut next = Some(ListParams::default().labels(&ours).limit(PAGE));
            while let Some(params) = next {
                self.pace.wait().await;
                let page = api.list_metadata(&params).await?;
                written.extend(page.items.iter().filter(|r| r.name_any() == NAME).map(Written::of));
                next = pages::after(params, &page.metadata);
            }
        }
        self.written = written;
        Ok(())
    }

    /// Namespaces that have a report.
    pub(crate) fn namespaces(&self) -> impl Iterator<Item = &Arc<str>> {
        self.written.keys()
    }

    /// Writes, changes or deletes the report of a namespace, if there is something to do.
    ///
    /// # Errors
    /// The API server did not take it: try again.
    pub(crate) async fn write(
        &mut self,
        namespace: &Arc<str>,
        report: Option<Rendered>,
        passes: Passes,
    ) -> Result<(), kube::Error> {
        let known = self.written.get(namespace).copied();
        let Some(report) = report else {
            return if known.is_some() { self.delete(namespace).await } else { Ok(()) };
        };
        let now = Written { hash: report.hash, pass: report.content.summary.pass };
        let differs = match (known, passes) {
            (Some(known), Passes::Leave) => known.hash != now.hash,
            (known, _) => known != Some(now),
        };
        if !differs {
            return Ok(());
        }
        let applied = self.apply(namespace, &report, now).await;
        match applied {
            // The namespace is gone, or on its way.
            Err(kube::Error::Api(status)) if !namespace.is_empty() && matches!(status.code, 403 | 404) => {
                tracing::debug!(%namespace, code = status.code, "report not written: the namespace is being deleted");
                self.written.remove(namespace);
                Ok(())
            }
            other => other.map(|()| {
                self.written.insert(Arc::clone(namespace), now);
            }),
        }
    }

    async fn apply(&mut self, namespace: &str, report: &Rendered, now: Written) -> Result<(), kube::Error> {
        let resource = self.group.resource(!namespace.is_empty());
        let mut object = match serde_json::to_value::<&Content>(&report.content) {
            Ok(object) => object,
            Err(error) => return Err(kube::Error::SerdeError(error)),
        };
        object["apiVersion"] = json!(resource.api_version);
        object["kind"] = json!(resource.kind);
        let mut annotations = json!({WRITTEN_ANNOTATION: now.text()});
        if report.left_out > 0 {
            annotations[LEFT_OUT_ANNOTATION] = json!(report.left_out.to_string());
        }
        object["metadata"] = json!({
            "name": NAME,
            "labels": {MANAGED_BY.0: MANAGED_BY.1, "app.kubernetes.io/name": "stockade"},
            "annotations": annotations,
        });
        self.pace.wait().await;
        let from = Instant::now();
        let (api, params) = (self.api(namespace), PatchParams::apply(MANAGER).force());
        let applied = api.patch_metadata(NAME, &params, &Patch::Apply(&object)).await;
        self.pace.took(from.elapsed());
        self.metrics.written("apply");
        applied.map(drop)
    }

    async fn delete(&mut self, namespace: &Arc<str>) -> Result<(), kube::Error> {
        self.pace.wait().await;
        self.metrics.written("delete");
        match self.api(namespace).delete(NAME, &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        self.written.remove(namespace);
        Ok(())
    }

    fn api(&self, namespace: &str) -> Api<DynamicObject> {
        let resource = self.group.resource(!namespace.is_empty());
        match namespace {
            "" => Api::all_with(self.client.clone(), &resource),
            namespace => Api::namespaced_with(self.client.clone(), namespace, &resource),
        }
    }
}

// === impl Written ===

impl Written {
    fn text(self) -> String {
        format!("{:016x}-{}", self.hash, self.pass)
    }

    /// Of a report's metadata. What cannot be read differs from everything.
    fn of(report: &PartialObjectMeta<DynamicObject>) -> (Arc<str>, Self) {
        let text = report.annotations().get(WRITTEN_ANNOTATION).map_or("", String::as_str);
        let read = text.split_once('-').and_then(|(hash, pass)| {
            Some(Self { hash: u64::from_str_radix(hash, 16).ok()?, pass: pass.parse().ok()? })
        });
        let unknown = Self { hash: 0, pass: usize::MAX };
        (report.namespace().unwrap_or_default().into(), read.unwrap_or(unknown))
    }
}
