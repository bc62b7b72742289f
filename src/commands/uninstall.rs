//! `stockade uninstall`: nothing is asked any more, before there is nobody to answer.

use std::time::Duration;

use anyhow::{Context, Result};
use stockade_cluster::access::{Access, Options};
use stockade_cluster::registration::{remove_kinds, uninstall};

use crate::cli::UninstallArgs;
use crate::exit::Exit;

/// Stops the replicas, removes both webhook configurations and waits until they are gone; then, if asked to, the kinds.
///
/// # Errors
/// No access to the API server, no right, or something holds them.
pub(crate) fn run(args: &UninstallArgs, quiet: bool) -> Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting")?;
    let (configurations, kinds) = runtime.block_on(async {
        let options =
            Options { kubeconfig: args.kubeconfig.clone(), namespace: args.namespace.clone(), ..Options::default() };
        let access = Access::new(&options).await.context("access to the API server")?;
        let configurations = uninstall(&access, Duration::from_secs(args.within)).await?;
        let kinds = if args.kinds { remove_kinds(&access.client).await? } else { 0 };
        anyhow::Ok((configurations, kinds))
    })?;
    if !quiet {
        anstream::eprintln!("removed: {configurations} webhook configurations, {kinds} kinds");
    }
    Ok(Exit::Clean)
}
