//! Decisions and findings for people and programs: table, JSON, YAML, pictures.
//!
//! One printer for all verbs: a verb builds one of the reports here and hands it to [`print`].

mod audit;
mod check;
pub mod net;
mod review;
mod table;
mod tests_run;
pub mod verify_image;

use std::io::{self, Write};

use serde::Serialize;

pub use audit::{AuditReport, Audited, Left, MAX_DETAILS, Violation, Waiver};
pub use check::{CheckReport, Judged, Subject, Summary};
pub use review::ReviewReport;
pub use tests_run::{CaseResult, PolicyResult, TestReport};

/// Output formats that every report has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Table,
    /// One JSON document.
    Json,
    /// The same as YAML.
    Yaml,
}

/// A report: serialises whole, and writes itself as a table.
pub trait Report: Serialize {
    /// Writes the form for people. Colour codes are always written; the stream strips them where there is no terminal.
    ///
    /// # Errors
    /// Those of the stream.
    fn table(&self, out: &mut dyn Write) -> io::Result<()>;
}

/// Writes a report.
///
/// # Errors
/// Those of the stream.
pub fn print<R: Report>(report: &R, format: Format, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Table => report.table(out),
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, report)?;
            writeln!(out)
        }
        Format::Yaml => {
            let text = serde_saphyr::to_string(report).map_err(io::Error::other)?;
            out.write_all(text.as_bytes())
        }
    }
}
