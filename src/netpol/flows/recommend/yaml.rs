//! What is proposed, as YAML that people review.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use super::selectors::Neighbours;
use super::{DNS, Needs, Proposed, Subject};
use crate::flows::blocks::{self, Blocks};
use crate::flows::observed::{Observed, Seen, Who};
use crate::flows::world::World;
use crate::policy::Direction;
use crate::ports::{Connections, PortSet, Protocol};
use crate::remedy;
use crate::state::Labels;

/// Longest name that is proposed: with a number behind it no longer than a label's value.
const MAX_NAME: usize = 58;

/// Where names are resolved, as Kubernetes' DNS specification and its add-ons have it.
const NAME_SERVICE: (&str, (&str, &str)) = ("kube-system", ("k8s-app", "kube-dns"));

/// A port of a protocol.
type Port = (Protocol, u16);

/// One policy for each subject that needs any, in the order of their names.
pub(super) fn policies(world: &World, observed: &Observed, subjects: &BTreeMap<usize, Subject>) -> Vec<Proposed> {
    let writer = Writer { world, observed, neighbours: Neighbours::new(world, observed) };
    let policies = world.compiled.policies();
    let mut taken: BTreeSet<(String, String)> = policies
        .filter_map(|(_, policy)| Some((policy.namespace.as_ref()?.to_string(), policy.name.to_string())))
        .collect();
    let mut proposed = Vec::new();
    for (at, subject) in subjects {
        // Who was seen with nothing but what is left out is not known well enough.
        let Some(seen) = subject.seen else { continue };
        let isolates = |direction| subject.open[direction as usize] || !subject.needs[direction as usize].is_empty();
        let directions: Vec<Direction> = Direction::ALL.into_iter().filter(|direction| isolates(*direction)).collect();
        if directions.is_empty() {
            continue;
        }
        let namespace = observed.identities[*at].namespace.clone();
        let name = free_name(&mut taken, &namespace, &world.state().pod(world.sender(*at)).name);
        let yaml = writer.policy(*at, (subject, seen), &name, &directions);
        proposed.push(Proposed { namespace, name, yaml });
    }
    proposed.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    proposed
}

/// A name that the API takes and nobody has: the wanted one, or with a number.
fn free_name(taken: &mut BTreeSet<(String, String)>, namespace: &str, wanted: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = wanted.chars().map(plain).take(MAX_NAME).collect();
    let name = match name.trim_matches('-') {
        "" => "pods",
        name => name,
    };
    let numbered = (2_usize..).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    let free = names.find(|name| !taken.contains(&(namespace.to_owned(), name.clone()))).unwrap_or_default();
    taken.insert((namespace.to_owned(), free.clone()));
    free
}

struct Writer<'w> {
    world: &'w World,
    observed: &'w Observed,
    neighbours: Neighbours<'w>,
}

// === impl Writer ===

impl Writer<'_> {
    fn policy(&self, at: usize, (subject, seen): (&Subject, Seen), name: &str, directions: &[Direction]) -> String {
        let identity = &self.observed.identities[at];
        let types: Vec<&str> = directions.iter().map(|direction| direction.name()).collect();
        let mut yaml = format!("# {}: {}\n", self.world.shown(Who::Pods(at)), words(seen));
        let _ = write!(
            yaml,
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: {}}}\nspec:\n  \
             podSelector: {}\n  policyTypes: [{}]\n",
            identity.namespace,
            self.neighbours.selector(&identity.namespace, &identity.labels),
            types.join(", "),
        );
        for direction in directions {
            let mut rules = self.rules(&identity.namespace, *direction, &subject.needs[*direction as usize]);
            let isolated_now = subject.open[*direction as usize];
            if *direction == Direction::Egress && isolated_now && subject.sends && !subject.asks {
                rules.push_str(&name_service(&identity.namespace));
            }
            match rules.is_empty() {
                true => _ = writeln!(yaml, "  # {}: nothing was seen that may pass", direction.rules()),
                false => _ = writeln!(yaml, "  {}:", direction.rules()),
            }
            for line in rules.lines() {
                let _ = writeln!(yaml, "    {line}");
            }
        }
        yaml
    }

    /// A rule for each kind of Pods, then those for addresses, each with what was seen.
    fn rules(&self, own: &str, direction: Direction, needs: &Needs) -> String {
        let mut yaml = String::new();
        let mut outside: BTreeMap<Port, Vec<(IpAddr, Seen)>> = BTreeMap::new();
        for (who, ports) in needs {
            match who {
                Who::Pods(at) => {
                    let identity = &self.observed.identities[*at];
                    let selector = self.neighbours.selector(&identity.namespace, &identity.labels);
                    let Some(seen) = ports.values().copied().reduce(Seen::and) else { continue };
                    let _ = writeln!(yaml, "# {}: {}", self.world.shown(*who), words(seen));
                    let peer = remedy::pods(own, &identity.namespace, &selector);
                    yaml.push_str(&remedy::rule(direction, &peer, &connections(ports.keys())));
                }
                Who::Address(address) => {
                    for (port, seen) in ports {
                        outside.entry(*port).or_default().push((*address, *seen));
                    }
                }
            }
        }
        // Ports that the same addresses were asked for are one rule.
        let mut grouped: BTreeMap<BTreeSet<IpAddr>, Vec<(Port, Seen)>> = BTreeMap::new();
        for (port, talks) in outside {
            let addresses = talks.iter().map(|(address, _)| *address).collect();
            let all = talks.into_iter().map(|(_, seen)| seen).reduce(Seen::and);
            grouped.entry(addresses).or_default().extend(all.map(|seen| (port, seen)));
        }
        grouped.iter().for_each(|(addresses, ports)| yaml.push_str(&outside_rule(direction, addresses, ports)));
        yaml
    }
}

fn outside_rule(direction: Direction, addresses: &BTreeSet<IpAddr>, ports: &[(Port, Seen)]) -> String {
    let Blocks { list, widened } = blocks::cover(addresses);
    let many = if addresses.len() == 1 { "address" } else { "addresses" };
    let seen = ports.iter().map(|(_, seen)| *seen).reduce(Seen::and).map(words).unwrap_or_default();
    let mut yaml = format!("# {} {many} outside: {seen}\n", addresses.len());
    if widened {
        yaml.push_str("# too many to name each: these blocks hold others too\n");
    }
    let peers: String = list.iter().map(|(cidr, except)| remedy::block(cidr, except)).collect();
    yaml.push_str(&remedy::rule(direction, &peers, &connections(ports.iter().map(|(port, _)| port))));
    yaml
}

/// Who connects by name asks for addresses first, perhaps before anybody looked.
fn name_service(own: &str) -> String {
    let (namespace, label) = NAME_SERVICE;
    let peer = remedy::pods(own, namespace, &remedy::selector(&Labels::new([label]), &[]));
    let asked = connections(&[(Protocol::Udp, DNS), (Protocol::Tcp, DNS)]);
    let rule = remedy::rule(Direction::Egress, &peer, &asked);
    format!("# names: not seen, and needed by who connects to any\n{rule}")
}

fn connections<'p>(ports: impl IntoIterator<Item = &'p Port>) -> Connections {
    let mut all = Connections::default();
    for (protocol, port) in ports {
        all.add_ports(*protocol, &PortSet::range(*port, *port));
    }
    all
}

/// `12 from 2026-03-01T10:00:00Z to 2026-03-01T10:05:00Z`
fn words(seen: Seen) -> String {
    format!("{} from {:.0} to {:.0}", seen.count, seen.first, seen.last)
}
