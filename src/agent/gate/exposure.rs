//! How long a Pod that nothing held has run: what it could send before its policies were in the kernel.
//!
//! It counts from its first process, which the runtime starts when the network is there: before that there was nobody who
//! could send or answer.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Where in `/proc/<pid>/stat` a process's start is, counted from what follows its name (`proc_pid_stat(5)`, field 22).
const START: usize = 19;

/// How long a process has run, to some 10 ms.
///
/// # Errors
/// When there is no such process (any more), or `/proc` says what nobody knows.
pub fn age(process: u32) -> io::Result<Duration> {
    age_in(Path::new("/proc"), process, rustix::param::clock_ticks_per_second())
}

fn age_in(proc: &Path, process: u32, ticks_per_second: u64) -> io::Result<Duration> {
    let unreadable = || io::Error::from(io::ErrorKind::InvalidData);
    let stat = fs::read_to_string(proc.join(process.to_string()).join("stat"))?;
    let uptime = fs::read_to_string(proc.join("uptime"))?;
    // The name is what the program says, and may have parentheses.
    let (_, fields) = stat.rsplit_once(')').ok_or_else(unreadable)?;
    let start: u32 =
        fields.split_whitespace().nth(START).and_then(|start| start.parse().ok()).ok_or_else(unreadable)?;
    let uptime = uptime.split_whitespace().next().and_then(|uptime| uptime.parse().ok()).ok_or_else(unreadable)?;
    let uptime = Duration::try_from_secs_f64(uptime).map_err(|_| unreadable())?;
    let ticks_per_second = u32::try_from(ticks_per_second).map_err(|_| unreadable())?;
    let start = (Duration::from_secs(1) * start).checked_div(ticks_per_second).ok_or_else(unreadable)?;
    Ok(uptime.saturating_sub(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_a_process_is_read_whatever_its_name_is() {
        let proc = tempfile::tempdir().unwrap();
        fs::create_dir(proc.path().join("7")).unwrap();
        let stat = "7 (a) R 1 (b) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 1250 4096 1 18446744073709551615\n";
        fs::write(proc.path().join("7/stat"), stat).unwrap();
        fs::write(proc.path().join("uptime"), "15.75 20.00\n").unwrap();
        assert_eq!(age_in(proc.path(), 7, 100).unwrap(), Duration::from_millis(3_250));
        assert_eq!(age_in(proc.path(), 8, 100).unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::write(proc.path().join("uptime"), "inf\n").unwrap();
        assert_eq!(age_in(proc.path(), 7, 100).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn this_process_is_not_older_than_the_system() {
        let uptime = fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = uptime.split_whitespace().next().unwrap().parse().unwrap();
        assert!(age(std::process::id()).unwrap().as_secs_f64() <= uptime + 1.0);
    }
}
