//! A live cluster, read as the user of a kubeconfig.

use std::path::Path;

use anyhow::{Context, Result};
use stockade_cluster::access::{Access, Options};
use stockade_cluster::audit::once::once;
use stockade_engine::audit::Auditor;
use stockade_report::{AuditReport, Audited, Left};

/// Judges all objects of a cluster.
///
/// # Errors
/// A cluster that cannot be read.
pub(super) fn audit(kubeconfig: Option<&Path>, auditor: &Auditor) -> Result<AuditReport> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting threads")?;
    runtime.block_on(async {
        let options = Options { kubeconfig: kubeconfig.map(Path::to_owned), ..Options::default() };
        let access = Access::new(&options).await.context("access to the API server")?;
        let mut report = AuditReport::default();
        let unlisted = once(&access, auditor, |existing, judgement| {
            report.add(existing.namespace(), judgement, || Audited {
                api_version: existing.kind.api_version(),
                kind: existing.kind.kind.to_owned(),
                namespace: existing.namespace().to_owned(),
                name: existing.name().to_owned(),
                file: None,
            });
        });
        let unlisted = unlisted.await?;
        report.unlisted =
            unlisted.into_iter().map(|name| Left { name, reason: "may not be listed".to_owned() }).collect();
        Ok(report)
    })
}
