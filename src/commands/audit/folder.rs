//! A folder of objects that stands for a cluster: read by all cores, one file a core at a time.

use std::collections::BTreeSet;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail};
use bumpalo::Bump;
use memchr::memmem;
use serde_json::Value as Json;
use stockade_cel::{Symbols, Value, document};
use stockade_engine::audit::{Auditor, Existing, Judgement};
use stockade_engine::facts::ClusterFacts;
use stockade_engine::folder_facts::FolderFacts;
use stockade_policy::objects::load_objects;
use stockade_policy::sources::manifest_files_up_to;
use stockade_report::{AuditReport, Audited, MAX_DETAILS};

use crate::images_seen::Looker;
use crate::inputs::{self, Refused};

/// Most files of a folder: one for each object of a large cluster.
const MAX_FILES: usize = 1_000_000;
/// Most cores: each holds one file, of at most [`stockade_policy::source_file::MAX_FILE_BYTES`], and its decoded form.
const MAX_WORKERS: usize = 16;

/// Judges all objects of a folder, beside which `further` ones exist.
///
/// # Errors
/// Unreadable files, files that hold something else than objects.
pub(super) fn audit(
    folder: &Path,
    auditor: &Auditor,
    looker: Option<&Looker>,
    further: Vec<Json>,
) -> Result<AuditReport> {
    let files = manifest_files_up_to(MAX_FILES, &[folder.to_owned()]).map_err(Refused)?;
    let facts = facts(&files, auditor, further)?;
    let by = By { auditor, looker, facts: &facts };
    let parts = in_parallel(&files, Worker::default, |worker, number, file| worker.judge(number, file, &by))?;
    let mut report = AuditReport::default();
    let mut reports: Vec<_> = parts.into_iter().flat_map(|w| w.reports).collect();
    reports.sort_by_key(|(number, _)| *number);
    for (_, part) in reports {
        report.merge(part);
    }
    if report.judged == 0 {
        bail!("nothing to judge: the files hold no object");
    }
    Ok(report)
}

/// What policies read of the cluster: those objects of the folder, few among many.
fn facts(files: &[PathBuf], auditor: &Auditor, further: Vec<Json>) -> Result<FolderFacts> {
    let reads = auditor.policies().iter().flat_map(|p| p.reads.iter().map(|read| &read.kind).chain(&p.param_kind));
    let reads = reads.map(|kind| kind.kind.as_str());
    // Namespaces are read for every object, definitions tell the scope of custom kinds.
    let kinds: BTreeSet<&str> = reads.chain(["Namespace", "CustomResourceDefinition"]).collect();
    // Most files need not be parsed for this: what names no such kind holds no such object.
    let finders: Vec<_> = kinds.iter().map(|k| memmem::Finder::new(k.as_bytes())).collect();
    let found = in_parallel(files, Vec::new, |found: &mut Vec<(usize, Json)>, number, file| {
        let (name, text) = inputs::read_text(file)?;
        if finders.iter().any(|f| f.find(text.as_bytes()).is_some()) {
            let objects = load_objects(&name, &text).map_err(Refused)?.into_iter().map(|o| o.value);
            let read = |o: &Json| o["kind"].as_str().is_some_and(|k| kinds.contains(k)) && inputs::is_named(o);
            found.extend(objects.filter(read).map(|o| (number, o)));
        }
        Ok(())
    })?;
    let mut found: Vec<_> = found.into_iter().flatten().collect();
    found.sort_by_key(|(number, _)| *number);
    FolderFacts::new(further.into_iter().chain(found.into_iter().map(|(_, o)| o))).context("objects that exist")
}

/// By what objects are judged.
struct By<'b> {
    auditor: &'b Auditor,
    /// None when nothing is to be judged that is about images.
    looker: Option<&'b Looker>,
    facts: &'b FolderFacts,
}

impl By<'_> {
    fn judge(&self, existing: &Existing<'_>, scratch: &mut Bump) -> Judgement {
        let mut judge = |facts: &dyn ClusterFacts| {
            scratch.reset();
            let mut judgement = self.auditor.judge(existing, facts, scratch);
            let wanted = std::mem::take(&mut judgement.wanted);
            (judgement, wanted)
        };
        match self.looker {
            Some(looker) => looker.settle(self.facts, judge).0,
            None => judge(self.facts).0,
        }
    }
}

/// What one core keeps.
#[derive(Default)]
struct Worker {
    /// A file's number and its report while violations are told, then one for all the rest, numbered last.
    reports: Vec<(usize, AuditReport)>,
    told: usize,
    document: Bump,
    scratch: Bump,
}

impl Worker {
    fn judge(&mut self, number: usize, file: &Path, by: &By<'_>) -> Result<()> {
        let (name, text) = inputs::read_text(file)?;
        self.document.reset();
        let objects = decoded(&name, &text, &self.document, by.auditor.symbols())?;
        // Which violations are told must not depend on which core was faster.
        let number = if self.told < MAX_DETAILS { number } else { usize::MAX };
        if self.reports.last().is_none_or(|(n, r)| *n != number && !r.violations.is_empty()) {
            self.reports.push((number, AuditReport::default()));
        }
        let Some((n, report)) = self.reports.last_mut() else { return Ok(()) };
        *n = number;
        let before = report.violations.len();
        for object in objects {
            let existing = Existing::of(*object, by.facts, &self.document)
                .with_context(|| format!("{name}: an object has no apiVersion or kind"))?;
            let judgement = by.judge(&existing, &mut self.scratch);
            report.add(existing.namespace(), judgement, || Audited {
                api_version: existing.kind.api_version(),
                kind: existing.kind.kind.to_owned(),
                namespace: existing.namespace().to_owned(),
                name: existing.name().to_owned(),
                file: Some(name.clone()),
            });
        }
        self.told += report.violations.len() - before;
        Ok(())
    }
}

/// The objects of a file. JSON, which is what large dumps are, is decoded as it stands, lists taken apart.
fn decoded<'a>(name: &str, text: &'a str, arena: &'a Bump, symbols: &Symbols) -> Result<&'a [Value<'a>]> {
    if text.trim_start().starts_with('{')
        && let Ok(value) = document::decode(text.as_bytes(), arena, symbols)
    {
        let kind = value.get("kind").and_then(Value::as_str).unwrap_or("");
        match value.get("items").and_then(Value::as_list) {
            // Elements of any other list get its kind, which the reader below gives them.
            Some(items) if kind == "List" => return Ok(items),
            Some(_) if kind.ends_with("List") => {}
            _ => return Ok(arena.alloc_slice_copy(&[value])),
        }
    }
    let objects = load_objects(name, text).map_err(Refused)?;
    let mut values = bumpalo::collections::Vec::with_capacity_in(objects.len(), arena);
    for object in objects {
        values.push(document::from_json(&object.value, arena, symbols).with_context(|| name.to_owned())?);
    }
    Ok(values.into_bump_slice())
}

/// Does one thing with every file, on all cores, and returns what each core gathered. The first error ends it.
fn in_parallel<T: Send>(
    files: &[PathBuf],
    make: impl Fn() -> T + Sync,
    work: impl Fn(&mut T, usize, &Path) -> Result<()> + Sync,
) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let workers = cores.min(MAX_WORKERS).min(files.len());
    let worker = || -> Result<T> {
        let mut gathered = make();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(file) = files.get(number) else { return Ok(gathered) };
            if let Err(error) = work(&mut gathered, number, file) {
                next.store(files.len(), Ordering::Relaxed);
                return Err(error);
            }
        }
    };
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        // A worker's panic goes on here.
        handles.into_iter().map(|h| h.join().unwrap_or_else(|p| std::panic::resume_unwind(p))).collect()
    })
}
