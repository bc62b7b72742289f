//! What a generation needs of the cluster before it goes in force.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use stockade_engine::equivalents::Equivalents;
use stockade_policy::compiled::ParamKind;
use tokio::sync::watch;

use crate::facts::LiveFacts;

/// The kinds whose objects are known.
pub trait HeldKinds: Send + Sync + 'static {
    /// Watches exactly these kinds from now on.
    fn hold(&self, kinds: &[ParamKind]);

    /// Which resources hold the same objects; none until that is known.
    fn equivalents(&self) -> watch::Receiver<Option<Arc<Equivalents>>>;

    /// Waits until objects of all these kinds are known, at most `timeout`, and gives those that are not.
    fn synced(&self, kinds: &[ParamKind], timeout: Duration) -> impl Future<Output = Vec<ParamKind>> + Send;
}

impl HeldKinds for LiveFacts {
    fn hold(&self, kinds: &[ParamKind]) {
        LiveFacts::hold(self, kinds);
    }

    fn equivalents(&self) -> watch::Receiver<Option<Arc<Equivalents>>> {
        self.resources().equivalents()
    }

    fn synced(&self, kinds: &[ParamKind], timeout: Duration) -> impl Future<Output = Vec<ParamKind>> + Send {
        LiveFacts::synced(self, kinds, timeout)
    }
}
