//! What the verbs read: policies, objects, the stand-in for a cluster.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value as Json;
use stockade_engine::folder_facts::FolderFacts;
use stockade_policy::compile::{MissingObjects, Options, UnboundPolicy};
use stockade_policy::compiled::PolicySet;
use stockade_policy::diagnostic::{Diagnostics, Severity};
use stockade_policy::objects::{LoadedObject, load_documents, load_objects};
use stockade_policy::sources::{PolicySources, load_paths, manifest_files};

use crate::cli::PolicySource;
use crate::pod_security;

/// Longest text that is read from a file or standard input, in bytes.
const MAX_INPUT_BYTES: u64 = stockade_policy::source_file::MAX_FILE_BYTES as u64;

/// Folder of policies that is used when the user names none.
const DEFAULT_POLICIES: &str = "policies";

/// Files and folders of the policies that a command line names; none when it names the Pod Security Standards alone.
///
/// # Errors
/// When the user named nothing and there is nothing by default.
pub(crate) fn policy_paths(source: &PolicySource) -> Result<Vec<PathBuf>> {
    if !source.policies.is_empty() || source.pod_security.is_some() {
        return Ok(source.policies.clone());
    }
    let default = Path::new(DEFAULT_POLICIES);
    if !default.exists() {
        bail!("no policies: name some with --policies PATH, or use --pod-security LEVEL");
    }
    Ok(vec![default.to_owned()])
}

/// Reads the policies a command line names, the built-in Pod Security Standards among them when asked for.
///
/// # Errors
/// As [`policy_paths`].
pub(crate) fn policy_sources(source: &PolicySource, bindings: &[PathBuf]) -> Result<PolicySources> {
    let mut paths = policy_paths(source)?;
    paths.extend_from_slice(bindings);
    let mut sources = load_paths(&paths);
    if let Some(level) = &source.pod_security {
        sources.policies.retain(|p| p.name != pod_security::POLICY_NAME);
        sources.bindings.retain(|b| b.policy_name != pod_security::POLICY_NAME);
        sources.add(pod_security::POLICY_FILE, pod_security::POLICY, true);
        sources.add("--pod-security", &level.binding(), true);
    }
    Ok(sources)
}

/// A compiled set, and the objects that were found beside its policies.
pub(crate) struct Policies {
    /// Ready to be put in force.
    pub(crate) set: PolicySet,
    /// Params, and whatever else lies in a policy folder and has a name.
    pub(crate) objects: Vec<Json>,
    /// Warnings and notes.
    pub(crate) diagnostics: Diagnostics,
}

/// Compiles policies. Policies that no binding names are in force everywhere with Deny. Warnings and notes go to
/// stderr unless `quiet`.
///
/// # Errors
/// All diagnostics, when one of them is an error.
pub(crate) fn compile(sources: PolicySources, quiet: bool) -> Result<Policies> {
    let options = Options {
        unbound: UnboundPolicy::BindEverywhereDeny,
        type_check: !quiet,
        missing: MissingObjects::Error,
        ..Options::default()
    };
    let compiled = stockade_policy::compile::compile(&sources, options).map_err(Refused)?;
    if !quiet {
        for diagnostic in &compiled.diagnostics {
            anstream::eprintln!("{diagnostic}");
        }
    }
    // A kustomization.yaml lies beside policies too, and stands for nothing that exists.
    let objects = sources.objects.into_iter().map(|o| o.value).filter(is_named).collect();
    Ok(Policies { set: compiled.set, objects, diagnostics: compiled.diagnostics })
}

/// Whether an object can exist: one that leaves its name to the server does not under any.
pub(crate) fn is_named(object: &Json) -> bool {
    object.pointer("/metadata/name").is_some_and(|n| n.as_str().is_some_and(|n| !n.is_empty()))
}

/// Files that could not be used.
#[derive(Debug, thiserror::Error)]
#[error("{faults}\n{list}", faults = self.count(), list = .0)]
pub(crate) struct Refused(pub(crate) Diagnostics);

impl Refused {
    /// `2 faults`
    pub(crate) fn count(&self) -> String {
        let n = self.0.iter().filter(|d| d.severity == Severity::Error).count();
        format!("{n} {}", if n == 1 { "fault" } else { "faults" })
    }
}

/// Reads a file, or standard input for `-`.
///
/// # Errors
/// Unreadable, too large, not UTF-8.
pub(crate) fn read_text(path: &Path) -> Result<(String, String)> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().lock().take(MAX_INPUT_BYTES + 1).read_to_string(&mut text).context("standard input")?;
        if text.len() as u64 > MAX_INPUT_BYTES {
            bail!("standard input is larger than {MAX_INPUT_BYTES} bytes");
        }
        return Ok(("<stdin>".to_owned(), text));
    }
    let name = path.display().to_string();
    let mut text = String::new();
    let file = std::fs::File::open(path).with_context(|| name.clone())?;
    file.take(MAX_INPUT_BYTES + 1).read_to_string(&mut text).with_context(|| name.clone())?;
    if text.len() as u64 > MAX_INPUT_BYTES {
        bail!("{name}: larger than {MAX_INPUT_BYTES} bytes");
    }
    Ok((name, text))
}

/// Reads all objects of files, folders and standard input, in order.
///
/// # Errors
/// Unreadable files, and all faults of all files.
pub(crate) fn objects(paths: &[PathBuf]) -> Result<Vec<LoadedObject>> {
    let mut all = Vec::new();
    let mut faults = Diagnostics::default();
    for file in manifest_files(paths).map_err(Refused)? {
        let (name, text) = read_text(&file)?;
        match load_objects(&name, &text) {
            Ok(objects) => all.extend(objects),
            Err(found) => faults.extend(found),
        }
    }
    if faults.has_errors() {
        return Err(anyhow::Error::new(Refused(faults)));
    }
    Ok(all)
}

/// The one object of a file.
///
/// # Errors
/// As [`objects`]; none or several objects.
pub(crate) fn object(path: &Path) -> Result<LoadedObject> {
    let (name, text) = read_text(path)?;
    let mut found = load_objects(&name, &text).map_err(Refused)?;
    if found.len() != 1 {
        bail!("{name}: holds {} objects where one is wanted", found.len());
    }
    Ok(found.remove(0))
}

/// The one document of a file, of any shape.
///
/// # Errors
/// As [`object`].
pub(crate) fn document(path: &Path) -> Result<Json> {
    let (name, text) = read_text(path)?;
    let mut found = load_documents(&name, &text).map_err(Refused)?;
    if found.len() != 1 {
        bail!("{name}: holds {} documents where one is wanted", found.len());
    }
    Ok(found.remove(0).value)
}

/// A cluster made of objects: those of a folder, and further ones that win over them.
///
/// # Errors
/// As [`objects`]; an object without a name.
pub(crate) fn facts(folder: Option<&Path>, further: impl IntoIterator<Item = Json>) -> Result<FolderFacts> {
    let loaded = folder.map(|dir| objects(&[dir.to_owned()])).transpose()?.unwrap_or_default();
    if let Some(LoadedObject { origin, .. }) = loaded.iter().find(|o| !is_named(&o.value)) {
        bail!("{}:{}: an object that exists needs metadata.name", origin.file, origin.line);
    }
    let mut existing: Vec<Json> = loaded.into_iter().map(|o| o.value).collect();
    existing.extend(further);
    FolderFacts::new(existing).context("objects that exist")
}
