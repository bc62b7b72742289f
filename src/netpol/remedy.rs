//! What to write so that a connection is allowed: rules as YAML.

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::policy::Direction;
use crate::ports::{Connections, PortSet, Protocol};
use crate::state::{Labels, NAMESPACE_NAME_LABEL, Pod};

/// Labels that controllers give Pods, other ones for each version or Pod: no selector should name them.
const GENERATED: [&str; 9] = [
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-completion-index",
    "batch.kubernetes.io/job-name",
    "controller-revision-hash",
    "controller-uid",
    "job-name",
    "pod-template-hash",
    "statefulset.kubernetes.io/pod-name",
];

/// Whom a rule is to name.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Whom<'a> {
    Pod(&'a Pod),
    Address(IpAddr),
}

/// A rule of a NetworkPolicy in a namespace.
pub(crate) fn network_rule(direction: Direction, own: &str, whom: Whom<'_>, what: &Connections) -> String {
    let mut yaml = format!("- {}:\n", direction.peers());
    match whom {
        Whom::Pod(pod) => {
            let _ = writeln!(yaml, "    - podSelector: {}", selector(&pod.labels));
            if *pod.namespace != *own {
                let _ = writeln!(yaml, "      namespaceSelector: {}", namespace_selector(&pod.namespace));
            }
        }
        Whom::Address(address) => {
            let _ = writeln!(yaml, "    - ipBlock: {{cidr: {}}}", single(address));
        }
    }
    if !what.is_all() {
        yaml.push_str("  ports:\n");
        for (protocol, (first, last)) in ranges(what) {
            let port = match (first, last) {
                (1, u16::MAX) => String::new(),
                _ if first == last => format!(", port: {first}"),
                _ => format!(", port: {first}, endPort: {last}"),
            };
            let _ = writeln!(yaml, "    - {{protocol: {protocol}{port}}}");
        }
    }
    yaml
}

/// A rule of a ClusterNetworkPolicy; none where it cannot name them.
pub(crate) fn cluster_rule(direction: Direction, whom: Whom<'_>, what: &Connections) -> Option<String> {
    let peer = match whom {
        Whom::Pod(pod) => format!(
            "    - pods:\n        namespaceSelector: {}\n        podSelector: {}\n",
            namespace_selector(&pod.namespace),
            selector(&pod.labels)
        ),
        Whom::Address(address) if direction == Direction::Egress => format!("    - networks: [{}]\n", single(address)),
        Whom::Address(_) => return None,
    };
    let mut yaml = format!("- action: Accept\n  {}:\n{peer}", direction.peers());
    if !what.is_all() {
        yaml.push_str("  protocols:\n");
        for (protocol, (first, last)) in ranges(what) {
            let name = protocol.name().to_lowercase();
            let port = if first == last {
                format!("number: {first}")
            } else {
                format!("range: {{start: {first}, end: {last}}}")
            };
            let _ = writeln!(yaml, "    - {name}: {{destinationPort: {{{port}}}}}");
        }
    }
    Some(yaml)
}

/// A NetworkPolicy that isolates a Pod in a direction, and accepts what these rules do.
pub(crate) fn policy(direction: Direction, pod: &Pod, rules: &str) -> String {
    let list = direction.rules();
    let mut yaml = format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {}-{list}, namespace: {}}}\nspec:\n  \
         podSelector: {}\n  policyTypes: [{}]\n",
        pod.name.trim_end_matches(['*', '-']),
        pod.namespace,
        selector(&pod.labels),
        direction.name(),
    );
    if !rules.is_empty() {
        let _ = writeln!(yaml, "  {list}:");
    }
    for line in rules.lines() {
        let _ = writeln!(yaml, "    {line}");
    }
    yaml
}

fn ranges(what: &Connections) -> impl Iterator<Item = (Protocol, (u16, u16))> {
    Protocol::ALL.into_iter().flat_map(|protocol| {
        let ports: &PortSet = what.ports(protocol);
        ports.ranges().iter().map(move |range| (protocol, *range))
    })
}

fn namespace_selector(namespace: &str) -> String {
    format!("{{matchLabels: {{{NAMESPACE_NAME_LABEL}: \"{namespace}\"}}}}")
}

fn selector(labels: &Labels) -> String {
    let kept = labels.iter().filter(|(key, _)| !GENERATED.contains(key));
    let pairs: Vec<String> = kept.map(|(key, value)| format!("{key}: {value:?}")).collect();
    if pairs.is_empty() { "{}".to_owned() } else { format!("{{matchLabels: {{{}}}}}", pairs.join(", ")) }
}

/// An address as a block, in quotes where YAML would read something else.
fn single(address: IpAddr) -> String {
    match address {
        IpAddr::V4(a) => format!("{a}/32"),
        IpAddr::V6(a) => format!("\"{a}/128\""),
    }
}
