//! Stockade: arguments to one of the verbs.

mod cli;
mod commands;
mod exit;
mod images_seen;
mod inputs;
mod judge;
mod pod_security;
mod serve;

use clap::Parser;

fn main() -> std::process::ExitCode {
    exit::report(commands::run(cli::Cli::parse()))
}
