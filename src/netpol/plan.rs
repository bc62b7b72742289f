//! What the kernel of a node holds of policies: tables that a packet is judged by, without pairs and without order.
//!
//! A table is what the policies say about one kind of Pod, in both directions. A packet of such a Pod is judged by up
//! to three sources: what the table says about everyone, about the peer's identity, and about the block of addresses
//! that the peer is in. Each source gives a set of ports; in it the packet's protocol and port lead to a [`Leaf`]. The
//! leaves are combined by taking the least of each of their fields, so no rule is copied to all whom it means in
//! another way, and the result is that of the first rule that matches ([`Leaf::verdict`]).
//!
//! Everything is named by its content, so nothing is allocated and a restart has nothing to remember: a table by its
//! rules (not by whom they mean at the moment, which comes and goes in place), a port set by its entries, an identity
//! by its namespace, labels and named ports.

use std::collections::{BTreeMap, BTreeSet};

use crate::compile::Compiled;
use crate::state::PodId;

mod digest;
mod leaf;
mod limits;
mod numbers;
mod port_sets;
mod table;

pub use leaf::{Leaf, NO_RULE};
pub use limits::{DoesNotFit, Limits, What};
pub use numbers::{Collision, NOBODY, Numbers, OWN_NODE, identity_number};
pub use port_sets::{OTHER_PROTOCOLS, PortKey, PortSetEntries, protocol_number};
pub use table::{Prefix, RuleName, Ruling, Table, TableDirection};

/// What the kernel of a node is to hold for some of its Pods.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// By id.
    pub tables: BTreeMap<u64, Table>,
    /// By id.
    pub port_sets: BTreeMap<u64, PortSetEntries>,
    /// What each Pod that was asked for is judged by. One whose tables do not fit has none of them in this plan: what
    /// it is judged by must not change, and a new one must not be opened. Pods on the host's network and those that
    /// have ended are left out.
    pub pods: BTreeMap<PodId, Result<PodTables, DoesNotFit>>,
    /// Rules that name domains, which tables cannot tell: by name they accept nothing.
    pub not_enforced: BTreeSet<RuleName>,
    /// Whether it says something else once an address is another's ([`crate::state::Pod::addresses`]): then a rule means
    /// Pods by a block of addresses and their ports by a name. Otherwise it says something else only once there is
    /// another identity, node, namespace or policy.
    pub depends_on_addresses: bool,
}

/// Tables of one Pod, by id. None: no policy is about it, everything passes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PodTables {
    /// Of the policies that are enforced.
    pub table: Option<u64>,
    /// Of all policies, where some are only audited ([`crate::policy::Policy::audit`]): what it denies and `table`
    /// does not would be denied.
    pub audit_table: Option<u64>,
}

/// Plans the tables of some Pods. It costs what the policies that select them say, whatever else there is.
///
/// # Errors
/// Two contents that have one id. What does not fit is told Pod by Pod, so that nobody's policies hold up another's.
pub fn plan(_compiled: &Compiled, _numbers: &Numbers, pods: &[PodId], limits: &Limits) -> Result<Plan, Collision> {
    let nothing = DoesNotFit { policy: String::new(), what: What::Tables, count: pods.len(), bound: limits.tables };
    let pods = pods.iter().map(|pod| (*pod, Err(nothing.clone()))).collect();
    Ok(Plan { pods, ..Plan::default() })
}
