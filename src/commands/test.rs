//! `stockade test`: the cases of a policy repository, each against its own policy.

mod case;
mod folder;
mod images;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail};
use serde_json::Value as Json;
use stockade_engine::engine::Engine;
use stockade_engine::folder_facts::FolderFacts;
use stockade_engine::images::WithImages;
use stockade_engine::request::RequestBuilder;
use stockade_policy::diagnostic::Diagnostics;
use stockade_policy::sources::load_paths;
use stockade_report::{CaseResult, PolicyResult, TestReport};
use stockade_schema::normalise::normalise;

use crate::cli::TestArgs;
use crate::exit::Exit;
use crate::inputs::Refused;
use crate::{inputs, judge};
use case::Case;
use folder::PolicyFolder;
use images::{Stated, unsaid};

/// Runs all cases of all policy folders below the named ones.
///
/// # Errors
/// A folder without policies, or one that cannot be read. What is wrong with a single policy is part of the report.
pub(crate) fn run(args: &TestArgs) -> Result<Exit> {
    let mut folders = Vec::new();
    for dir in &args.dirs {
        let before = folders.len();
        folder::find(dir, &mut folders)?;
        if folders.len() == before {
            bail!("{}: holds no policy folder (a folder with a policy.yaml)", dir.display());
        }
    }
    let report = TestReport::new(folders.iter().map(|f| test(f)).collect());
    super::print(&report, args.output)?;
    Ok(if report.failed == 0 { Exit::Clean } else { Exit::Findings })
}

fn test(path: &Path) -> PolicyResult {
    let mut result = PolicyResult { folder: path.display().to_string(), faults: Vec::new(), cases: Vec::new() };
    match PolicyFolder::read(path) {
        Ok(folder) => {
            result.faults = folder.faults();
            match bench(&folder) {
                Ok(bench) => result.cases = folder.cases.iter().map(|case| bench.run(case)).collect(),
                Err(e) => result.faults.push(format!("{e:#}")),
            }
        }
        Err(e) => result.faults.push(format!("{e:#}")),
    }
    result
}

/// A policy in force, beside what its cases say exists.
struct Bench {
    engine: Engine,
    existing: Vec<Json>,
    shared: FolderFacts,
}

fn bench(folder: &PolicyFolder) -> Result<Bench> {
    let compiled = inputs::compile(load_paths(&folder.policy_files), true)?;
    let strangers = folder.written.iter().map(|written| written.strangers(&compiled.set));
    if let Some(faults) = strangers.into_iter().find(Diagnostics::has_errors) {
        return Err(Refused(faults).into());
    }
    let mut existing = compiled.objects;
    let paths: Vec<PathBuf> = folder.existing.clone().into_iter().collect();
    existing.extend(inputs::objects(&paths)?.into_iter().map(|o| normalise(o.value)));
    let shared = inputs::facts(None, existing.clone())?;
    Ok(Bench { engine: Engine::new(Arc::new(compiled.set)), existing, shared })
}

impl Bench {
    fn run(&self, case: &Case) -> CaseResult {
        let failure = match self.judge(case) {
            Ok(failure) => failure,
            Err(e) => Some(format!("{e:#}")),
        };
        CaseResult { name: case.name.clone(), failure }
    }

    fn judge(&self, case: &Case) -> Result<Option<String>> {
        let mut request = RequestBuilder::new();
        if let Some(operation) = case.operation {
            request = request.operation(operation);
        }
        if let Some(object) = &case.object {
            request = request.object(normalise(object.clone()));
        }
        if let Some(old) = &case.old_object {
            request = request.old_object(normalise(old.clone()));
        }
        if let Some(user) = &case.user_info {
            request = request.user_info(user.clone());
        }
        let own = match &case.namespace {
            None => None,
            Some(namespace) => {
                Some(inputs::facts(None, self.existing.iter().cloned().chain([normalise(namespace.clone())]))?)
            }
        };
        let facts = own.as_ref().unwrap_or(&self.shared);
        let stated = Stated(&case.images);
        let decision =
            judge::judge_at(&self.engine, &WithImages { facts, images: &stated }, &request.review()?, case.now)?;
        Ok(unsaid(&decision.wanted).or_else(|| case.check(&decision)))
    }
}
