//! Which policies are in force on the node, and what is wrong with the others.

use std::collections::BTreeMap;
use std::sync::Arc;

use stockade_netpol::plan::{DoesNotFit, Planned, RuleName};
use stockade_netpol::policy::Policy;
use stockade_netpol::read::api::Faults;
use stockade_netpol::state::PodId;

use crate::contents::CLOSED;
use crate::inputs::{Inputs, PolicyObject};

/// A policy that selects Pods of the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyInForce {
    /// `NetworkPolicy` or `ClusterNetworkPolicy`.
    pub kind: String,
    /// Of a NetworkPolicy.
    pub namespace: Option<String>,
    /// `metadata.name`
    pub name: String,
    /// `metadata.generation`
    pub generation: i64,
    /// Whether it is in the tables.
    pub state: PolicyState,
}

/// Whether a policy is in the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyState {
    /// Of every Pod here that it selects.
    Planned,
    /// Of every Pod here that it selects, but closed where it is not understood.
    Closed(String),
    /// Not of every Pod: those keep what they had, or are closed.
    Refused {
        /// Why.
        why: String,
        /// The `metadata.generation` that all of them have at least; none where one has none, or it is not known because
        /// the agent has started since.
        held: Option<i64>,
    },
}

/// What a Pod is judged by: its table, and the one that is audited; 0 for none.
pub(super) type TablesOfPod = (u64, u64);

/// What each pair of tables was made of.
#[derive(Debug, Default)]
pub(super) struct Made(BTreeMap<TablesOfPod, Vec<Arc<PolicyObject>>>);

/// A Pod of the node, or one for all that have its tables.
#[derive(Debug)]
pub(super) struct Judged<'p> {
    pub(super) pod: PodId,
    /// In force from now on.
    pub(super) tables: TablesOfPod,
    /// Why they are not those of the plan.
    pub(super) refused: Option<&'p DoesNotFit>,
}

/// All policies, with the audit of their namespaces.
pub(super) fn read(inputs: &Inputs) -> Vec<Arc<Policy>> {
    let read =
        |object: &Arc<PolicyObject>| Some(object.policy.as_ref()?.in_namespace(inputs.is_audited_by_namespace(object)));
    inputs.policies.values().filter_map(read).collect()
}

/// Those that select Pods of the node, and those of which it is not known whom they select; by key. `made` is of the
/// decision before, and then of this one.
pub(super) fn in_force(
    inputs: &Inputs,
    planned: &Planned,
    judged: &[Judged<'_>],
    made: &mut Made,
) -> Vec<PolicyInForce> {
    let mut found = Vec::new();
    let mut now = Made::default();
    for object in inputs.policies.values() {
        let state = match &object.policy {
            None => PolicyState::Refused { why: shown(&object.faults), held: None },
            Some(policy) => {
                let is_selected = planned.selected_by(policy);
                let selected: Vec<_> = judged.iter().filter(|one| is_selected(one.pod)).collect();
                if selected.is_empty() {
                    continue;
                }
                // The closed table is made of no policy, whoever has it.
                for one in selected.iter().filter(|one| one.refused.is_none() && one.tables.0 != CLOSED) {
                    now.0.entry(one.tables).or_default().push(Arc::clone(object));
                }
                let refused = || selected.iter().filter_map(|one| Some((one.tables, one.refused?)));
                match refused().next() {
                    Some((_, does_not_fit)) => PolicyState::Refused {
                        why: does_not_fit.to_string(),
                        held: made.generation(object, refused().map(|(tables, _)| tables)),
                    },
                    None if object.faults != Faults::default() => PolicyState::Closed(shown(&object.faults)),
                    None => match planned.plan.not_enforced.iter().find(|rule| is_of(rule, policy)) {
                        Some(rule) => PolicyState::Closed(format!("{rule} accepts nothing by its domain names")),
                        None => PolicyState::Planned,
                    },
                }
            }
        };
        found.push(PolicyInForce {
            kind: object.kind.clone(),
            namespace: object.namespace.clone(),
            name: object.name.clone(),
            generation: object.generation,
            state,
        });
    }
    for tables in judged.iter().filter(|one| one.refused.is_some()).map(|one| one.tables) {
        if let Some(before) = made.0.remove(&tables) {
            now.0.entry(tables).or_insert(before);
        }
    }
    *made = now;
    found
}

// === impl Made ===

impl Made {
    /// The least generation of a policy in some tables; none where one of them was not made of it.
    fn generation(&self, policy: &PolicyObject, tables: impl Iterator<Item = TablesOfPod>) -> Option<i64> {
        let of = |tables: TablesOfPod| {
            let same = |made: &&Arc<PolicyObject>| {
                (&made.kind, &made.namespace, &made.name) == (&policy.kind, &policy.namespace, &policy.name)
            };
            self.0.get(&tables)?.iter().find(same).map(|made| made.generation)
        };
        tables.map(of).reduce(|a, b| a.zip(b).map(|(a, b)| a.min(b))).flatten()
    }
}

fn is_of(rule: &RuleName, policy: &Policy) -> bool {
    (&rule.namespace, &rule.policy) == (&policy.namespace, &policy.name)
}

fn shown(faults: &Faults) -> String {
    let more = if faults.more == 0 { String::new() } else { format!("; and {} more", faults.more) };
    format!("not understood: {}{more}", faults.told.join("; "))
}
