//! What the audit of one replica judges, by what, and where.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use stockade_engine::audit::Auditor;
use stockade_engine::engine::Engine;
use stockade_policy::compiled::{Policy, PolicySet};
use tokio_util::task::AbortOnDropHandle;

use super::follow::Markers;
use super::kinds::Kind;
use super::share::Share;
use crate::reports::Policies;

/// What is judged, by what, and where.
pub(super) struct Plan {
    pub(super) engine: Arc<Engine>,
    pub(super) auditor: Arc<Auditor>,
    pub(super) policies: Policies,
    pub(super) kinds: BTreeMap<Arc<str>, Arc<Kind>>,
    pub(super) share: Option<Arc<Share>>,
    pub(super) markers: HashMap<Arc<str>, Arc<Markers>>,
    /// One watch a resource, begun when its list was complete.
    pub(super) followers: HashMap<Arc<str>, AbortOnDropHandle<()>>,
}

// === impl Plan ===

impl Plan {
    pub(super) fn empty() -> Self {
        let engine = Arc::new(Engine::new(Arc::default()));
        Self {
            auditor: Arc::new(Auditor::new(&engine)),
            engine,
            policies: Policies::new(),
            kinds: BTreeMap::new(),
            share: None,
            markers: HashMap::new(),
            followers: HashMap::new(),
        }
    }

    pub(super) fn markers(&mut self, resource: &Arc<str>) -> Arc<Markers> {
        Arc::clone(self.markers.entry(Arc::clone(resource)).or_default())
    }

    /// Another share means other objects.
    pub(super) fn forget_seen(&mut self) {
        self.followers.clear();
        self.markers.clear();
    }
}

/// Policies of either set that the other does not have just so.
pub(super) fn changed(before: &PolicySet, after: &PolicySet) -> Vec<Arc<Policy>> {
    let of = |set: &PolicySet| -> HashMap<*const Policy, Arc<Policy>> {
        set.policies.iter().map(|p| (Arc::as_ptr(p), Arc::clone(p))).collect()
    };
    let (before, after) = (of(before), of(after));
    let gone = before.iter().filter(|(p, _)| !after.contains_key(*p));
    let new = after.iter().filter(|(p, _)| !before.contains_key(*p));
    gone.chain(new).map(|(_, policy)| Arc::clone(policy)).collect()
}

/// Exceptions and groups, to be compared.
pub(super) fn waivers(set: &PolicySet) -> String {
    format!("{:?}{:?}", set.exceptions, set.groups)
}
