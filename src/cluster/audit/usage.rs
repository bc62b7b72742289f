//! What exceptions waive of what exists, told by the replica that audits the objects they are about.

use std::collections::BTreeMap;
use std::sync::Arc;

use stockade_engine::audit::Waived;
use stockade_engine::engine::Engine;
use tokio::sync::watch;

use super::share::Share;

/// The newest; none while not everything of this replica's share is judged.
pub type Usages = watch::Receiver<Option<Arc<Usage>>>;

/// What was found when everything of a share was judged.
#[derive(Debug)]
pub struct Usage {
    /// By what it was judged.
    pub(super) engine: Arc<Engine>,
    pub(super) share: Arc<Share>,
    /// By `namespace/name`; those that are not there waive nothing.
    pub(super) waived: BTreeMap<Arc<str>, Waived>,
}

// === impl Usage ===

impl Usage {
    /// Whether it was judged by this engine, and so by its exceptions.
    pub(crate) fn is_by(&self, engine: &Arc<Engine>) -> bool {
        Arc::ptr_eq(&self.engine, engine)
    }

    /// What an exception waives; none when another replica knows.
    pub(crate) fn of(&self, namespace: &str, name: &str) -> Option<Waived> {
        let known = || self.waived.get(&*format!("{namespace}/{name}")).copied().unwrap_or_default();
        self.share.holds(namespace).then(known)
    }
}
