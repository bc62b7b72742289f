//! Flows as lines of a file, or of standard output.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Stdout, Write};
use std::path::{Path, PathBuf};

/// Longest file. Then it becomes `NAME.1`, in the place of the last one, and another begins: a node has twice as much.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// Where lines are written.
#[derive(Debug)]
pub struct Journal(Sink);

#[derive(Debug)]
enum Sink {
    Stdout(BufWriter<Stdout>),
    File { path: PathBuf, file: BufWriter<File>, bytes: u64, max: u64 },
}

// === impl Journal ===

impl Journal {
    /// A file that is gone on with; `-` is standard output.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::open_up_to(path, MAX_FILE_BYTES)
    }

    fn open_up_to(path: &Path, max: u64) -> io::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self(Sink::Stdout(BufWriter::new(io::stdout()))));
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self(Sink::File { path: path.to_owned(), file: BufWriter::new(file), bytes, max }))
    }

    /// Writes a line.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&mut self, line: &str) -> io::Result<()> {
        match &mut self.0 {
            Sink::Stdout(out) => writeln!(out, "{line}"),
            Sink::File { path, file, bytes, max } => {
                if *bytes + line.len() as u64 >= *max {
                    file.flush()?;
                    let mut before = path.clone().into_os_string();
                    before.push(".1");
                    fs::rename(&*path, before)?;
                    *file = BufWriter::new(File::create(&*path)?);
                    *bytes = 0;
                }
                *bytes += line.len() as u64 + 1;
                writeln!(file, "{line}")
            }
        }
    }

    /// Has the lines that were written read by others.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Sink::Stdout(out) => out.flush(),
            Sink::File { file, .. } => file.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_gone_on_with_and_begins_anew_when_it_is_full() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("flows.jsonl");
        for lines in [["one", "two"], ["three", "four"]] {
            let mut journal = Journal::open_up_to(&path, 16).unwrap();
            lines.iter().for_each(|line| journal.write(line).unwrap());
            journal.flush().unwrap();
        }
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!((read("flows.jsonl.1"), read("flows.jsonl")), ("one\ntwo\nthree\n".to_owned(), "four\n".to_owned()));
    }
}
