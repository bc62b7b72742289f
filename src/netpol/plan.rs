//! What the kernel of a node holds of policies: tables that a packet is judged by, without pairs and without order.
//!
//! A table is what the policies say about one kind of Pod, in both directions. A packet of such a Pod is judged by up
//! to four sources: what the table says about everyone, about every Pod, about the peer's identity, and about the block
//! of addresses that the peer is in. Each source gives a set of ports; in it the packet's protocol and port lead to a
//! [`Leaf`]. The leaves are combined by taking the least of each of their fields, so no rule is copied to all whom it
//! means in another way, and the result is that of the first rule that matches ([`Leaf::verdict`]).
//!
//! Everything is named by its content, so nothing is allocated and a restart has nothing to remember: a table by its
//! rules (not by whom they mean at the moment, which comes and goes in place), a port set by its entries, an identity
//! by its namespace, labels and named ports.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use build::{Built, NotBuilt, build};
use content::{Contents, TableContent};
use selected::Selected;

use crate::compile::{Compiled, MAX_MATCHES, TooMuch};
use crate::policy::{Namespaces, Pods, Policy};
use crate::state::{Pod, PodId, State};

mod blocks;
mod build;
mod chosen;
mod classes;
mod content;
mod digest;
mod family;
mod leaf;
mod limits;
mod numbers;
mod peers;
mod planner;
mod port_sets;
mod secret;
mod selected;
mod table;

pub use leaf::{Leaf, NO_RULE};
pub use limits::{DoesNotFit, Limits, What};
pub use numbers::{Collision, NOBODY, Numbers, OWN_NODE, identity_number};
pub use planner::{NotPlanned, Planned, Planner};
pub use port_sets::{OTHER_PROTOCOLS, PortKey, PortSetEntries, PortSets, protocol_number};
pub use secret::{TooLate, keep_secret};
pub use table::{Prefix, RuleName, Ruling, Table, TableDirection};

/// What the kernel of a node is to hold for some of its Pods.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// By id.
    pub tables: BTreeMap<u64, Arc<Table>>,
    /// By id.
    pub port_sets: PortSets,
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodTables {
    /// Of the policies that are enforced.
    pub table: Option<u64>,
    /// Of all policies, where some are only audited ([`crate::policy::Policy::audit`]): what it denies and `table`
    /// does not would be denied.
    pub audit_table: Option<u64>,
}

/// Plans the tables of some Pods. It costs what the policies that select them say, whatever else there is: give it
/// only such policies ([`crate::compile::Census::concerning`]) and a census with one Pod of each identity.
///
/// # Errors
/// Two contents that have one id. What does not fit is told Pod by Pod, so that nobody's policies hold up another's:
/// where all tables together are too much, those that need most are refused.
pub fn plan(compiled: &Compiled, numbers: &Numbers, pods: &[PodId], limits: &Limits) -> Result<Plan, Collision> {
    plan_again(compiled, numbers, pods, limits, &mut BuiltTables::new())
}

/// The same, where some tables were built before with the same census, numbers and limits: what a table is named by
/// is all else that it depends on. Those that are used now are left in `built`, and no others.
fn plan_again(
    compiled: &Compiled,
    numbers: &Numbers,
    pods: &[PodId],
    limits: &Limits,
    built: &mut BuiltTables,
) -> Result<Plan, Collision> {
    let wanted = Wanted::new(compiled, pods)?;
    let mut units: Vec<&Unit> = wanted.pods.keys().collect();
    let mut draft = Draft::new(limits);
    let mut sizes = BTreeMap::new();
    for unit in &units {
        sizes.insert(*unit, draft.add(unit, &wanted, (compiled, numbers, limits), built)?);
    }
    if draft.overflowed {
        units.sort_by_key(|unit| sizes[*unit]);
        draft = Draft::new(limits);
        for unit in units {
            draft.add(unit, &wanted, (compiled, numbers, limits), built)?;
        }
    }
    built.retain(|id, _| wanted.kinds.contains_key(id));
    Ok(Plan { depends_on_addresses: compiled.names_ports_by_address(), ..draft.plan })
}

/// Tables by id, as they were built.
type BuiltTables = BTreeMap<u64, Arc<Built>>;

/// Whether the tables of a Pod that one policy selects hold it, wherever nobody else is.
///
/// # Errors
/// What does not fit.
pub fn fits(policy: &Policy, limits: &Limits) -> Result<(), DoesNotFit> {
    let namespace: Arc<str> = policy.namespace.clone().unwrap_or_else(|| "default".into());
    let pod = Pod {
        namespace: namespace.clone(),
        name: "any".into(),
        owner: None,
        labels: Default::default(),
        addresses: Vec::new(),
        ports: Vec::new(),
        host_network: false,
        node: None,
        finished: false,
        origin: Default::default(),
    };
    let subject = Pods { namespaces: Namespaces::Named(namespace), pods: Default::default() };
    let state = State { pods: vec![pod], ..State::default() };
    let compiled = Compiled::new(vec![Policy { subject, ..policy.clone() }], state).map_err(|error| {
        let TooMuch::Matches { selectors, identities } = error;
        let count = selectors.saturating_mul(identities);
        DoesNotFit { policy: policy.to_string(), what: What::Steps, count, bound: MAX_MATCHES }
    })?;
    // One identity and one table have nothing that they could be taken for.
    let planned = Numbers::new(compiled.census()).and_then(|numbers| plan(&compiled, &numbers, &[PodId(0)], limits));
    planned
        .map_or(Ok(()), |mut plan| plan.pods.remove(&PodId(0)).unwrap_or_else(|| Ok(PodTables::default())).map(|_| ()))
}

/// Tables that stand or fall together: those of one Pod.
type Unit = PodTables;

/// What is asked for.
struct Wanted {
    kinds: BTreeMap<u64, (Selected, TableContent)>,
    pods: BTreeMap<Unit, Vec<PodId>>,
}

/// A plan while there is room.
struct Draft<'l> {
    plan: Plan,
    limits: &'l Limits,
    /// Peers, blocks and entries of ports so far.
    peers: usize,
    blocks: usize,
    ports: usize,
    /// Whether something was refused for the sake of what was there before it.
    overflowed: bool,
}

// === impl Wanted ===

impl Wanted {
    fn new(compiled: &Compiled, pods: &[PodId]) -> Result<Self, Collision> {
        let mut wanted = Self { kinds: BTreeMap::new(), pods: BTreeMap::new() };
        let mut contents = Contents::new(compiled);
        for pod in pods {
            let Some(identity) = compiled.identity(*pod) else { continue };
            let ports = &compiled.state().pod(*pod).ports;
            let all = Selected::new(compiled, identity, ports, |_| true);
            let enforced = Selected::new(compiled, identity, ports, |policy| !policy.audit);
            let audited = all.filter(|all| enforced.as_ref() != Some(all));
            let [table, audit_table] = [enforced, audited].map(|kind| kind.map(|kind| wanted.add(kind, &mut contents)));
            let unit = PodTables { table: table.transpose()?, audit_table: audit_table.transpose()? };
            wanted.pods.entry(unit).or_default().push(*pod);
        }
        Ok(wanted)
    }

    /// The id of a kind's table.
    fn add(&mut self, selected: Selected, contents: &mut Contents<'_>) -> Result<u64, Collision> {
        let content = contents.of(&selected);
        let id = content.id;
        let (_, known) = self.kinds.entry(id).or_insert((selected, content));
        if known.digest != content.digest || id == 0 {
            return Err(Collision { id, first: "a table".to_owned(), second: "another table".to_owned() });
        }
        Ok(id)
    }
}

// === impl Draft ===

impl<'l> Draft<'l> {
    fn new(limits: &'l Limits) -> Self {
        Self { plan: Plan::default(), limits, peers: 0, blocks: 0, ports: 0, overflowed: false }
    }

    /// Adds the tables of some Pods, or why they do not fit; gives how much they hold.
    fn add(
        &mut self,
        unit: &Unit,
        wanted: &Wanted,
        (compiled, numbers, limits): (&Compiled, &Numbers, &Limits),
        built: &mut BuiltTables,
    ) -> Result<usize, Collision> {
        let pods = wanted.pods.get(unit).into_iter().flatten();
        let ids = [unit.table, unit.audit_table].into_iter().flatten();
        let missing: Vec<u64> = ids.filter(|id| !self.plan.tables.contains_key(id)).collect();
        let mut tables = Vec::new();
        for id in missing {
            let (selected, content) = &wanted.kinds[&id];
            // That it is the same is said by the whole digest.
            if let Some(known) = built.get(&id).filter(|known| known.table.digest == content.digest) {
                tables.push(Arc::clone(known));
                continue;
            }
            match build(compiled, numbers, limits, selected, content).map(Arc::new) {
                Ok(new) => {
                    built.insert(id, Arc::clone(&new));
                    tables.push(new);
                }
                Err(NotBuilt::Collision(collision)) => return Err(collision),
                Err(NotBuilt::DoesNotFit(fault)) => {
                    self.plan.pods.extend(pods.map(|pod| (*pod, Err(fault.clone()))));
                    return Ok(0);
                }
            }
        }
        let size = tables.iter().map(|built| built.size()).sum();
        let result = self.room_for(&tables).map(|()| *unit);
        if result.is_ok() {
            for built in &tables {
                self.keep(built)?;
            }
        }
        self.overflowed |= result.is_err();
        self.plan.pods.extend(pods.map(|pod| (*pod, result.clone())));
        Ok(size)
    }

    fn room_for(&self, tables: &[Arc<Built>]) -> Result<(), DoesNotFit> {
        let sum = |of: fn(&Built) -> usize| tables.iter().map(|built| of(built)).sum::<usize>();
        let counts = [
            (What::Tables, self.plan.tables.len() + tables.len(), self.limits.tables),
            (What::Peers, self.peers + sum(Built::peers), self.limits.peers),
            (What::Blocks, self.blocks + sum(Built::blocks), self.limits.blocks),
            (What::Ports, self.ports + sum(Built::ports), self.limits.ports),
        ];
        let Some((what, count, bound)) = counts.into_iter().find(|(_, count, bound)| count > bound) else {
            return Ok(());
        };
        let largest = tables.iter().max_by_key(|built| built.size());
        let policy = largest.map(|built| built.largest.clone()).unwrap_or_default();
        Err(DoesNotFit { policy, what, count, bound })
    }

    fn keep(&mut self, built: &Built) -> Result<(), Collision> {
        (self.peers, self.blocks) = (self.peers + built.peers(), self.blocks + built.blocks());
        for (id, set) in &built.port_sets {
            match self.plan.port_sets.insert(*id, Arc::clone(set)) {
                None => self.ports += set.len(),
                Some(before) if before != *set => return Err(Collision::of_port_sets(*id)),
                Some(_) => {}
            }
        }
        self.plan.not_enforced.extend(built.not_enforced.iter().cloned());
        self.plan.tables.insert(built.table.id, Arc::clone(&built.table));
        Ok(())
    }
}
