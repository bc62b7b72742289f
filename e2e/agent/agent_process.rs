//! The agent's heart as a process in a node's network namespace, told directly what an API server would tell.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde_json::json;
use stockade_agent::hold::PodRequest;
use stockade_agent::inputs::Inputs;

use crate::bpffs::Bpffs;
use crate::hosts::Node;

/// A process; killed when this is dropped. What it wrote stays in the kernel.
#[derive(Debug)]
pub struct AgentProcess {
    process: Child,
    told: ChildStdin,
    answers: BufReader<ChildStdout>,
}

// === impl AgentProcess ===

impl AgentProcess {
    /// Starts one; `established` is `recheck` or `keep`.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(binary: &str, node: &Node, pins: &Bpffs, established: &str) -> Self {
        let mut command = node.netns.command(binary);
        command.arg(pins.path().join("stockade")).arg(established).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let (told, answers) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self { process, told, answers: BufReader::new(answers) }
    }

    /// Tells it, and waits until the kernel holds it. Gives how long that took, in microseconds.
    ///
    /// # Panics
    /// When it ends instead.
    pub fn tell(&mut self, inputs: &Inputs, pods: &[PodRequest]) -> u64 {
        self.begin(inputs, pods);
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        answer.trim().parse().unwrap_or_else(|_| panic!("the agent ended: {:?}", self.process.wait()))
    }

    /// Tells it, and does not wait.
    ///
    /// # Panics
    /// When it has ended.
    pub fn begin(&mut self, inputs: &Inputs, pods: &[PodRequest]) {
        let told = json!({ "inputs": inputs, "pods": pods, "node": Node::addresses() });
        writeln!(self.told, "{told}").unwrap();
    }

    /// Kills it with SIGKILL.
    ///
    /// # Panics
    /// When that fails.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for AgentProcess {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
