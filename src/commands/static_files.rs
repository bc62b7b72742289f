//! `stockade static`: the registration as files of a control-plane host.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use stockade_cluster::registration::{Address, Configurations};
use stockade_cluster::static_files;
use stockade_engine::exceptions::OWN_NAMESPACE;
use stockade_policy::folder_watch::{self, FolderWatch, Snapshot};

use crate::cli::StaticArgs;
use crate::exit::Exit;
use crate::inputs;

/// Writes the files and prints their paths; with `--watch` again and again, until it is ended.
///
/// # Errors
/// Policies that cannot be used, no certificate, files that cannot be written: at first. Later they are told.
pub(crate) fn run(args: &StaticArgs, quiet: bool) -> Result<Exit> {
    let mut sources = inputs::policy_paths(&args.source)?;
    sources.push(args.ca.clone());
    let read = folder_watch::snapshot(&sources);
    write(args, quiet)?;
    if args.watch {
        keep(args, &sources, read)?;
    }
    Ok(Exit::Clean)
}

fn write(args: &StaticArgs, quiet: bool) -> Result<()> {
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
    out.flush()?;
    Ok(())
}

/// Writes anew whenever what was read changes. Whoever ends the process leaves whole files, whenever that is.
fn keep(args: &StaticArgs, sources: &[PathBuf], read: Snapshot) -> Result<()> {
    let (mut watch, mut refused) = (FolderWatch::new(read), None);
    loop {
        std::thread::sleep(folder_watch::INTERVAL);
        if !watch.is_due(folder_watch::snapshot(sources), refused.is_some()) {
            continue;
        }
        // Warnings were told at the start, or belong to `check`.
        let fault = write(args, true).err().map(|error| format!("{error:#}"));
        if let Some(fault) = fault.as_ref().filter(|fault| refused.as_ref() != Some(*fault)) {
            writeln!(anstream::stderr(), "error: the last files stay: {fault}")?;
        }
        refused = fault;
    }
}
