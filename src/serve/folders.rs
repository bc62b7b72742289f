//! Policies and objects from folders: loaded whole, swapped whole, the last good ones kept.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use stockade_engine::engine::Engine;
use stockade_engine::essentials::Essentials;
use stockade_policy::diagnostic::{Diagnostic, Diagnostics, Severity};
use stockade_policy::folder_watch::{self, FolderWatch, Snapshot};

use super::in_force::{InForce, Judge};
use crate::inputs::{self, Refused};

/// Where policies and objects come from.
#[derive(Debug, Clone)]
pub(crate) struct Folders {
    /// Policy files and folders.
    pub(crate) policies: Vec<PathBuf>,
    /// Folder of objects that exist.
    pub(crate) cluster_state: Option<PathBuf>,
    /// What is admitted when it cannot be judged.
    pub(crate) essentials: Essentials,
}

// === impl Folders ===

impl Folders {
    /// Loads the first generation.
    ///
    /// # Errors
    /// All diagnostics: without a good set there is nothing to serve.
    pub(crate) fn load(&self, in_force: &InForce) -> Result<()> {
        let first = generation(self, 1, None).map_err(|refusal| refusal.error)?;
        in_force.put(first);
        in_force.refuse(Vec::new());
        Ok(())
    }

    /// What the files are. Take it before they are loaded: what changes in between then is seen as a change.
    pub(crate) fn snapshot(&self) -> Snapshot {
        folder_watch::snapshot(self.policies.iter().chain(&self.cluster_state))
    }

    /// Reloads whenever files change. `loaded` is what they were before the first load. Never ends.
    pub(crate) async fn watch(self, in_force: Arc<InForce>, loaded: Snapshot) {
        let folders = Arc::new(self);
        let mut watch = FolderWatch::new(loaded);
        loop {
            tokio::time::sleep(folder_watch::INTERVAL).await;
            let looked = folders.clone();
            // A panic in there is told by the runtime; the next look is made all the same.
            let Ok(now) = tokio::task::spawn_blocking(move || looked.snapshot()).await else { continue };
            if !watch.is_due(now, !in_force.refused().is_empty()) {
                continue;
            }
            let (reloaded, into) = (folders.clone(), in_force.clone());
            if tokio::task::spawn_blocking(move || reloaded.reload(&into)).await.is_err() {
                tracing::error!("reloading policies failed unexpectedly, the last good ones stay in force");
            }
        }
    }

    /// Reads everything anew. A set with any fault is refused whole and the one in force stays.
    fn reload(&self, in_force: &InForce) {
        let before = in_force.judge();
        let number = before.as_ref().map_or(0, |judge| judge.number) + 1;
        match generation(self, number, before.as_ref().map(|judge| &*judge.engine)) {
            Ok(next) => {
                tracing::info!(generation = number, policies = next.engine.set().policies.len(), "policies in force");
                in_force.put(next);
                in_force.refuse(Vec::new());
            }
            Err(Refusal { error, summary }) => {
                let line = format!("changed policies refused, the last good ones stay in force: {summary}");
                // Refused files are read again now and then; once is enough for the log.
                if in_force.refused().first() != Some(&line) {
                    let error = format!("{error:#}");
                    tracing::error!(error, "changed policies refused, the last good ones stay in force");
                }
                in_force.refuse(vec![line]);
            }
        }
    }
}

/// Files that were not put in force.
struct Refusal {
    /// For the log.
    error: anyhow::Error,
    /// In a line, for `/readyz`, where anybody can read: without lines of the files.
    summary: String,
}

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        let first = error.downcast_ref::<Refused>().and_then(|r| {
            let first = r.0.iter().find(|d| d.severity == Severity::Error)?;
            Some(format!("{r}, the first is {}:{}: {}", first.file, first.line, first.message, r = r.count()))
        });
        Self { summary: first.unwrap_or_else(|| format!("{error:#}")), error }
    }
}

fn generation(sources: &Folders, number: u64, before: Option<&Engine>) -> Result<Judge, Refusal> {
    let compiled = inputs::compile(stockade_policy::sources::load_paths(&sources.policies), true)?;
    if compiled.set.policies.is_empty() {
        // Of a mount that is gone an empty folder stays; whoever wants no policies stops the webhook.
        return Err(anyhow::anyhow!("no policies in {}: nothing would be judged", listed(&sources.policies)).into());
    }
    let facts = inputs::facts(sources.cluster_state.as_deref(), compiled.objects).map_err(without_lines)?;
    for d in &compiled.diagnostics {
        match d.severity {
            Severity::Note => tracing::info!(file = &*d.file, line = d.line, note = d.message, "policy note"),
            _ => tracing::warn!(file = &*d.file, line = d.line, warning = d.message, "policy warning"),
        }
    }
    let engine = Engine::new(Arc::new(compiled.set)).essentials(sources.essentials.clone());
    let engine = match before {
        Some(before) => engine.continuing(before),
        None => engine,
    };
    Ok(Judge { engine: Arc::new(engine), facts: Arc::new(facts), number })
}

fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Objects that exist may be Secrets: no line of theirs goes to the log.
fn without_lines(error: anyhow::Error) -> anyhow::Error {
    let Some(Refused(faults)) = error.downcast_ref::<Refused>() else { return error };
    let mut bare = Diagnostics::default();
    for fault in faults {
        bare.push(Diagnostic { excerpt: None, ..fault.clone() });
    }
    anyhow::Error::new(Refused(bare))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::serve::policy_metrics::PolicyMetrics;

    const GOOD: &str = "
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: p}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  validations: [{expression: 'true'}]
";

    #[test]
    fn a_broken_set_is_refused_whole_and_the_last_good_one_stays_in_force_until_it_is_mended() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("p.yaml");
        fs::write(&file, GOOD).unwrap();
        let folders =
            Folders { policies: vec![dir.path().to_owned()], cluster_state: None, essentials: Essentials::new("gate") };
        let mut registry = Registry::default();
        let live = InForce::new(PolicyMetrics::register(&mut registry));
        folders.load(&live).unwrap();
        let state = || (policy_count(&live), live.judge().unwrap().number, !live.refused().is_empty());
        assert_eq!(state(), (1, 1, false));

        fs::write(&file, GOOD.replace("'true'", "objekt.a")).unwrap();
        folders.reload(&live);
        assert_eq!(state(), (1, 1, true));
        assert!(live.refused()[0].contains("undeclared reference to 'objekt'"));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        assert!(text.contains("stockade_policies_current 0"), "{text}");
        assert!(text.contains("stockade_policy_reloads_total{result=\"refused\"} 1"), "{text}");

        fs::write(&file, format!("{GOOD}---{}", GOOD.replace("name: p", "name: q"))).unwrap();
        folders.reload(&live);
        assert_eq!(state(), (2, 2, false));
    }

    fn policy_count(in_force: &InForce) -> usize {
        in_force.judge().unwrap().engine.set().policies.len()
    }

    #[test]
    fn an_emptied_folder_leaves_the_last_policies_in_force_and_an_empty_one_serves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("p.yaml");
        fs::write(&file, GOOD).unwrap();
        let folders =
            Folders { policies: vec![dir.path().to_owned()], cluster_state: None, essentials: Essentials::new("gate") };
        let serving = InForce::new(PolicyMetrics::register(&mut Registry::default()));
        folders.load(&serving).unwrap();
        fs::remove_file(&file).unwrap();
        folders.reload(&serving);
        let why = format!("no policies in {}: nothing would be judged", dir.path().display());
        let line = format!("changed policies refused, the last good ones stay in force: {why}");
        assert_eq!((policy_count(&serving), &**serving.refused()), (1, &[line][..]));
        assert_eq!(folders.load(&serving).err().map(|e| e.to_string()), Some(why));
    }

    #[test]
    fn what_is_told_of_broken_objects_repeats_no_line_of_them() {
        let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(dir.path().join("p.yaml"), GOOD).unwrap();
        fs::write(state.path().join("s.yaml"), "kind: Secret\ndata: {password: hunter2\n").unwrap();
        let state = Some(state.path().to_owned());
        let sources = Folders {
            policies: vec![dir.path().to_owned()],
            cluster_state: state,
            essentials: Essentials::new("gate"),
        };
        let Err(Refusal { error, summary }) = generation(&sources, 1, None) else { panic!("a broken file is refused") };
        let error = format!("{error:#}");
        assert!(error.contains("s.yaml") && !error.contains("hunter2"), "{error}");
        assert!(summary.contains("s.yaml") && !summary.contains("hunter2"), "{summary}");
        assert_eq!(summary.lines().count(), 1);
    }
}
