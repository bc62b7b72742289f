//! A process as the kernel counts it.

use std::fs;
use std::process::Child;
use std::time::Duration;

/// A process.
#[derive(Debug)]
pub(crate) struct Process {
    id: u32,
}

// === impl Process ===

impl Process {
    pub(crate) fn of(child: &Child) -> Self {
        Self { id: child.id() }
    }

    /// A line of its status, in megabytes.
    pub(crate) fn memory(&self, line: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id)).unwrap();
        let found = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':')).unwrap();
        let kib: f64 = found.trim().trim_end_matches(" kB").parse().unwrap();
        kib * 1_024.0 / 1e6
    }

    /// CPU time that it has taken, of the process and the kernel for it.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id)).unwrap();
        // The name, in parentheses, may have spaces.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
        Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }
}
