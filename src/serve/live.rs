//! The policies in force and the objects they see: loaded whole, swapped whole, the last good ones kept.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use arc_swap::ArcSwap;
use stockade_engine::engine::Engine;
use stockade_engine::folder_facts::FolderFacts;

use super::policy_metrics::PolicyMetrics;
use crate::inputs;

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
        let first = generation(&sources, 1)?;
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
            Err(error) => {
                self.metrics.refused();
                let text = format!("{error:#}");
                tracing::error!(error = text, "changed policies refused, the last good ones stay in force");
                Some(text)
            }
        };
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = refusal;
    }
}

fn generation(sources: &Sources, number: u64) -> Result<Generation> {
    let compiled = inputs::compile(stockade_policy::sources::load_paths(&sources.policies), true)?;
    let facts = inputs::facts(sources.cluster_state.as_deref(), compiled.objects)?;
    Ok(Generation { engine: Engine::new(Arc::new(compiled.set)), facts, number })
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
}
