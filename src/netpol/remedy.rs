//! What to write so that a connection is allowed: rules as YAML.

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::policy::Direction;
use crate::ports::{Connections, PortSet, Protocol};
use crate::state::{Labels, NAMESPACE_NAME_LABEL, Pod};

/// Labels that controllers and charts give Pods, other ones for each version or Pod: no selector should name them.
const GENERATED: [&str; 11] = [
    "app.kubernetes.io/version",
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-completion-index",
    "batch.kubernetes.io/job-name",
    "controller-revision-hash",
    "controller-uid",
    "helm.sh/chart",
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
    let peer = match whom {
        Whom::Pod(pod) => pods(own, &pod.namespace, &selector(&pod.labels, &[])),
        Whom::Address(address) => block(&single(address), &[]),
    };
    rule(direction, &peer, what)
}

/// A rule of a NetworkPolicy about peers that are written already.
pub(crate) fn rule(direction: Direction, peers: &str, what: &Connections) -> String {
    let mut yaml = format!("- {}:\n{peers}", direction.peers());
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

/// Pods of a namespace as a peer of a rule in a namespace.
pub(crate) fn pods(own: &str, namespace: &str, selector: &str) -> String {
    let mut yaml = format!("    - podSelector: {selector}\n");
    if namespace != own {
        let _ = writeln!(yaml, "      namespaceSelector: {}", namespace_selector(namespace));
    }
    yaml
}

/// A block of addresses as a peer, without some.
pub(crate) fn block(cidr: &str, except: &[&str]) -> String {
    if except.is_empty() {
        return format!("    - ipBlock: {{cidr: {cidr}}}\n");
    }
    format!("    - ipBlock: {{cidr: {cidr}, except: [{}]}}\n", except.join(", "))
}

/// A rule of a ClusterNetworkPolicy; none where it cannot name them.
pub(crate) fn cluster_rule(direction: Direction, whom: Whom<'_>, what: &Connections) -> Option<String> {
    let peer = match whom {
        Whom::Pod(pod) => format!(
            "    - pods:\n        namespaceSelector: {}\n        podSelector: {}\n",
            namespace_selector(&pod.namespace),
            selector(&pod.labels, &[])
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
        selector(&pod.labels, &[]),
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

/// Labels that a selector may name.
pub(crate) fn stable(labels: &Labels) -> impl Iterator<Item = (&str, &str)> {
    labels.iter().filter(|(key, _)| !GENERATED.contains(key))
}

/// A selector of Pods with some labels, and without others.
pub(crate) fn selector(labels: &Labels, absent: &[&str]) -> String {
    let pairs: Vec<String> = stable(labels).map(|(key, value)| format!("{key}: {value:?}")).collect();
    let absent: Vec<String> = absent.iter().map(|key| format!("{{key: {key}, operator: DoesNotExist}}")).collect();
    let mut parts = Vec::new();
    if !pairs.is_empty() {
        parts.push(format!("matchLabels: {{{}}}", pairs.join(", ")));
    }
    if !absent.is_empty() {
        parts.push(format!("matchExpressions: [{}]", absent.join(", ")));
    }
    if parts.is_empty() { "{}".to_owned() } else { format!("{{{}}}", parts.join(", ")) }
}

/// An address as a block, in quotes where YAML would read something else.
fn single(address: IpAddr) -> String {
    match address {
        IpAddr::V4(a) => format!("{a}/32"),
        IpAddr::V6(a) => format!("\"{a}/128\""),
    }
}
