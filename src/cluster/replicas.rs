//! Who else runs: each replica keeps a Lease of its own, and one of them holds the Lease of the writers.

use std::sync::Arc;

use tokio::sync::watch;

/// Whether this replica is the one that writes. Watch it: leadership comes and goes.
pub type Leadership = watch::Receiver<bool>;

/// The replicas whose Lease has not expired, this one among them, sorted by identity.
pub type Replicas = watch::Receiver<Arc<[Replica]>>;

/// One replica, as its Lease tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Name of its Pod.
    pub identity: String,
    /// Whether it answers admission requests.
    pub ready: bool,
    /// `resourceVersion` up to which it has put policy objects in force (comparable as numbers, KEP-5504).
    pub observed: u64,
}
