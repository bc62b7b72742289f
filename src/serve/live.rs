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
