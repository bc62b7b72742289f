//! `stockade net replay`

use anyhow::Result;
use stockade_netpol::flows::replay::replay;
use stockade_report::net::replay::ReplayReport;

use super::{manifests, recorded};
use crate::cli::ReplayArgs;
use crate::commands;
use crate::exit::Exit;

/// Judges recorded flows by the policies of manifests.
///
/// # Errors
/// Manifests or flows that cannot be used; too much to judge at once.
pub(super) fn run(args: &ReplayArgs, quiet: bool) -> Result<Exit> {
    let observed = recorded::observed(&args.flows)?;
    let replay = replay(manifests(&args.source.paths, &args.source.namespace, quiet)?, &observed)?;
    commands::print(&ReplayReport::new(&replay, observed.missed), args.output)?;
    Ok(if replay.cut.is_empty() { Exit::Clean } else { Exit::Findings })
}
