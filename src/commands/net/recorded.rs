//! Files of recorded flows.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use stockade_netpol::flows::{Line, MAX_LINE_BYTES, Observed};

/// Reads files line by line, `-` for standard input.
///
/// # Errors
/// Files that cannot be read; lines that are no flow, with file and line; more different flows than are held.
pub(super) fn observed(files: &[PathBuf]) -> Result<Observed> {
    let mut observed = Observed::default();
    for file in files {
        if file == Path::new("-") {
            read("<stdin>", io::stdin().lock(), &mut observed)?;
        } else {
            let name = file.display().to_string();
            let opened = File::open(file).with_context(|| name.clone())?;
            read(&name, BufReader::new(opened), &mut observed)?;
        }
    }
    if observed.is_empty() {
        bail!("the files of --flows tell of no flow that a policy could be about");
    }
    Ok(observed)
}

fn read(name: &str, mut lines: impl BufRead, observed: &mut Observed) -> Result<()> {
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        // One byte more than a line may have, and its end.
        let mut bounded = lines.by_ref().take(MAX_LINE_BYTES as u64 + 2);
        if bounded.read_until(b'\n', &mut line).with_context(|| name.to_owned())? == 0 {
            return Ok(());
        }
        let place = || format!("{name}:{number}");
        let text = str::from_utf8(line.strip_suffix(b"\n").unwrap_or(&line)).with_context(place)?;
        match Line::parse(text).with_context(place)? {
            Line::Flow(flow) => observed.add(&flow).with_context(place)?,
            Line::Missed(count) => observed.missed = observed.missed.saturating_add(count),
        }
    }
    Ok(())
}
