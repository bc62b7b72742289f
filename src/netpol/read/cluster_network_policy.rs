//! ClusterNetworkPolicy `policy.networking.k8s.io/v1alpha2`, with the validation of its definition.

use stockade_policy::read::metadata::{self, Scope};
use stockade_policy::read::{Field, Members, Reader};

use super::faulty::Faulty;
use super::{Head, peers};
use crate::policy::{
    Action, Direction, DomainName, Namespaces, Peer, Peers, Pods, Policy, PortMatch, Ports, Rule, Tier,
};
use crate::ports::Protocol;

/// Most rules of a direction, and most peers, protocols, networks and domain names of one place.
const MAX_ITEMS: usize = 25;
/// Longest name of a rule, in characters.
const MAX_RULE_NAME: usize = 100;
/// Last priority.
pub(super) const MAX_PRIORITY: u16 = 1_000;

/// Reads one; none when it has faults, for what is left of it would allow something else.
pub(super) fn read(reader: &mut Reader<'_>, root: &Field<'_>) -> Option<Policy> {
    let before = super::errors(reader);
    let mut object = super::object(reader, root)?;
    let meta = metadata::read(reader, &mut object, Scope::Cluster);
    let spec_field = object.require(reader, "spec", "");
    object.finish(reader);
    let head = Head::new(reader, root, meta.map(|m| m.name).unwrap_or_default().into());
    let policy = read_spec(reader, &spec_field?, head, &mut Faulty::Refused);
    policy.filter(|_| super::errors(reader) == before)
}

/// Reads what it says; not to be used when that has faults.
pub(super) fn read_spec(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    head: Head,
    faulty: &mut Faulty<'_>,
) -> Option<Policy> {
    let mut spec = reader.members(field)?;
    let tier = spec.require(reader, "tier", "").and_then(|f| read_tier(reader, &f));
    let priority = spec.require(reader, "priority", "").and_then(|f| read_priority(reader, &f));
    let subject = spec.require(reader, "subject", "").and_then(|f| read_subject(reader, &f));
    let [ingress, egress] = Direction::ALL.map(|direction| read_rules(reader, &mut spec, direction, tier, faulty));
    spec.finish(reader);
    Some(Policy {
        namespace: None,
        name: head.name,
        origin: head.origin,
        tier: tier?,
        priority: priority?,
        audit: head.audit,
        subject: subject?,
        ingress: Some(ingress).filter(|rules| !rules.is_empty()),
        egress: Some(egress).filter(|rules| !rules.is_empty()),
    })
}

pub(super) fn read_tier(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Tier> {
    reader.choice(field, &[("Admin", Tier::Admin), ("Baseline", Tier::Baseline)])
}

pub(super) fn read_priority(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<u16> {
    u16::try_from(reader.integer(field, 0..=u32::from(MAX_PRIORITY))?).ok()
}

/// The one member of a mapping that has exactly one.
fn only<'n>(reader: &mut Reader<'_>, field: &Field<'n>, names: &[&'static str]) -> Option<(&'static str, Field<'n>)> {
    let mut members = reader.members(field)?;
    let found: Vec<_> = names.iter().filter_map(|name| Some((*name, members.get(name)?))).collect();
    let faults = reader.diagnostics.len();
    members.finish(reader);
    if reader.diagnostics.len() > faults {
        return None;
    }
    if found.len() != 1 {
        let help = format!("set one of: {}", names.join(", "));
        reader.report_with_help(
            field,
            format!("Required value: exactly one field must be set, not {}", found.len()),
            help,
        );
        return None;
    }
    found.into_iter().next()
}

pub(super) fn read_subject(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Pods> {
    match only(reader, field, &["namespaces", "pods"])? {
        ("namespaces", f) => read_namespaces(reader, &f),
        (_, f) => read_pods(reader, &f),
    }
}

fn read_namespaces(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Pods> {
    let selector = peers::selector(reader, field)?;
    Some(Pods { namespaces: Namespaces::Matching(selector), pods: Default::default() })
}

fn read_pods(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Pods> {
    let mut members = reader.members(field)?;
    let namespaces = members.get("namespaceSelector");
    let pods = members.require(reader, "podSelector", "`{}` selects all");
    members.finish(reader);
    let namespaces = match namespaces {
        Some(f) => peers::selector(reader, &f)?,
        None => Default::default(),
    };
    Some(Pods { namespaces: Namespaces::Matching(namespaces), pods: peers::selector(reader, &pods?)? })
}

fn read_rules(
    reader: &mut Reader<'_>,
    spec: &mut Members<'_>,
    direction: Direction,
    tier: Option<Tier>,
    faulty: &mut Faulty<'_>,
) -> Vec<Rule> {
    let Some(field) = spec.get(direction.rules()) else { return Vec::new() };
    let items = reader.list(&field);
    at_most(reader, &field, items.len());
    let rules = items.iter().filter_map(|item| {
        let accepts = item.node.get("action").and_then(|action| action.as_str()) == Some("Accept");
        let closed = if accepts { Action::Accept } else { Action::Deny };
        faulty.rule(reader, item, closed, |reader| read_rule(reader, item, direction, tier))
    });
    rules.collect()
}

fn at_most(reader: &mut Reader<'_>, field: &Field<'_>, items: usize) {
    if items > MAX_ITEMS {
        let message = format!("Too many: {items}: must have at most {MAX_ITEMS} items");
        reader.report_with_help(field, message, "spread them over several rules or policies");
    }
}

fn read_rule(reader: &mut Reader<'_>, field: &Field<'_>, direction: Direction, tier: Option<Tier>) -> Option<Rule> {
    let origin = super::origin(reader, field.node);
    let mut rule = reader.members(field)?;
    let name = rule.get("name").and_then(|f| {
        let name = reader.string(&f)?;
        if name.chars().count() > MAX_RULE_NAME {
            reader.report(&f, format!("Too long: may not be more than {MAX_RULE_NAME} characters"));
        }
        Some(name.into())
    });
    let actions = [("Accept", Action::Accept), ("Deny", Action::Deny), ("Pass", Action::Pass)];
    let action = rule.require(reader, "action", "").and_then(|f| reader.choice(&f, &actions));
    let peers_field = rule.require(reader, direction.peers(), "name at least one peer");
    let protocols_field = rule.get("protocols");
    rule.finish(reader);
    let peer_items = peers_field.map(|f| reader.bounded_list(&f, MAX_ITEMS)).unwrap_or_default();
    let mut list = Vec::new();
    for item in &peer_items {
        list.extend(read_peer(reader, item, direction, (action, tier)).unwrap_or_default());
    }
    let ports = match protocols_field {
        None => Ports::All,
        Some(f) => {
            let items = reader.bounded_list(&f, MAX_ITEMS);
            Ports::AnyOf(items.iter().filter_map(|item| read_protocol(reader, item)).collect())
        }
    };
    let outside = list.iter().any(|peer| !matches!(peer, Peer::Pods(_)));
    if outside && matches!(&ports, Ports::AnyOf(list) if list.iter().any(|p| matches!(p, PortMatch::Named(..)))) {
        let help = "name Pods in one rule and addresses in another, with numbers for ports";
        reader.report_with_help(field, "networks, nodes and domain names have no named ports", help);
    }
    Some(Rule { name, origin, action: action?, peers: Peers::AnyOf(list), ports })
}

fn read_peer(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    direction: Direction,
    (action, tier): (Option<Action>, Option<Tier>),
) -> Option<Vec<Peer>> {
    let known: &[&'static str] = match direction {
        Direction::Ingress => &["namespaces", "pods"],
        Direction::Egress => &["namespaces", "pods", "nodes", "networks", "domainNames"],
    };
    match only(reader, field, known)? {
        ("namespaces", f) => Some(vec![Peer::Pods(read_namespaces(reader, &f)?)]),
        ("pods", f) => Some(vec![Peer::Pods(read_pods(reader, &f)?)]),
        ("nodes", f) => Some(vec![Peer::Nodes(peers::selector(reader, &f)?)]),
        ("networks", f) => {
            let items = reader.bounded_list(&f, MAX_ITEMS);
            Some(items.iter().filter_map(|i| Some(Peer::Block(peers::cidr(reader, i)?, Vec::new()))).collect())
        }
        (_, f) => {
            if action.is_some_and(|a| a != Action::Accept) || tier.is_some_and(|t| t != Tier::Admin) {
                let help = "accept the names in the tier Admin, and deny the networks around them in a rule behind it";
                reader.report_with_help(&f, "domain names are for rules of the tier Admin that accept", help);
            }
            let items = reader.bounded_list(&f, MAX_ITEMS);
            Some(items.iter().filter_map(|item| Some(Peer::Domain(read_domain(reader, item)?))).collect())
        }
    }
}

fn read_domain(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<DomainName> {
    let name = DomainName::parse(reader.string(field)?);
    if name.is_none() {
        reader.invalid(field, "must be a domain name of at least two labels; `*.` may stand in front of it");
    }
    name
}

fn read_protocol(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<PortMatch> {
    let (name, inner) = only(reader, field, &["tcp", "udp", "sctp", "destinationNamedPort"])?;
    let protocol = match name {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        _ => {
            let text = reader.string(&inner)?;
            peers::port_name(reader, &inner, text);
            return Some(PortMatch::Named(None, text.into()));
        }
    };
    let (_, port) = only(reader, &inner, &["destinationPort"])?;
    match only(reader, &port, &["number", "range"])? {
        ("number", f) => peers::port(reader, &f).map(|number| PortMatch::Numbers(protocol, number..=number)),
        (_, f) => {
            let mut range = reader.members(&f)?;
            let ends = ["start", "end"].map(|end| range.require(reader, end, ""));
            range.finish(reader);
            let [start, end] = ends.map(|field| field.and_then(|f| peers::port(reader, &f)));
            let (start, end) = (start?, end?);
            if start >= end {
                reader.invalid(&f, "Start port must be less than End port");
            }
            Some(PortMatch::Numbers(protocol, start..=end))
        }
    }
}
