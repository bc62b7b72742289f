//! The policies of a cluster: objects, ConfigMaps and folders, compiled one change after the other and put in force as
//! generations.
//!
//! ```text
//! watches ─┐
//!          ├─ sources: text by kind, namespace, name ─ compiler ─ engines ─ reads synced? ─ generation
//! folders ─┘
//! ```
//!
//! What does not compile keeps its last good version and holds up nothing else; what is deleted is gone at once.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use stockade_engine::engine::Engine;
use stockade_engine::essentials::Essentials;
use stockade_policy::compile::incremental::Standing;
use stockade_policy::diagnostic::Diagnostics;
use tokio::sync::watch;

use crate::facts::Read;

pub use self::facts::HeldReads;
pub use self::holds::write_holds;
pub use self::kind::SourceKind;
pub use self::observed::Observed;
pub use self::publish::publish;
pub use self::shadows::write_shadows;

pub mod admission;
mod facts;
mod folders;
mod holds;
mod kind;
mod objects;
mod observed;
mod publish;
mod render;
mod shadows;
mod sources;

/// Label of the ConfigMaps in Stockade's own namespace whose keys are policy files.
pub const CONFIG_MAP_LABEL: (&str, &str) = ("stockade.dev/policies", "true");

/// The newest generation. Number 0 is what there is before the first: it judges nothing and must not be asked.
pub type Generations = watch::Receiver<Arc<Generation>>;

/// What is in force at one moment.
#[derive(Debug)]
pub struct Generation {
    /// Counts up from 1 with each change of what is in force.
    pub number: u64,
    /// What requests are judged by.
    pub engine: Arc<Engine>,
    /// What the audit judges by: with the native policies of the cluster, which the API server itself enforces.
    pub audited: Arc<Engine>,
    /// How much of the own kinds was looked at. It also changes when nothing else does.
    pub observed: Observed,
    /// What is not in force as it is now, sorted by kind, namespace and name.
    pub refused: Vec<RefusedObject>,
    /// What is read and was not known in time: it is "not ready" until it is.
    pub not_synced: BTreeSet<Read>,
}

/// A source that is refused, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedObject {
    /// Its kind.
    pub kind: SourceKind,
    /// Its namespace; empty for a cluster-scoped object and for the folders.
    pub namespace: String,
    /// Its name; empty for the folders.
    pub name: String,
    /// Its `metadata.generation`; 0 where there is none.
    pub generation: i64,
    /// What it has come to.
    pub standing: Standing,
    /// Why. All at once, with carets.
    pub diagnostics: Diagnostics,
}

/// Where policies come from beside the cluster's objects.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Policy files and folders, all or nothing; may be none.
    pub folders: Vec<PathBuf>,
    /// Longest time that an exception may be for, from its creation; none means any.
    pub max_exception_seconds: Option<u32>,
    /// What is admitted when it cannot be judged. Exceptions of its own namespace also waive cluster-scoped objects.
    pub essentials: Essentials,
}

// === impl Generation ===

impl Generation {
    /// What there is before the first generation.
    fn none() -> Self {
        let engine = Arc::new(Engine::new(Arc::default()));
        let (observed, not_synced) = (Observed::default(), BTreeSet::new());
        Self { number: 0, audited: engine.clone(), engine, observed, refused: Vec::new(), not_synced }
    }
}
