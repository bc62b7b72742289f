//! `stockade failsafe`: the watchdog beside the replicas.

use std::time::Duration;

use anyhow::{Context, Result};
use prometheus_client::registry::Registry;
use stockade_cluster::access::{Access, Options};
use stockade_cluster::failsafe::{self, FailSafeMetrics};
use stockade_process::logging;
use stockade_process::operations::Operations;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::FailsafeArgs;
use crate::exit::Exit;

/// Watches until SIGTERM or SIGINT.
///
/// # Errors
/// No usable access to the API server, an address that is taken.
pub(crate) fn run(args: &FailsafeArgs) -> Result<Exit> {
    logging::init(args.log);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting")?;
    runtime.block_on(watch(args))?;
    Ok(Exit::Clean)
}

async fn watch(args: &FailsafeArgs) -> Result<()> {
    let options = Options { kubeconfig: args.kubeconfig.clone(), namespace: args.namespace.clone(), identity: None };
    let access = Access::new(&options).await.context("access to the API server")?;
    let mut registry = Registry::default();
    let metrics = FailSafeMetrics::register(&mut registry);
    let listener = TcpListener::bind(args.listen_health).await.context("listening")?;
    tracing::info!(http = %listener.local_addr()?, "serving metrics");
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        never = Operations { registry, ready: None }.serve(listener) => match never {},
        () = failsafe::run(&access, Duration::from_secs(args.after), metrics) => Ok(()),
    }
}
