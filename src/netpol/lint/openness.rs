//! Doors that stand open, and the one to the name service that was forgotten.

use super::{Check, Finding};
use crate::addresses::{AddressSet, Family};
use crate::compile::Compiled;
use crate::policy::{Action, Direction, Peer, Peers, Ports, Rule};
use crate::ports::{Connections, PortSet, Protocol};
use crate::remedy::{self, Whom};
use crate::state::{Labels, Pod, PodId};
use crate::verdict::Endpoint;

/// What every distribution's name service has for a label.
pub(super) const DNS_LABEL: (&str, &str) = ("k8s-app", "kube-dns");
/// Where names are asked for.
const DNS_PORT: u16 = 53;

pub(super) fn check(compiled: &Compiled, pods: &[PodId], findings: &mut Vec<Finding>) {
    allows_all(compiled, findings);
    for pod in pods {
        not_isolated(compiled, *pod, findings);
        dns_forgotten(compiled, *pod, findings);
    }
}

fn allows_all(compiled: &Compiled, findings: &mut Vec<Finding>) {
    for (_, policy) in compiled.policies() {
        for direction in Direction::ALL {
            for (number, rule) in (1..).zip(policy.rules(direction).unwrap_or(&[])).filter(|(_, rule)| is_open(rule)) {
                let whose = if direction == Direction::Ingress { "from" } else { "to" };
                findings.push(Finding {
                    check: Check::AllowsAll,
                    origin: rule.origin.clone(),
                    message: format!(
                        "{} rule {number} of {policy} accepts everything {whose} everybody",
                        direction.rules()
                    ),
                    help: "name peers or ports, unless that is meant".to_owned(),
                    yaml: String::new(),
                });
            }
        }
    }
}

fn is_open(rule: &Rule) -> bool {
    let everybody = match &rule.peers {
        Peers::Everyone => true,
        Peers::AnyOf(peers) => {
            let blocks = peers.iter().filter_map(|peer| match peer {
                Peer::Block(block, holes) => Some((block, holes.as_slice())),
                _ => None,
            });
            let addresses = AddressSet::of_blocks(blocks);
            addresses.covers(Family::V4) || addresses.covers(Family::V6)
        }
    };
    rule.action == Action::Accept && rule.ports == Ports::All && everybody
}

fn not_isolated(compiled: &Compiled, pod: PodId, findings: &mut Vec<Finding>) {
    let Some(identity) = compiled.identity(pod) else { return };
    if !compiled.table(identity, Direction::Ingress).is_empty() {
        return;
    }
    let pod = compiled.state().pod(pod);
    findings.push(Finding {
        check: Check::NotIsolated,
        origin: pod.origin.clone(),
        message: format!("no policy isolates {pod}: everybody reaches every port of it"),
        help: "isolate it, and accept in rules what it needs".to_owned(),
        yaml: remedy::policy(Direction::Ingress, pod, ""),
    });
}

/// A Pod that may send something but cannot ask for an address. One that may send nothing at all is meant to be shut.
fn dns_forgotten(compiled: &Compiled, id: PodId, findings: &mut Vec<Finding>) {
    let policies = compiled.isolating(id, Direction::Egress);
    let Some(first) = policies.first().map(|policy| compiled.policy(*policy)) else { return };
    let mut rules = policies.iter().flat_map(|policy| compiled.rules_of(*policy, Direction::Egress)).peekable();
    if rules.peek().is_none() {
        return;
    }
    let is_dns = |pod: &Pod| pod.labels.get(DNS_LABEL.0) == Some(DNS_LABEL.1);
    let services: Vec<(PodId, &Pod)> = compiled.state().pods().filter(|(_, pod)| is_dns(pod)).collect();
    let asks = |service: PodId| {
        let egress = compiled.allowed_by(Direction::Egress, Endpoint::Pod(id, None), Endpoint::Pod(service, None));
        egress.contains(Protocol::Udp, DNS_PORT)
    };
    let may_ask = if services.is_empty() {
        rules.any(|(_, rule)| rule.is_about_port(Protocol::Udp, DNS_PORT, &[]))
    } else {
        services.iter().any(|(service, pod)| *service == id || pod.host_network || asks(*service))
    };
    if may_ask {
        return;
    }
    let pod = compiled.state().pod(id);
    let mut wanted = Connections::default();
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        wanted.add_ports(protocol, &PortSet::range(DNS_PORT, DNS_PORT));
    }
    let service = services.first().map_or_else(usual_service, |(_, pod)| (*pod).clone());
    let rule = remedy::network_rule(Direction::Egress, &pod.namespace, Whom::Pod(&service), &wanted);
    let remedy = compiled.accepting(Direction::Egress, policies, pod, rule);
    findings.push(Finding {
        check: Check::DnsForgotten,
        origin: compiled.most_about(policies).unwrap_or(first).origin.clone(),
        message: format!("{pod} may send, but not ask for addresses: UDP {DNS_PORT} to the name service is denied"),
        help: remedy.what,
        yaml: remedy.yaml,
    });
}

/// The name service as distributions install it.
fn usual_service() -> Pod {
    Pod {
        namespace: "kube-system".into(),
        name: "kube-dns".into(),
        owner: None,
        labels: Labels::new([DNS_LABEL]),
        addresses: Vec::new(),
        ports: Vec::new(),
        host_network: false,
        node: None,
        finished: false,
        origin: Default::default(),
    }
}
