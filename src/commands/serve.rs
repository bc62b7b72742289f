//! `stockade serve`: the webhook.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use prometheus_client::registry::Registry;
use stockade_engine::exceptions::OWN_NAMESPACE;
use stockade_images::gather::NoCluster;
use stockade_process::logging;
use stockade_webhook::{Builder, Certificates, Folder, Limits, Metrics, MintOptions, Server};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinError, JoinSet};

use crate::cli::ServeArgs;
use crate::exit::Exit;
use crate::images_seen::remembered;
use crate::serve::cluster;
use crate::serve::cluster::Parts;
use crate::serve::folders::Folders;
use crate::serve::in_force::InForce;
use crate::serve::policy_metrics::PolicyMetrics;
use crate::serve::reviewer::PolicyReviewer;

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
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry, env!("CARGO_PKG_VERSION"));
    let policy_metrics = PolicyMetrics::register(&mut registry);
    let in_force = Arc::new(InForce::new(policy_metrics));
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let asked_to_stop = async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    };
    match args.cluster.cluster {
        true => serve_cluster(args, in_force, metrics, registry, asked_to_stop).await,
        false => serve_folders(args, in_force, metrics, registry, asked_to_stop).await,
    }
}

/// Judges by the policies of a cluster, with the certificate of a Secret.
async fn serve_cluster(
    args: &ServeArgs,
    in_force: Arc<InForce>,
    metrics: Metrics,
    mut registry: Registry,
    asked_to_stop: impl Future<Output = ()> + Send,
) -> Result<()> {
    let Parts { certificates, mut tasks, stop, ended, images } =
        cluster::start(args, in_force.clone(), &mut registry).await?;
    let reviewer = Arc::new(PolicyReviewer::new(in_force, args.cluster.max_exception_seconds(), images));
    let builder = Server::builder(reviewer, metrics, registry);
    // The others are told at once, while requests still come: they take over what only one does.
    let mut broken = None;
    let farewell = async {
        tokio::select! {
            () = asked_to_stop => {}
            error = panicked(&mut tasks) => {
                // Answering with policies that nobody keeps current any more would look healthy for ever.
                tracing::error!(error = &error as &dyn std::error::Error, "a part broke: this replica ends for another to begin");
                broken = Some(error);
            }
        }
        stop.cancel();
    };
    listen(args, builder, certificates, farewell).await?;
    tasks.abort_all();
    let _ = ended.await;
    broken.map_or(Ok(()), |error| Err(error).context("a part of the webhook broke"))
}

/// Waits until a part has panicked.
async fn panicked(tasks: &mut JoinSet<()>) -> JoinError {
    loop {
        match tasks.join_next().await {
            Some(Err(error)) if error.is_panic() => return error,
            Some(_) => {}
            None => std::future::pending().await,
        }
    }
}

/// Judges by the policies of folders, with the certificate of a folder.
async fn serve_folders(
    args: &ServeArgs,
    in_force: Arc<InForce>,
    metrics: Metrics,
    mut registry: Registry,
    asked_to_stop: impl Future<Output = ()> + Send,
) -> Result<()> {
    let folder = Folder::new(&args.certs);
    let options = MintOptions::default();
    folder.ensure(&options).context("certificates")?;
    let certificates = Arc::new(Certificates::load(&folder, args.client_ca.clone()).context("certificates")?);
    let folders = Folders {
        policies: args.policies.clone(),
        cluster_state: args.cluster_state.clone(),
        essentials: args.cluster.registration.essentials(OWN_NAMESPACE.to_owned()),
    };
    let before = folders.snapshot();
    folders.load(&in_force)?;
    let watching = tokio::spawn(folders.watch(in_force.clone(), before));
    let images = remembered(args.docker_config.clone(), Arc::new(NoCluster), Vec::new(), &mut registry);
    let reviewer = Arc::new(PolicyReviewer::new(in_force, None, images));
    let builder = Server::builder(reviewer, metrics, registry).renew(folder, options);
    listen(args, builder, certificates, asked_to_stop).await?;
    watching.abort();
    Ok(())
}

/// Serves until asked to stop, then drains.
async fn listen(
    args: &ServeArgs,
    builder: Builder,
    certificates: Arc<Certificates>,
    asked_to_stop: impl Future<Output = ()> + Send,
) -> Result<()> {
    let limits = Limits { drain_delay: Duration::from_secs(args.drain_delay.into()), ..Limits::default() };
    let bound =
        builder.limits(limits).bind(args.listen, args.listen_health, certificates).await.context("listening")?;
    tracing::info!(https = %bound.https_addr()?, http = %bound.http_addr()?, "serving");
    let ended = bound.serve(asked_to_stop).await;
    tracing::info!(cut = ended.cut, "stopped");
    Ok(())
}
