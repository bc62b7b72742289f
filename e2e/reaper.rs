//! Ends what a test started, whatever happens to the test.
//!
//! A small shell process reads the ids of our children from a pipe. When the pipe closes, because the test process
//! ended in any way (return, panic, Ctrl-C, SIGKILL), it kills those ids and removes the temporary folder. It is in a
//! process group of its own, so that a terminal's Ctrl-C does not end it first.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;

const SCRIPT: &str = r#"
dir=$1
pids=
while read -r word pid; do
    case $word in
    start) pids="$pids $pid" ;;
    stop) pids=$(for p in $pids; do [ "$p" = "$pid" ] || printf ' %s' "$p"; done) ;;
    esac
done
for pid in $pids; do kill -KILL "$pid" 2>/dev/null; done
rm -rf -- "$dir" 2>/dev/null || { sleep 1; rm -rf -- "$dir"; }
"#;

/// A running reaper; dropping it ends the processes it was told of.
pub struct Reaper {
    pipe: Mutex<Option<ChildStdin>>,
    process: Mutex<Child>,
}

impl Reaper {
    /// Starts one that removes `folder` at the end.
    pub fn start(folder: &Path) -> Reaper {
        let mut process = Command::new("sh")
            .args(["-c", SCRIPT, "reaper"])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        Reaper { pipe: Mutex::new(process.stdin.take()), process: Mutex::new(process) }
    }

    /// Starts a child that dies with us. It gets a process group of its own: only the reaper ends it.
    pub fn spawn(&self, command: &mut Command) -> Child {
        let child = command.stdin(Stdio::null()).process_group(0).spawn().unwrap_or_else(|error| {
            panic!("cannot start {}: {error}", command.get_program().display());
        });
        self.tell("start", child.id());
        child
    }

    /// Forgets a child that has ended, so that its id is not used for another process's end.
    pub fn forget(&self, child: &Child) {
        self.tell("stop", child.id());
    }

    fn tell(&self, word: &str, pid: u32) {
        if let Some(pipe) = self.pipe.lock().unwrap().as_mut() {
            writeln!(pipe, "{word} {pid}").unwrap();
        }
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        // Closing the pipe is the signal.
        self.pipe.lock().unwrap().take();
        let _ = self.process.lock().unwrap().wait();
    }
}
