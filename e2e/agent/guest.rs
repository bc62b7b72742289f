//! A guest with an older kernel, emulated, without a disk or a network.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a program said in the guest, and whether it succeeded.
#[derive(Debug)]
pub struct Said {
    /// Its output and its errors, after what the guest says of itself.
    pub text: String,
    /// Whether it ended with 0.
    pub ok: bool,
}

/// Runs a program of this machine in the guest, as root; half an hour at most. Another one that it starts is
/// brought along.
///
/// # Errors
/// The guest cannot be made or started here.
pub fn run(program: &Path, starts: &Path, arguments: &[&str]) -> std::io::Result<Said> {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("guest/run");
    let mut command = Command::new(script);
    let ran = command.arg("--with").arg(starts).arg(program).args(arguments).stdin(Stdio::null()).output()?;
    let text = [ran.stdout, ran.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    Ok(Said { text, ok: ran.status.success() })
}
