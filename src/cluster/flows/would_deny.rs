//! What audited policies would deny, as reports tell it.

use std::sync::Arc;

use stockade_netpol::flows::{End, Flow, PolicyKind};
use stockade_netpol::policy::{Direction, Policy};
use stockade_netpol::state::Labels;

/// Most policies that are named where none of them has a rule that accepts.
const MAX_NAMED: usize = 5;

/// Connections that pass, and would not if a policy were enforced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WouldDeny {
    /// What to mend.
    pub(crate) policy: PolicyName,
    /// `egress[0]`, or `egress` where no rule accepts.
    pub(crate) rule: String,
    /// For people.
    pub(crate) message: String,
    /// Who begins them.
    pub(crate) from: String,
    /// With whom.
    pub(crate) to: String,
    /// `TCP`
    pub(crate) protocol: String,
    /// Port of the receiver.
    pub(crate) port: Option<u16>,
    /// At least so many within the last hour: a power of ten, so that a report is not written for each connection.
    pub(crate) at_least: u64,
    /// Seconds since 1970 when the first was seen.
    pub(crate) since: i64,
}

/// A policy by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PolicyName {
    pub(crate) kind: PolicyKind,
    /// Empty for a ClusterNetworkPolicy.
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// What would be denied to Pods of a namespace, with those of its policies that would. Flows that are judged at the other
/// end are the other namespace's.
pub(super) fn of_namespace<'f>(
    namespace: &str,
    flows: impl Iterator<Item = &'f Flow>,
    policies: &[Arc<Policy>],
    cluster_policies: &[Arc<Policy>],
) -> Vec<WouldDeny> {
    let own = flows.filter(|flow| flow.near().namespace() == Some(namespace));
    own.filter_map(|flow| would_deny(namespace, flow, policies, cluster_policies)).collect()
}

/// None where the policy is gone that would have denied it, or is audited no more. Rules that deny are of
/// ClusterNetworkPolicies; a NetworkPolicy denies by having none that accepts.
fn would_deny(
    namespace: &str,
    flow: &Flow,
    policies: &[Arc<Policy>],
    cluster_policies: &[Arc<Policy>],
) -> Option<WouldDeny> {
    let direction = flow.direction.rules();
    let (policy, rule, message) = match &flow.rule {
        Some(rule) => {
            cluster_policies.iter().find(|policy| policy.audit && *policy.name == *rule.policy)?;
            let policy = PolicyName {
                kind: PolicyKind::ClusterNetworkPolicy,
                namespace: String::new(),
                name: rule.policy.clone(),
            };
            (policy, format!("{direction}[{}]", rule.index), flow.denial())
        }
        None => {
            let End::Pods { labels, .. } = flow.near() else { return None };
            let names: Vec<&str> = isolating(policies, labels, flow.direction).collect();
            let name = (*names.first()?).to_owned();
            let more = names.len().saturating_sub(MAX_NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let named = names[..names.len().min(MAX_NAMED)].join(", ");
            let message = format!("{} ({named}{more})", flow.denial());
            let policy = PolicyName { kind: PolicyKind::NetworkPolicy, namespace: namespace.to_owned(), name };
            (policy, direction.to_owned(), message)
        }
    };
    Some(WouldDeny {
        policy,
        rule,
        message,
        from: flow.from.to_string(),
        to: flow.to.to_string(),
        protocol: flow.protocol.to_string(),
        port: flow.port,
        at_least: 10_u64.saturating_pow(flow.count.checked_ilog10().unwrap_or_default()),
        since: flow.first.as_second(),
    })
}

/// Audited NetworkPolicies of a namespace that isolate Pods with these labels.
fn isolating<'p>(policies: &'p [Arc<Policy>], labels: &Labels, direction: Direction) -> impl Iterator<Item = &'p str> {
    let isolates = move |policy: &&Arc<Policy>| {
        let rules = match direction {
            Direction::Ingress => &policy.ingress,
            Direction::Egress => &policy.egress,
        };
        policy.audit && rules.is_some() && labels.match_selector(&policy.subject.pods)
    };
    policies.iter().filter(isolates).map(|policy| &*policy.name)
}
