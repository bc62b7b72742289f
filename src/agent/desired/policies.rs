//! Which policies are in force on the node, and what is wrong with the others.

use std::sync::Arc;

use stockade_netpol::compile::Compiled;
use stockade_netpol::plan::{Plan, RuleName};
use stockade_netpol::policy::Policy;
use stockade_netpol::read::api::Faults;
use stockade_netpol::state::PodId;

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
    /// Not of every Pod, and why: those keep what they had, or are closed.
    Refused(String),
}

/// All policies, with the audit of their namespaces.
pub(super) fn read(inputs: &Inputs) -> Vec<Arc<Policy>> {
    let read = |object: &Arc<PolicyObject>| {
        let policy = object.policy.as_ref()?;
        Some(match !policy.audit && inputs.is_audited_by_namespace(object) {
            true => Arc::new(Policy { audit: true, ..Policy::clone(policy) }),
            false => Arc::clone(policy),
        })
    };
    inputs.policies.values().filter_map(read).collect()
}

/// Those that select Pods of the node, and those of which it is not known whom they select; by key.
pub(super) fn in_force(inputs: &Inputs, compiled: &Compiled, own: &[PodId], plan: &Plan) -> Vec<PolicyInForce> {
    let mut found = Vec::new();
    for object in inputs.policies.values() {
        let state = match &object.policy {
            None => PolicyState::Refused(shown(&object.faults)),
            Some(policy) => {
                let mut selected = own.iter().filter(|pod| compiled.selects(&policy.subject, **pod)).peekable();
                if selected.peek().is_none() {
                    continue;
                }
                match selected.find_map(|pod| plan.pods.get(pod)?.as_ref().err()) {
                    Some(does_not_fit) => PolicyState::Refused(does_not_fit.to_string()),
                    None if object.faults != Faults::default() => PolicyState::Closed(shown(&object.faults)),
                    None => match plan.not_enforced.iter().find(|rule| is_of(rule, policy)) {
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
    found
}

fn is_of(rule: &RuleName, policy: &Policy) -> bool {
    (&rule.namespace, &rule.policy) == (&policy.namespace, &policy.name)
}

fn shown(faults: &Faults) -> String {
    let more = if faults.more == 0 { String::new() } else { format!("; and {} more", faults.more) };
    format!("not understood: {}{more}", faults.told.join("; "))
}
