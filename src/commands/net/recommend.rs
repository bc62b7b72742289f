//! `stockade net recommend`

use anyhow::Result;
use stockade_netpol::flows::recommend::{Options, recommend};
use stockade_report::net::recommend::RecommendReport;

use super::{manifests, recorded};
use crate::cli::{Format, Proposal, RecommendArgs};
use crate::commands;
use crate::exit::Exit;

/// Proposes the policies that recorded flows call for.
///
/// # Errors
/// Manifests or flows that cannot be used; too much to judge at once.
pub(super) fn run(args: &RecommendArgs, quiet: bool) -> Result<Exit> {
    let observed = recorded::observed(&args.flows)?;
    let options = Options { namespaces: args.only.clone(), denied: args.denied };
    let found = recommend(manifests(&args.paths, &args.namespace, quiet)?, &observed, &options)?;
    // As a file of YAML it is what a table is elsewhere: the form for people.
    let format = match args.output {
        Proposal::Yaml => Format::Table,
        Proposal::Json => Format::Json,
    };
    commands::print(&RecommendReport::new(found, observed.missed), format)?;
    Ok(Exit::Clean)
}
