//! Selectors, and names of ports, that mean nothing.

use std::collections::HashSet;

use stockade_policy::selector::{Operator, Requirement};

use super::openness::DNS_LABEL;
use super::{Check, Finding};
use crate::compile::Compiled;
use crate::policy::{Direction, Namespaces, Peer, Peers, Pods, PortMatch, Ports, Rule};
use crate::state::NAMESPACE_NAME_LABEL;

pub(super) fn check(compiled: &Compiled, findings: &mut Vec<Finding>) {
    let mut push = |origin: &stockade_policy::compiled::Origin, message: String, help: &str| {
        let (origin, help) = (origin.clone(), help.to_owned());
        findings.push(Finding { check: Check::SelectsNothing, origin, message, help, yaml: String::new() });
    };
    let ports = compiled.state().pods.iter().flat_map(|pod| &pod.ports);
    let known: HashSet<&str> = ports.map(|port| &*port.name).collect();
    for (_, policy) in compiled.policies() {
        if compiled.selects_nobody(&policy.subject) {
            let message = format!("{policy} is about no Pod: nothing here is {}", described(&policy.subject));
            push(&policy.origin, message, "check the labels and the namespace; without Pods it isolates nobody");
        }
        for direction in Direction::ALL {
            for (number, rule) in (1..).zip(policy.rules(direction).unwrap_or(&[])) {
                let place = format!("{} rule {number} of {policy}", direction.rules());
                for pods in nobody(compiled, rule) {
                    let message = format!("{place} names nobody: nothing here is {}", described(pods));
                    push(&rule.origin, message, "check the labels, of the namespace too: Namespace objects tell them");
                }
                for name in unknown_names(&known, rule) {
                    let message = format!("{place} names the port {name:?}, which no Pod here has");
                    push(&rule.origin, message, "give the container's port this name, or write the number");
                }
            }
        }
    }
}

fn nobody<'r>(compiled: &Compiled, rule: &'r Rule) -> Vec<&'r Pods> {
    let Peers::AnyOf(peers) = &rule.peers else { return Vec::new() };
    let pods = peers.iter().filter_map(|peer| match peer {
        Peer::Pods(pods) => Some(pods),
        _ => None,
    });
    pods.filter(|pods| compiled.selects_nobody(pods) && is_told(compiled, pods)).collect()
}

/// Whether the Pods that are meant would be among those that are told of. Not those of namespaces of which nothing is
/// told, nor the name service, which is installed with the cluster.
fn is_told(compiled: &Compiled, pods: &Pods) -> bool {
    let known = |name: &str| compiled.state().namespaces.contains_key(name);
    let told = match &pods.namespaces {
        Namespaces::Named(name) => known(name),
        Namespaces::Matching(selector) => {
            let names = selector.requirements.iter().filter(|r| r.key == NAMESPACE_NAME_LABEL);
            names.filter(|r| r.operator == Operator::In).all(|r| r.values.iter().any(|name| known(name)))
        }
    };
    let (key, value) = DNS_LABEL;
    let is_dns = |r: &Requirement| r.operator == Operator::In && r.key == key && r.values.iter().any(|v| v == value);
    told && !pods.pods.requirements.iter().any(is_dns)
}

fn unknown_names<'r>(known: &HashSet<&str>, rule: &'r Rule) -> Vec<&'r str> {
    let Ports::AnyOf(ports) = &rule.ports else { return Vec::new() };
    let names = ports.iter().filter_map(|port| match port {
        PortMatch::Named(_, name) => Some(&**name),
        PortMatch::Numbers(..) => None,
    });
    names.filter(|name| !known.contains(name)).collect()
}

/// `app in (web) in namespace shop`
fn described(pods: &Pods) -> String {
    let which = if pods.pods.is_empty() { "a Pod".to_owned() } else { pods.pods.to_string() };
    match &pods.namespaces {
        Namespaces::Named(name) => format!("{which} in namespace {name}"),
        Namespaces::Matching(selector) if selector.is_empty() => format!("{which} in any namespace"),
        Namespaces::Matching(selector) => format!("{which} in a namespace with {selector}"),
    }
}
