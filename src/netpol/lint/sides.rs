//! A connection needs both ends: rules of one end that name Pods whose own policies deny it.

use super::{Check, Finding, MAX_FINDINGS};
use crate::compile::Compiled;
use crate::connectivity::{MAX_PAIRS, TooMany};
use crate::policy::{Direction, Peers, Policy, Ports, Tier};
use crate::ports::{Connections, Protocol};
use crate::state::PodId;
use crate::verdict::{Decision, Endpoint};

/// Rules of the NetworkPolicies that are asked about.
pub(super) fn check(
    compiled: &Compiled,
    pods: &[PodId],
    is_asked: impl Fn(&Policy) -> bool,
    findings: &mut Vec<Finding>,
) -> Result<(), TooMany> {
    let mut pairs = 0_usize;
    for (id, policy) in compiled.policies().filter(|(_, policy)| policy.tier == Tier::Network && is_asked(policy)) {
        let near: Vec<PodId> = pods.iter().copied().filter(|pod| compiled.selects(&policy.subject, *pod)).collect();
        for direction in Direction::ALL {
            for (rule, compiled_rule) in compiled.rules_of(id, direction) {
                let written = compiled.rule(rule);
                let Peers::AnyOf(peers) = &written.peers else { continue };
                // Who names all Pods of a namespace does not say that he means each.
                let named = compiled.named(peers);
                let is_named = |pod: &&PodId| compiled.identity(**pod).is_some_and(|id| named.contains(id));
                for far in pods.iter().filter(is_named) {
                    pairs = pairs.saturating_add(near.len());
                    if pairs > MAX_PAIRS {
                        return Err(TooMany::Peers(pods.len()));
                    }
                    if findings.len() > MAX_FINDINGS {
                        return Ok(());
                    }
                    for near in near.iter().filter(|near| *near != far) {
                        let to = if direction == Direction::Egress { *far } else { *near };
                        let meant = compiled_rule.connections(&compiled.state().pod(to).ports);
                        let found = one_sided(compiled, direction, (*near, *far), &meant, &written.ports);
                        findings.extend(found.map(|(message, help, yaml)| Finding {
                            check: Check::OneSided,
                            origin: written.origin.clone(),
                            message,
                            help,
                            yaml,
                        }));
                    }
                }
            }
        }
    }
    Ok(())
}

/// Message, help and YAML when the far end denies what the near end's rule means.
fn one_sided(
    compiled: &Compiled,
    direction: Direction,
    (near, far): (PodId, PodId),
    meant: &Connections,
    ports: &Ports,
) -> Option<(String, String, String)> {
    let (from, to, other) = match direction {
        Direction::Egress => (near, far, Direction::Ingress),
        Direction::Ingress => (far, near, Direction::Egress),
    };
    let (from, to) = (Endpoint::Pod(from, None), Endpoint::Pod(to, None));
    let missing = meant.without(&compiled.allowed_by(other, from, to));
    // A rule without ports means some way through, not every.
    if missing.is_empty() || (*ports == Ports::All && missing != *meant) {
        return None;
    }
    let (near_pod, far_pod) = (compiled.state().pod(near), compiled.state().pod(far));
    let decision = missing_decision(compiled, other, (from, to), &missing);
    let what = if *ports == Ports::All { String::new() } else { format!(" {missing}") };
    let message = match direction {
        Direction::Egress => format!("{near_pod} may send{what} to {far_pod}, which does not let it in"),
        Direction::Ingress => format!("{near_pod} lets{what} in from {far_pod}, which may not send it"),
    };
    let remedy = compiled.to_allow(other, &decision, (Endpoint::Pod(far, None), Endpoint::Pod(near, None)), &missing);
    let (help, yaml) = remedy.map(|remedy| (remedy.what, remedy.yaml)).unwrap_or_default();
    Some((message, help, yaml))
}

fn missing_decision(
    compiled: &Compiled,
    direction: Direction,
    (from, to): (Endpoint<'_>, Endpoint<'_>),
    missing: &Connections,
) -> Decision {
    let one = Protocol::ALL.into_iter().find_map(|p| Some((p, missing.ports(p).ranges().first()?.0)));
    let (protocol, port) = one.unwrap_or((Protocol::Tcp, 1));
    compiled.verdict(from, to, protocol, port).of(direction).clone()
}
