//! `stockade serve`: the webhook.

use std::sync::Arc;

use anyhow::{Context, Result};
use prometheus_client::registry::Registry;
use stockade_webhook::{Certificates, Folder, Metrics, MintOptions, Server};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::cli::ServeArgs;
use crate::exit::Exit;
use crate::serve::folders::Folders;
use crate::serve::in_force::InForce;
use crate::serve::policy_metrics::PolicyMetrics;
use crate::serve::reviewer::PolicyReviewer;
use crate::serve::{cluster, logging};

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
    let in_force = Arc::new(InForce::new(policy_metrics));
    let mut tasks = match args.cluster.cluster {
        true => cluster::start(args, in_force.clone(), &mut registry).await?,
        false => watch_folders(args, &in_force)?,
    };

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let reviewer = Arc::new(PolicyReviewer::new(in_force));
    let bound = Server::builder(reviewer, metrics, registry)
        .renew(folder, options)
        .bind(args.listen, args.listen_health, certificates)
        .await
        .context("listening")?;
    tracing::info!(https = %bound.https_addr()?, http = %bound.http_addr()?, "serving");
    let ended = bound
        .serve(async move {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        })
        .await;
    tasks.abort_all();
    tracing::info!(cut = ended.cut, "stopped");
    Ok(())
}

/// Loads the policies of folders and watches them.
fn watch_folders(args: &ServeArgs, in_force: &Arc<InForce>) -> Result<JoinSet<()>> {
    let folders = Folders { policies: args.policies.clone(), cluster_state: args.cluster_state.clone() };
    let before = folders.snapshot();
    folders.load(in_force)?;
    let mut tasks = JoinSet::new();
    tasks.spawn(folders.watch(in_force.clone(), before));
    Ok(tasks)
}
