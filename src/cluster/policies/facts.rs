//! What a generation needs of the cluster before it goes in force.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use stockade_engine::equivalents::Equivalents;
use tokio::sync::watch;

use crate::facts::{LiveFacts, Read};

/// What is known of the cluster.
pub trait HeldReads: Send + Sync + 'static {
    /// Watches exactly this from now on.
    fn hold<'r>(&self, reads: impl IntoIterator<Item = &'r Read>);

    /// Which resources hold the same objects; none until that is known.
    fn equivalents(&self) -> watch::Receiver<Option<Arc<Equivalents>>>;

    /// Waits until all of this is known, at most `timeout`, and gives what is not.
    fn synced(&self, reads: &BTreeSet<Read>, timeout: Duration) -> impl Future<Output = BTreeSet<Read>> + Send;
}

impl HeldReads for LiveFacts {
    fn hold<'r>(&self, reads: impl IntoIterator<Item = &'r Read>) {
        LiveFacts::hold(self, reads);
    }

    fn equivalents(&self) -> watch::Receiver<Option<Arc<Equivalents>>> {
        self.resources().equivalents()
    }

    fn synced(&self, reads: &BTreeSet<Read>, timeout: Duration) -> impl Future<Output = BTreeSet<Read>> + Send {
        LiveFacts::synced(self, reads, timeout)
    }
}
