//! TCP where UDP is served, and the other way round.

use super::{Check, Finding};
use crate::compile::Compiled;
use crate::policy::{Direction, Peer, Peers, Policy, PortMatch, Ports, Rule};
use crate::ports::Protocol;
use crate::state::PodId;

pub(super) fn check(compiled: &Compiled, pods: &[PodId], findings: &mut Vec<Finding>) {
    for (_, policy) in compiled.policies() {
        for direction in Direction::ALL {
            for rule in policy.rules(direction).unwrap_or(&[]) {
                check_rule(compiled, pods, policy, (direction, rule), findings);
            }
        }
    }
}

fn check_rule(
    compiled: &Compiled,
    pods: &[PodId],
    policy: &Policy,
    (direction, rule): (Direction, &Rule),
    findings: &mut Vec<Finding>,
) {
    let Ports::AnyOf(ports) = &rule.ports else { return };
    let receives = |pod: PodId| match (direction, &rule.peers) {
        (Direction::Ingress, _) => compiled.selects(&policy.subject, pod),
        (Direction::Egress, Peers::AnyOf(peers)) => {
            peers.iter().any(|peer| matches!(peer, Peer::Pods(pods) if compiled.selects(pods, pod)))
        }
        (Direction::Egress, Peers::Everyone) => false,
    };
    let receivers: Vec<PodId> = pods.iter().copied().filter(|pod| receives(*pod)).collect();
    for one in ports {
        let PortMatch::Numbers(protocol, range) = one else { continue };
        if range.start() != range.end() {
            continue;
        }
        let port = *range.start();
        let other =
            served_otherwise(compiled, &receivers, *protocol, port).or_else(|| dns_by_tcp(ports, *protocol, port));
        let Some((served, who)) = other else { continue };
        findings.push(Finding {
            check: Check::WrongProtocol,
            origin: rule.origin.clone(),
            message: format!("a rule of {policy} is about {protocol} {port}, but {who} {served}"),
            help: format!("add the port with `protocol: {served}`; a port without a protocol is TCP"),
            yaml: format!("- {{protocol: {served}, port: {port}}}\n"),
        });
    }
}

/// Who says that he has the port, but by another protocol, when nobody has it by this one.
fn served_otherwise(
    compiled: &Compiled,
    receivers: &[PodId],
    protocol: Protocol,
    port: u16,
) -> Option<(Protocol, String)> {
    let mut other = None;
    for pod in receivers.iter().map(|pod| compiled.state().pod(*pod)) {
        for served in pod.ports.iter().filter(|served| served.port == port) {
            if served.protocol == protocol {
                return None;
            }
            other.get_or_insert_with(|| (served.protocol, format!("{pod} serves")));
        }
    }
    other
}

/// Names are asked for by UDP first; TCP alone is not enough.
fn dns_by_tcp(ports: &[PortMatch], protocol: Protocol, port: u16) -> Option<(Protocol, String)> {
    let udp = |one: &PortMatch| matches!(one, PortMatch::Numbers(Protocol::Udp, range) if range.contains(&53));
    let forgotten = (protocol, port) == (Protocol::Tcp, 53) && !ports.iter().any(udp);
    forgotten.then(|| (Protocol::Udp, "DNS asks by".to_owned()))
}
