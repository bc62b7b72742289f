//! How a run ends.

use std::process::ExitCode;

/// Exit codes of every verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: nothing to complain about.
    Clean,
    /// 1: something was refused, or a test failed.
    Findings,
    /// 2: it could not be found out; what was asked is told.
    Unknown,
}

/// 2: the tool could not do its job.
const FAILED: u8 = 2;

/// Turns a verb's result into the process's exit code. A broken pipe is not an error: the reader had enough.
pub(crate) fn report(result: anyhow::Result<Exit>) -> ExitCode {
    match result {
        Ok(Exit::Clean) => ExitCode::SUCCESS,
        Ok(Exit::Findings) => ExitCode::from(1),
        Ok(Exit::Unknown) => ExitCode::from(FAILED),
        Err(e) if is_broken_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            anstream::eprintln!("error: {e:#}");
            ExitCode::from(FAILED)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|e| e.downcast_ref::<std::io::Error>()).any(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}
