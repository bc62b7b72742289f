//! The policies in force and the objects they see: loaded whole, swapped whole, the last good ones kept.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use arc_swap::ArcSwap;
use stockade_engine::engine::Engine;
use stockade_engine::folder_facts::FolderFacts;
use stockade_policy::diagnostic::{Diagnostic, Diagnostics, Severity};

use super::policy_metrics::PolicyMetrics;
use crate::inputs::{self, Refused};

/// Where policies and objects come from.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    /// Policy files and folders.
    pub(crate) policies: Vec<PathBuf>,
    /// Folder of objects that exist.
    pub(crate) cluster_state: Option<PathBuf>,
}

/// One generation.
pub(crate) struct Generation {
    /// Policies, indexed.
    pub(crate) engine: Engine,
    /// What exists.
    pub(crate) facts: FolderFacts,
    /// Counts up from 1.
    pub(crate) number: u64,
}

/// The generation in force.
pub(crate) struct Live {
    /// Where it was read from.
    pub(crate) sources: Sources,
    /// What it counts.
    pub(crate) metrics: PolicyMetrics,
    current: ArcSwap<Generation>,
    /// Why the newest files are not in force; none when they are.
    refused: Mutex<Option<String>>,
}

impl Live {
    /// Loads the first generation.
    ///
    /// # Errors
    /// All diagnostics: without a good set there is nothing to serve.
    pub(crate) fn load(sources: Sources, metrics: PolicyMetrics) -> Result<Self> {
        let first = generation(&sources, 1).map_err(|refusal| refusal.error)?;
        metrics.in_force(first.engine.set());
        Ok(Self { sources, metrics, current: ArcSwap::from_pointee(first), refused: Mutex::new(None) })
    }

    /// The generation in force.
    pub(crate) fn current(&self) -> Arc<Generation> {
        self.current.load_full()
    }

    /// How many policies are in force.
    pub(crate) fn policy_count(&self) -> usize {
        self.current.load().engine.set().policies.len()
    }

    /// Why the newest files are not in force.
    pub(crate) fn refusal(&self) -> Option<String> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads everything anew. A set with any fault is refused whole and the one in force stays.
    pub(crate) fn reload(&self) {
        let number = self.current.load().number + 1;
        let refusal = match generation(&self.sources, number) {
            Ok(next) => {
                self.metrics.in_force(next.engine.set());
                tracing::info!(generation = number, policies = next.engine.set().policies.len(), "policies in force");
                self.current.store(Arc::new(next));
                None
            }
            Err(Refusal { error, summary }) => {
                self.metrics.refused();
                // Refused files are read again now and then; once is enough for the log.
                if self.refusal().as_ref() != Some(&summary) {
                    let error = format!("{error:#}");
                    tracing::error!(error, "changed policies refused, the last good ones stay in force");
                }
                Some(summary)
            }
        };
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = refusal;
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

fn generation(sources: &Sources, number: u64) -> Result<Generation, Refusal> {
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
    Ok(Generation { engine: Engine::new(Arc::new(compiled.set)), facts, number })
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
        let sources = Sources { policies: vec![dir.path().to_owned()], cluster_state: None };
        let mut registry = Registry::default();
        let live = Live::load(sources, PolicyMetrics::register(&mut registry)).unwrap();
        let state = || (live.policy_count(), live.current().number, live.refusal().is_some());
        assert_eq!(state(), (1, 1, false));

        fs::write(&file, GOOD.replace("'true'", "objekt.a")).unwrap();
        live.reload();
        assert_eq!(state(), (1, 1, true));
        assert!(live.refusal().unwrap().contains("undeclared reference to 'objekt'"));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        assert!(text.contains("stockade_policies_current 0"), "{text}");
        assert!(text.contains("stockade_policy_reloads_total{result=\"refused\"} 1"), "{text}");

        fs::write(&file, format!("{GOOD}---{}", GOOD.replace("name: p", "name: q"))).unwrap();
        live.reload();
        assert_eq!(state(), (2, 2, false));
    }

    fn live(dir: &std::path::Path, cluster_state: Option<PathBuf>) -> Result<Live> {
        let sources = Sources { policies: vec![dir.to_owned()], cluster_state };
        Live::load(sources, PolicyMetrics::register(&mut Registry::default()))
    }

    #[test]
    fn an_emptied_folder_leaves_the_last_policies_in_force_and_an_empty_one_serves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("p.yaml");
        fs::write(&file, GOOD).unwrap();
        let serving = live(dir.path(), None).unwrap();
        fs::remove_file(&file).unwrap();
        serving.reload();
        let why = format!("no policies in {}: nothing would be judged", dir.path().display());
        assert_eq!((serving.policy_count(), serving.refusal()), (1, Some(why.clone())));
        assert_eq!(live(dir.path(), None).err().map(|e| e.to_string()), Some(why));
    }

    #[test]
    fn what_is_told_of_broken_objects_repeats_no_line_of_them() {
        let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(dir.path().join("p.yaml"), GOOD).unwrap();
        fs::write(state.path().join("s.yaml"), "kind: Secret\ndata: {password: hunter2\n").unwrap();
        let sources = Sources { policies: vec![dir.path().to_owned()], cluster_state: Some(state.path().to_owned()) };
        let Err(Refusal { error, summary }) = generation(&sources, 1) else { panic!("a broken file is refused") };
        let error = format!("{error:#}");
        assert!(error.contains("s.yaml") && !error.contains("hunter2"), "{error}");
        assert!(summary.contains("s.yaml") && !summary.contains("hunter2"), "{summary}");
        assert_eq!(summary.lines().count(), 1);
    }
}
