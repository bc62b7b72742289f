//! Files and folders to policies, bindings, exceptions, groups and params, all faults at once.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::objects::{LoadedObject, flatten, loaded};
use crate::read::{Loaded, Reader, read_object};
use crate::source::{BindingSource, ExceptionSource, GroupSource, PolicySource};
use crate::source_file::{MAX_FILE_BYTES, SourceFile};
use crate::yaml;

/// Deepest folder that is looked into; symlinks may form a loop.
const MAX_FOLDER_DEPTH: usize = 16;
/// Most files of one load.
const MAX_FILES: usize = 20_000;
/// Folders of a policy repository that hold test cases.
const CASE_FOLDERS: [&str; 3] = ["pass", "fail", "existing"];
/// File of a policy repository that describes test cases.
const CASE_FILES: [&str; 2] = ["test.yaml", "test.yml"];

/// What was read, not yet compiled.
#[derive(Debug, Clone, Default)]
pub struct PolicySources {
    /// Policies of all kinds, in the order they were read.
    pub policies: Vec<PolicySource>,
    /// Bindings.
    pub bindings: Vec<BindingSource>,
    /// What is waived.
    pub exceptions: Vec<ExceptionSource>,
    /// Groups of namespaces.
    pub groups: Vec<GroupSource>,
    /// Objects of other kinds found beside them: params.
    pub objects: Vec<LoadedObject>,
    /// What is wrong with the files. A policy with faults may be missing from the lists above: with errors here, do
    /// not put the rest in force.
    pub diagnostics: Diagnostics,
    /// Files that were read, for a watch.
    pub files: Vec<PathBuf>,
}

/// Reads files and folders. In a folder all `*.yaml`, `*.yml` and `*.json` are read, sub-folders included, but not
/// test cases (`pass/`, `fail/`, `test.yaml`), nor names that start with a dot (a mounted ConfigMap's `..data`).
pub fn load_paths(paths: &[PathBuf]) -> PolicySources {
    let mut sources = PolicySources::default();
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let before = files.len();
            walk(path, 0, (Cases::Skip, MAX_FILES), &mut files, &mut sources.diagnostics);
            if files.len() == before {
                sources.note(path, Severity::Warning, "folder holds no *.yaml, *.yml or *.json");
            }
        } else {
            files.push((path.clone(), true));
        }
    }
    let mut seen = HashSet::new();
    for (path, named) in files {
        let identity = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        if !seen.insert(identity) {
            continue;
        }
        if seen.len() > MAX_FILES {
            sources.note(&path, Severity::Error, &format!("more than {MAX_FILES} files"));
            break;
        }
        match read_file(&path) {
            Ok(text) => sources.add(&path.display().to_string(), &text, named),
            Err(message) => sources.note(&path, Severity::Error, &message),
        }
        sources.files.push(path);
    }
    sources.diagnostics = std::mem::take(&mut sources.diagnostics).sorted();
    sources
}

/// Reads a file within [`MAX_FILE_BYTES`].
fn read_file(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|e| format!("cannot be read: {e}"))?;
    file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(|e| format!("cannot be read: {e}"))?;
    if bytes.len() > MAX_FILE_BYTES {
        return Err(format!("file is larger than {MAX_FILE_BYTES} bytes"));
    }
    String::from_utf8(bytes).map_err(|e| format!("is not UTF-8: byte {}", e.utf8_error().valid_up_to()))
}

/// Files that hold manifests: those named, and all `*.yaml`, `*.yml` and `*.json` of the folders named, test cases
/// included. `-` stands for standard input and is passed through.
///
/// # Errors
/// Folders that cannot be read or hold no such file, too many files.
pub fn manifest_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Diagnostics> {
    manifest_files_up_to(MAX_FILES, paths)
}

/// As [`manifest_files`], with a bound of the caller's, who does not hold them all at once.
///
/// # Errors
/// As [`manifest_files`].
pub fn manifest_files_up_to(most: usize, paths: &[PathBuf]) -> Result<Vec<PathBuf>, Diagnostics> {
    let (mut files, mut diagnostics) = (Vec::new(), Diagnostics::default());
    for path in paths {
        if !path.is_dir() {
            files.push((path.clone(), true));
            continue;
        }
        let before = files.len();
        walk(path, 0, (Cases::Read, most), &mut files, &mut diagnostics);
        let fault = |message: String| Diagnostic::of_file(Severity::Error, &path.display().to_string(), message);
        if files.len() == before && !diagnostics.has_errors() {
            diagnostics.push(fault("folder holds no *.yaml, *.yml or *.json".to_owned()));
        }
        if files.len() > most {
            diagnostics.push(fault(format!("more than {most} files")));
        }
    }
    if diagnostics.has_errors() {
        return Err(diagnostics.sorted());
    }
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

/// Whether test cases of a policy repository are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cases {
    Read,
    Skip,
}

fn walk(
    folder: &Path,
    depth: usize,
    (cases, most): (Cases, usize),
    files: &mut Vec<(PathBuf, bool)>,
    diagnostics: &mut Diagnostics,
) {
    let fault = |message: String| Diagnostic::of_file(Severity::Error, &folder.display().to_string(), message);
    if depth > MAX_FOLDER_DEPTH {
        diagnostics.push(fault(format!("folders nest more than {MAX_FOLDER_DEPTH} deep")));
        return;
    }
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) => {
            diagnostics.push(fault(format!("cannot be read: {e}")));
            return;
        }
    };
    let mut paths = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) => paths.push(entry.path()),
            Err(e) => diagnostics.push(fault(format!("cannot be read to its end: {e}"))),
        }
    }
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        let is_manifest = matches!(path.extension().and_then(|e| e.to_str()), Some("yaml" | "yml" | "json"));
        let of_path = |why: String| Diagnostic::of_file(Severity::Error, &path.display().to_string(), why);
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            // A link to nowhere, or just removed.
            Err(e) if e.kind() == io::ErrorKind::NotFound && !is_manifest => continue,
            // It may be a folder of policies.
            Err(e) => {
                diagnostics.push(of_path(format!("cannot be read: {e}")));
                continue;
            }
        };
        if metadata.is_dir() {
            if cases == Cases::Read || !CASE_FOLDERS.contains(&&*name) {
                walk(&path, depth + 1, (cases, most), files, diagnostics);
            }
        } else if is_manifest && (cases == Cases::Read || !CASE_FILES.contains(&&*name)) && files.len() <= most {
            // A pipe might never end.
            if metadata.is_file() {
                files.push((path, false));
            } else {
                diagnostics.push(of_path("is no regular file".to_owned()));
            }
        }
    }
}

impl PolicySources {
    /// Adds the objects of one text. `named` says that the user named the file: then every document must be an
    /// object; a file that was merely found in a folder may hold something else, which is a warning.
    pub fn add(&mut self, file_name: &str, text: &str, named: bool) {
        let file = SourceFile::new(file_name, text);
        let (documents, diagnostics) = yaml::parse(&file);
        self.diagnostics.extend(diagnostics);
        let mut items = Vec::new();
        let mut shape = Diagnostics::default();
        for document in &documents {
            flatten(&file, document, &mut items, &mut shape);
        }
        for fault in &shape {
            // Past the bound nothing more was read of the file, policies neither.
            let severity = if named || shape.is_full() { Severity::Error } else { Severity::Warning };
            self.diagnostics.push(Diagnostic { severity, ..fault.clone() });
        }
        let mut reader = Reader::new(&file);
        for item in items {
            match read_object(&mut reader, &item) {
                Loaded::Policy(policy) => self.policies.push(*policy),
                Loaded::Binding(binding) => self.bindings.push(*binding),
                Loaded::Exception(exception) => self.exceptions.push(*exception),
                Loaded::Group(group) => self.groups.push(*group),
                Loaded::Other => self.objects.push(loaded(&file, &item)),
                Loaded::Broken => {}
            }
        }
        self.diagnostics.extend(reader.diagnostics);
    }

    fn note(&mut self, path: &Path, severity: Severity, message: &str) {
        self.diagnostics.push(Diagnostic::of_file(severity, &path.display().to_string(), message));
    }
}

#[cfg(test)]
mod tests;
