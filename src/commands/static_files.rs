//! `stockade static`: the registration as files of a control-plane host.

use std::io::Write;

use anyhow::{Context, Result, bail};
use stockade_cluster::registration::{Address, Configurations};
use stockade_cluster::static_files;
use stockade_engine::exceptions::OWN_NAMESPACE;

use crate::cli::StaticArgs;
use crate::exit::Exit;
use crate::inputs;

/// Writes the files and prints their paths.
///
/// # Errors
/// Policies that cannot be used, no certificate, files that cannot be written.
pub(crate) fn run(args: &StaticArgs, quiet: bool) -> Result<Exit> {
    let compiled = inputs::compile(inputs::policy_sources(&args.source, &[])?, quiet)?;
    if compiled.set.policies.is_empty() {
        bail!("no policies in what --policies names: nothing would be asked");
    }
    let ca = std::fs::read(&args.ca).with_context(|| args.ca.display().to_string())?;
    if stockade_webhook::certs::inspect(&ca).with_context(|| args.ca.display().to_string())?.is_empty() {
        bail!("{}: holds no certificate", args.ca.display());
    }
    let settings = args.registration.settings(Address::Url(args.url.clone()), OWN_NAMESPACE.to_owned());
    let configurations = Configurations::without_own_kinds(&compiled.set, &settings, &ca);
    let host = match &args.host_dir {
        Some(dir) => dir.clone(),
        None => std::path::absolute(&args.dir)?,
    };
    let mut out = anstream::stdout().lock();
    for path in static_files::write(&args.dir, &host, &settings.address, &configurations)? {
        writeln!(out, "{}", path.display())?;
    }
    Ok(Exit::Clean)
}
