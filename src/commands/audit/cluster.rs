//! A live cluster, read as the user of a kubeconfig.

use anyhow::{Context, Result};
use prometheus_client::registry::Registry;
use stockade_cluster::access::{Access, Options};
use stockade_cluster::audit::once::once;
use stockade_engine::audit::Auditor;
use stockade_report::{AuditReport, Audited, Left};

use crate::cli::AuditArgs;
use crate::images_seen::{docker_config, of_cluster};

/// Judges all objects of a cluster.
///
/// # Errors
/// A cluster that cannot be read.
pub(super) fn audit(args: &AuditArgs, auditor: &Auditor) -> Result<AuditReport> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting threads")?;
    runtime.block_on(async {
        let options = Options { kubeconfig: args.kubeconfig.clone(), ..Options::default() };
        let access = Access::new(&options).await.context("access to the API server")?;
        let images = args
            .verify_images
            .then(|| of_cluster(&access, docker_config(), args.image_pull_secrets, &mut Registry::default()));
        let mut report = AuditReport::default();
        let unlisted = once(&access, auditor, images.as_ref(), |existing, judgement| {
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
