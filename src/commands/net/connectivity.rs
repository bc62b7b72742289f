//! `stockade net connectivity`

use std::io::Write;

use anyhow::{Result, bail};
use stockade_report::net::connectivity::{ConnectivityReport, DiffReport};
use stockade_report::net::{MAX_PICTURED, dot, svg};

use crate::cli::{ConnectivityArgs, Format, Picture};
use crate::commands;
use crate::exit::Exit;

/// Judges everybody with everybody.
///
/// # Errors
/// Manifests that cannot be used; too many to judge at once.
pub(super) fn run(args: &ConnectivityArgs, quiet: bool) -> Result<Exit> {
    let compiled = super::compiled(&args.source.paths, &args.source.namespace, quiet)?;
    let connectivity = compiled.connectivity()?;
    let format = match args.output {
        Picture::Table => Some(Format::Table),
        Picture::Json => Some(Format::Json),
        Picture::Yaml => Some(Format::Yaml),
        Picture::Dot | Picture::Svg => None,
    };
    if !args.against.is_empty() {
        let Some(format) = format else { bail!("--against has no picture: use -o table, json or yaml") };
        let before = super::compiled(&args.against, &args.source.namespace, quiet)?.connectivity()?;
        let changes = before.diff(&connectivity)?;
        commands::print(&DiffReport::new(&changes), format)?;
        return Ok(if changes.is_empty() { Exit::Clean } else { Exit::Findings });
    }
    match format {
        Some(format) => commands::print(&ConnectivityReport::new(connectivity, compiled.policies().count()), format)?,
        None => {
            let parties = connectivity.parties.len();
            if parties > MAX_PICTURED {
                bail!("{parties} peers are too many for a picture: name fewer namespaces, or use -o json");
            }
            let text = if args.output == Picture::Dot { dot(&connectivity) } else { svg(&connectivity) };
            let mut out = anstream::stdout().lock();
            out.write_all(text.as_bytes())?;
            out.flush()?;
        }
    }
    Ok(Exit::Clean)
}
