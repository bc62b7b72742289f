//! `stockade uninstall`: nothing is enforced on nodes any more, and nothing is asked, before there is nobody to do it.

use std::time::Duration;

use anyhow::{Context, Result};
use stockade_cluster::access::{Access, Options};
use stockade_cluster::enforcement;
use stockade_cluster::registration::{remove_kinds, uninstall};

use crate::cli::UninstallArgs;
use crate::exit::Exit;

/// Has the node agents take everything off their nodes and ends them; stops the replicas, removes both webhook
/// configurations and waits until they are gone; then, if asked to, the kinds. A node that says nothing in time is told,
/// and holds up nothing: it may be gone for good.
///
/// # Errors
/// No access to the API server, no right, or something holds them.
pub(crate) fn run(args: &UninstallArgs, quiet: bool) -> Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting")?;
    let (nodes, configurations, kinds) = runtime.block_on(async {
        let options =
            Options { kubeconfig: args.kubeconfig.clone(), namespace: args.namespace.clone(), ..Options::default() };
        let access = Access::new(&options).await.context("access to the API server")?;
        let within = Duration::from_secs(args.within);
        let nodes = enforcement::remove(&access, within).await?;
        let configurations = uninstall(&access, within).await?;
        let kinds = if args.kinds { remove_kinds(&access.client).await? } else { 0 };
        anyhow::Ok((nodes, configurations, kinds))
    })?;
    for node in &nodes.silent {
        anstream::eprintln!("node {node}: its agent did not say that everything is taken off");
    }
    if !quiet {
        if nodes.cleared > 0 {
            anstream::eprintln!("cleared: {} nodes", nodes.cleared);
        }
        anstream::eprintln!("removed: {configurations} webhook configurations, {kinds} kinds");
    }
    Ok(Exit::Clean)
}
