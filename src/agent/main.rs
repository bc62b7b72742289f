//! The node agent: arguments to one of its verbs.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use stockade_agent::cli::{Cli, Verb};
use stockade_agent::{memory, run};
use stockade_process::logging;

/// Threads: one has the kernel, the other the watches.
const THREADS: usize = 2;

fn main() -> ExitCode {
    match act(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the agent ends");
            ExitCode::FAILURE
        }
    }
}

fn act(cli: Cli) -> Result<()> {
    match cli.verb {
        Verb::Run(arguments) => {
            logging::init(arguments.log);
            memory::share_heaps();
            let mut threads = tokio::runtime::Builder::new_multi_thread();
            let runtime = threads.worker_threads(THREADS).enable_all().build().context("starting threads")?;
            runtime.block_on(run::run(*arguments))
        }
        Verb::Remove(arguments) => {
            logging::init(arguments.log);
            run::remove(&arguments)
        }
    }
}
