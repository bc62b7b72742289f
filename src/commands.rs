//! One file per verb.

mod audit;
mod certs;
mod check;
mod failsafe;
mod net;
mod review;
mod serve;
mod static_files;
mod status;
mod test;
mod uninstall;
mod verify_image;

use clap::CommandFactory;

use crate::cli::{Cli, Format, Verb};
use crate::exit::Exit;

/// Runs the verb.
///
/// # Errors
/// Whatever keeps it from doing its job.
pub(crate) fn run(cli: Cli) -> anyhow::Result<Exit> {
    let quiet = cli.quiet;
    match cli.verb {
        Verb::Serve(args) => serve::run(&args),
        Verb::Check(args) => check::run(&args, quiet),
        Verb::Review(args) => review::run(&args, quiet),
        Verb::Test(args) => test::run(&args),
        Verb::Audit(args) => audit::run(&args, quiet),
        Verb::Net(args) => net::run(&args, quiet),
        Verb::Certs(args) => certs::run(args),
        Verb::Status(args) => status::run(&args),
        Verb::VerifyImage(args) => verify_image::run(&args, quiet),
        Verb::Failsafe(args) => failsafe::run(&args),
        Verb::Uninstall(args) => uninstall::run(&args, quiet),
        Verb::Static(args) => static_files::run(&args, quiet),
        Verb::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "stockade", &mut std::io::stdout());
            Ok(Exit::Clean)
        }
    }
}

/// Prints a report on standard output, with colours where it is a terminal.
fn print<R: stockade_report::Report>(report: &R, format: Format) -> anyhow::Result<()> {
    let format = match format {
        Format::Table => stockade_report::Format::Table,
        Format::Json => stockade_report::Format::Json,
        Format::Yaml => stockade_report::Format::Yaml,
    };
    let mut out = anstream::stdout().lock();
    stockade_report::print(report, format, &mut out)?;
    std::io::Write::flush(&mut out)?;
    Ok(())
}
