//! `stockade net lint`

use anyhow::Result;
use stockade_report::net::lint::LintReport;

use crate::cli::LintArgs;
use crate::commands;
use crate::exit::Exit;

/// Tells what policies probably do not mean.
///
/// # Errors
/// Manifests that cannot be used; too much to judge at once.
pub(super) fn run(args: &LintArgs, quiet: bool) -> Result<Exit> {
    let compiled = super::compiled(&args.source.paths, &args.source.namespace, quiet)?;
    let report = LintReport::new(compiled.lint()?);
    commands::print(&report, args.output)?;
    Ok(if report.warnings == 0 { Exit::Clean } else { Exit::Findings })
}
