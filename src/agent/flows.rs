//! What Pods did, seen: events of the kernel become flows with names on both ends, under a noise budget.

use std::sync::Arc;

use stockade_netpol::plan::RuleName;
use stockade_netpol::state::Labels;

/// What numbers of the kernel mean. Whoever holds the agent's state answers, from memory.
pub trait Names: Send + Sync {
    /// The Pod behind an interface of the host; none when it has gone.
    fn pod(&self, interface: u32) -> Option<PodNames>;
    /// Pods with an identity; none when nobody has it any more.
    fn identity(&self, number: u64) -> Option<IdentityNames>;
    /// The rule at a place in a table; none when the table is not in use any more.
    fn rule(&self, table: u64, ordinal: u32) -> Option<RuleName>;
}

/// A Pod of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodNames {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// `metadata.uid`
    pub uid: Arc<str>,
    /// Its labels.
    pub labels: Labels,
}

/// Pods that no policy can tell apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityNames {
    /// Their namespace.
    pub namespace: Arc<str>,
    /// Their labels.
    pub labels: Labels,
}
