//! `stockade net`: what network policies mean, from manifests and recorded flows; where they are in force, and who talks
//! to whom now.

use std::path::PathBuf;

use anyhow::{Result, bail};
use stockade_netpol::compile::Compiled;
use stockade_netpol::read::{ManifestReader, Manifests};
use stockade_policy::sources::manifest_files;

use crate::cli::{NetArgs, NetVerb};
use crate::exit::Exit;
use crate::inputs::{Refused, read_text};

mod connectivity;
mod explain;
mod flows;
mod lint;
mod recommend;
mod recorded;
mod replay;
mod status;

/// Answers one question.
///
/// # Errors
/// Manifests that cannot be used.
pub(crate) fn run(args: &NetArgs, quiet: bool) -> Result<Exit> {
    match &args.verb {
        NetVerb::Connectivity(args) => connectivity::run(args, quiet),
        NetVerb::Explain(args) => explain::run(args, quiet),
        NetVerb::Lint(args) => lint::run(args, quiet),
        NetVerb::Flows(args) => flows::run(args),
        NetVerb::Recommend(args) => recommend::run(args, quiet),
        NetVerb::Replay(args) => replay::run(args, quiet),
        NetVerb::Status(args) => status::run(args),
    }
}

/// Reads manifests in which there is somebody to judge.
fn compiled(paths: &[PathBuf], namespace: &str, quiet: bool) -> Result<Compiled> {
    let read = manifests(paths, namespace, quiet)?;
    if read.state.pods.is_empty() {
        bail!("no Pods and no workloads among the manifests: there is nobody to reach anybody");
    }
    Ok(Compiled::new(read.policies, read.state)?)
}

/// Reads manifests. Warnings go to stderr unless `quiet`.
fn manifests(paths: &[PathBuf], namespace: &str, quiet: bool) -> Result<Manifests> {
    let mut reader = ManifestReader::new(namespace);
    for file in manifest_files(paths).map_err(Refused)? {
        let (name, text) = read_text(&file)?;
        reader.add(&name, &text);
    }
    let read = reader.finish();
    if read.diagnostics.has_errors() {
        return Err(Refused(read.diagnostics).into());
    }
    if !quiet {
        for diagnostic in &read.diagnostics {
            anstream::eprintln!("{diagnostic}");
        }
    }
    Ok(read)
}
