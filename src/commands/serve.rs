//! `stockade serve`: the webhook.

use std::sync::Arc;

use anyhow::{Context, Result};
use prometheus_client::registry::Registry;
use stockade_webhook::{Certificates, Folder, Metrics, MintOptions, Server};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::ServeArgs;
use crate::exit::Exit;
use crate::serve::live::{Live, Sources};
use crate::serve::policy_metrics::PolicyMetrics;
use crate::serve::reviewer::PolicyReviewer;
use crate::serve::{logging, watch};

/// Serves until SIGTERM or SIGINT, then drains.
///
/// # Errors
/// A first policy set that cannot be used, unusable certificates, addresses that are taken.
pub(crate) fn run(args: &ServeArgs) -> Result<Exit> {
    logging::init(args.log);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting threads")?;
    runtime.block_on(serve(args))?;
    Ok(Exit::Clean)
}

async fn serve(args: &ServeArgs) -> Result<()> {
    let folder = Folder::new(&args.certs);
    let options = MintOptions::default();
    folder.ensure(&options).context("certificates")?;
    let certificates = Arc::new(Certificates::load(&folder, args.client_ca.clone()).context("certificates")?);

    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry, env!("CARGO_PKG_VERSION"));
    let policy_metrics = PolicyMetrics::register(&mut registry);
    let sources = Sources { policies: args.policies.clone(), cluster_state: args.cluster_state.clone() };
    let before = watch::snapshot(&sources);
    let live = Arc::new(Live::load(sources, policy_metrics)?);

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let reviewer = Arc::new(PolicyReviewer::new(live.clone()));
    let bound = Server::builder(reviewer, metrics, registry)
        .renew(folder, options)
        .bind(args.listen, args.listen_health, certificates)
        .await
        .context("listening")?;
    tracing::info!(https = %bound.https_addr()?, http = %bound.http_addr()?, policies = live.policy_count(), "serving");
    let watcher = tokio::spawn(watch::watch(live, before));
    let ended = bound
        .serve(async move {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        })
        .await;
    watcher.abort();
    tracing::info!(cut = ended.cut, "stopped");
    Ok(())
}
