//! Policy kinds and dialects to one compiled form.
//!
//! Data flow: text → positioned YAML → typed source objects → [`compiled::PolicySet`]. Every fault is a diagnostic
//! with file, line, column and caret; all faults of all files are reported at once.

pub mod cases;
pub mod compile;
pub mod compiled;
pub mod diagnostic;
pub mod environment;
pub mod folder_watch;
pub mod glob;
pub mod host_library;
pub mod image_library;
pub mod images;
pub mod matching;
pub mod objects;
pub mod read;
pub mod selector;
pub mod source;
pub mod source_file;
pub mod sources;
pub mod stable_hash;
pub mod time_span;
pub mod tree;
pub mod yaml;
