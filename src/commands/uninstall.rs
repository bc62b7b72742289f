//! `stockade uninstall`: nothing is asked any more, before there is nobody to answer.

use std::time::Duration;

use anyhow::{Context, Result};
use stockade_cluster::access::{Access, Options};
use stockade_cluster::registration::uninstall;

use crate::cli::UninstallArgs;
use crate::exit::Exit;

/// Removes both webhook configurations and waits until they are gone.
///
/// # Errors
/// No access to the API server, no right, or something holds them.
pub(crate) fn run(args: &UninstallArgs, quiet: bool) -> Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting")?;
    let removed = runtime.block_on(async {
        let options = Options { kubeconfig: args.kubeconfig.clone(), ..Options::default() };
        let access = Access::new(&options).await.context("access to the API server")?;
        anyhow::Ok(uninstall(&access.client, Duration::from_secs(args.within)).await?)
    })?;
    if !quiet {
        anstream::eprintln!("webhook configurations removed: {removed}");
    }
    Ok(Exit::Clean)
}
