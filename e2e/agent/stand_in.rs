//! The agent's heart as a process of its own, without an API server: what it would be told comes by standard input, a
//! JSON object a line, and it answers each when the kernel holds it.

use std::collections::BTreeSet;
use std::io::{BufRead as _, Write as _};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde::Deserialize;
use stockade_agent::apply::Extent;
use stockade_agent::hold::PodRequest;
use stockade_agent::inputs::Inputs;
use stockade_agent::keeper::Keeper;
use stockade_agent::kernel::{Established, Kernel, Options};
use stockade_agent::places::Places;
use stockade_netpol::plan::Limits;

/// What it is told.
#[derive(Debug, Deserialize)]
struct Told {
    inputs: Inputs,
    pods: Vec<PodRequest>,
    node: BTreeSet<IpAddr>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let established =
        if arguments.get(1).is_some_and(|a| a == "keep") { Established::Keep } else { Established::Recheck };
    let options = Options { established, ..Options::default() };
    let kernel = Arc::new(Kernel::open(Path::new(&arguments[0]), &options)?);
    let mut keeper = Keeper::open(kernel, Limits::default())?;
    let mut answers = std::io::stdout();
    for line in std::io::stdin().lock().lines() {
        let told: Told = serde_json::from_str(&line?)?;
        let mut places = Places::default();
        places.node_addresses = told.node;
        for pod in told.pods {
            places.put(pod);
        }
        let begin = Instant::now();
        keeper.keep(&told.inputs, &places, Extent::All)?;
        let took = begin.elapsed();
        keeper.remove_stale()?;
        while keeper.is_unsettled() {
            keeper.settle_one()?;
        }
        writeln!(answers, "{}", took.as_micros())?;
    }
    Ok(())
}
