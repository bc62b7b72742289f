//! What can go wrong with the kernel.

use std::io;
use std::path::PathBuf;

/// Why the kernel does not hold what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The folder for pins cannot be used, mostly because it is not on a BPF file system.
    #[error("the folder {} cannot hold pins: {source}", folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No thread can be started to wait for it.
    #[error("no thread can be started: {0}")]
    Thread(#[source] io::Error),
    /// The programs and this binary do not agree about a structure in memory.
    #[error("the programs know struct {structure} otherwise than the agent: {difference}")]
    Layout {
        /// Its name in C.
        structure: &'static str,
        /// What differs.
        difference: String,
    },
    /// A size that is out of its bounds.
    #[error("{size} entries for map {map}: at least {least} and at most {most}")]
    Size {
        /// Which map.
        map: &'static str,
        /// What was asked for.
        size: u32,
        /// Fewest.
        least: u32,
        /// Most.
        most: u32,
    },
    /// A map has no room left. What was written before stays: the caller knows what it wanted.
    #[error("map {map} has room for {bound} entries, which does not suffice")]
    Full {
        /// Which map.
        map: &'static str,
        /// Its bound.
        bound: u32,
    },
    /// A map holds what this agent would never have written.
    #[error("map {map} holds an entry that cannot be read")]
    Unreadable {
        /// Which map.
        map: &'static str,
    },
    /// The kernel refuses.
    #[error("{doing}: {source}")]
    Refused {
        /// What was to be done.
        doing: String,
        /// What the kernel, or its library, says.
        source: libbpf_rs::Error,
    },
}

// === impl KernelError ===

impl KernelError {
    /// The kernel's refusal, with what was to be done.
    pub(super) fn refused(doing: impl Into<String>) -> impl FnOnce(libbpf_rs::Error) -> Self {
        |source| Self::Refused { doing: doing.into(), source }
    }
}
