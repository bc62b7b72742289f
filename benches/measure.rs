//! Times whose ratio means something on a busy machine, resident memory, and lines that say whether a target is met.
#![expect(clippy::print_stdout, reason = "the output of programs that print figures")]

use std::time::{Duration, Instant};

/// Median time of one call of each row. The rows take turns, a few calls each, so that whatever else the machine does
/// falls on all of them alike.
pub fn interleaved<const N: usize>(turns: usize, calls: u32, mut rows: [&mut dyn FnMut(); N]) -> [Duration; N] {
    let mut times = [const { Vec::new() }; N];
    for _ in 0..turns {
        for (row, times) in rows.iter_mut().zip(&mut times) {
            let from = Instant::now();
            for _ in 0..calls {
                row();
            }
            times.push(from.elapsed() / calls);
        }
    }
    times.map(median)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// How often `larger` holds `smaller`.
pub fn ratio(larger: Duration, smaller: Duration) -> f64 {
    larger.as_secs_f64() / smaller.as_secs_f64()
}

/// Microseconds.
pub fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Resident memory of a process in MiB; of this one for `self`. None where there is no `/proc`.
pub fn resident(process: &str) -> Option<f64> {
    status(process, "VmRSS:")
}

/// The most that was ever resident, like [`resident`].
pub fn peak(process: &str) -> Option<f64> {
    status(process, "VmHWM:")
}

fn status(process: &str, field: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix(field))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

/// CPU time that a process has used, in steps of 10 ms. None where there is no `/proc`.
pub fn cpu(process: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name may hold spaces; user and system time are the 12th and 13th field after it, in 1/100 s.
    let mut fields = stat.get(stat.rfind(')')?..)?.split_whitespace().skip(12);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis((ticks()? + ticks()?) * 10))
}

/// Prints a figure.
pub fn figure(name: &str, value: f64, unit: &str) {
    println!("{name:62} {value:>9.2} {unit}");
}

/// Prints a figure beside the most it should be.
pub fn at_most(name: &str, value: f64, target: f64, unit: &str) {
    let met = if value <= target { "met" } else { "MISSED" };
    println!("{name:62} {value:>9.2} {unit:3} target ≤ {target} {unit}: {met}");
}

/// Prints a figure beside the least it should be.
pub fn at_least(name: &str, value: f64, target: f64, unit: &str) {
    let met = if value >= target { "met" } else { "MISSED" };
    println!("{name:62} {value:>9.2} {unit:3} target ≥ {target} {unit}: {met}");
}
