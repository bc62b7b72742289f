//! Stockade: arguments to one of the verbs.

mod cli;
mod commands;
mod exit;
mod inputs;
mod pod_security;

use clap::Parser;

fn main() -> std::process::ExitCode {
    let cli = cli::Cli::parse();
    exit::report(commands::run(cli))
}
