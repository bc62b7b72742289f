//! The chained CNI plugin.

use std::io::{Write as _, stdin, stdout};
use std::process::ExitCode;

use stockade_cni::call::Call;
use stockade_cni::plugin::run;

fn main() -> ExitCode {
    let variable = |name: &str| std::env::var(name).ok();
    let is_del = variable("CNI_COMMAND").as_deref() == Some("DEL");
    let (said, code) = match Call::read(&variable, stdin().lock()).and_then(run) {
        Ok(said) => (said, ExitCode::SUCCESS),
        // Nothing that a DEL is told wrongly keeps a Pod from going.
        Err(_) if is_del => (String::new(), ExitCode::SUCCESS),
        Err(failure) => (serde_json::to_string(&failure).unwrap_or_default(), ExitCode::FAILURE),
    };
    match stdout().write_all(said.as_bytes()) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}
