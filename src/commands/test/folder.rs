//! The layout of one policy's folder.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use stockade_policy::cases::{Cases, Expect, load_cases};

use super::case::{Case, Wanted};
use crate::inputs::{self, Refused};

/// Deepest folder below the one that was named: pack and policy need two.
const MAX_DEPTH: usize = 8;
/// The file that makes a folder a policy's.
const POLICY: &str = "policy.yaml";
const README: &str = "README.md";
const CASES: &str = "test.yaml";
const PASS: &str = "pass";
const FAIL: &str = "fail";
const EXISTING: &str = "existing";

/// What a policy's folder holds.
pub(crate) struct PolicyFolder {
    /// Files with policies, bindings and params.
    pub(crate) policy_files: Vec<PathBuf>,
    /// Folder of objects that exist.
    pub(crate) existing: Option<PathBuf>,
    /// Everything to run, in order: pass, fail, test.yaml.
    pub(crate) cases: Vec<Case>,
    /// Those of them that are in test.yaml, as they are written.
    pub(crate) written: Option<Cases>,
    has_readme: bool,
}

/// Finds policy folders, sorted.
///
/// # Errors
/// A folder that cannot be read.
pub(crate) fn find(dir: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    find_below(dir, 0, found)
}

fn find_below(dir: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    if dir.join(POLICY).exists() || dir.join(CASES).exists() {
        found.push(dir.to_owned());
        return Ok(());
    }
    if depth == MAX_DEPTH {
        return Ok(());
    }
    for entry in entries(dir)? {
        if entry.is_dir() && !is_hidden(&entry) {
            find_below(&entry, depth + 1, found)?;
        }
    }
    Ok(())
}

impl PolicyFolder {
    /// Reads the cases; the policy itself is read later, by the loader of policies.
    ///
    /// # Errors
    /// Case files that cannot be read or understood.
    pub(crate) fn read(dir: &Path) -> Result<Self> {
        let mut cases = Vec::new();
        for (name, wanted) in [(PASS, Wanted::Written(Expect::Allow)), (FAIL, Wanted::Finding)] {
            let folder = dir.join(name);
            if !folder.is_dir() {
                continue;
            }
            for file in yaml_files(&folder)? {
                for (n, object) in inputs::objects(std::slice::from_ref(&file))?.into_iter().enumerate() {
                    let file = file.strip_prefix(dir).unwrap_or(&file).display();
                    let name = if n == 0 { file.to_string() } else { format!("{file}:{}", object.origin.line) };
                    cases.push(Case::of_file(name, object.value, wanted));
                }
            }
        }
        let path = dir.join(CASES);
        let written = path.is_file().then(|| written(&path)).transpose()?;
        for source in written.iter().flat_map(|written| written.list.clone()) {
            let place = format!("{}:{}: case {:?}", source.origin.file, source.origin.line, source.name);
            cases.push(Case::of_source(source, dir).context(place)?);
        }
        let existing = Some(dir.join(EXISTING)).filter(|p| p.is_dir());
        let policy_files = yaml_files(dir)?.into_iter().filter(|f| f.file_name() != Some(CASES.as_ref())).collect();
        Ok(Self { policy_files, existing, cases, written, has_readme: dir.join(README).is_file() })
    }

    /// What every policy must have and this one has not.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !self.has_readme {
            faults.push(format!("no {README}: say what the policy wants, why, and how to fix an object it refuses"));
        }
        if !self.cases.iter().any(|c| c.wanted.is_quiet()) {
            faults.push(format!("no case that passes: add one to {PASS}/ or {CASES}"));
        }
        if self.cases.iter().all(|c| c.wanted.is_quiet()) {
            faults.push(format!("no case that fails: add one to {FAIL}/ or {CASES}"));
        }
        faults
    }
}

fn written(path: &Path) -> Result<Cases> {
    let (name, text) = inputs::read_text(path)?;
    Ok(load_cases(&name, &text).map_err(Refused)?)
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        paths.push(entry.with_context(|| dir.display().to_string())?.path());
    }
    paths.sort();
    Ok(paths)
}

fn yaml_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let wanted = |p: &PathBuf| p.is_file() && !is_hidden(p) && p.extension().is_some_and(|e| e == "yaml" || e == "yml");
    Ok(entries(dir)?.into_iter().filter(wanted).collect())
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'))
}
