//! NetworkPolicy `networking.k8s.io/v1`, with the defaults and the validation of the API server
//! (`pkg/apis/networking/validation`).

use std::sync::Arc;

use stockade_policy::read::metadata::{self, Scope};
use stockade_policy::read::{Field, Members, Reader};
use stockade_policy::selector::LabelSelector;

use super::faulty::Faulty;
use super::{Head, peers};
use crate::policy::{Action, Direction, Namespaces, Peer, Peers, Pods, Policy, PortMatch, Ports, Rule, Tier};
use crate::ports::Protocol;

/// Reads one; none when it has faults, for what is left of it would allow something else.
pub(super) fn read(reader: &mut Reader<'_>, root: &Field<'_>, default_namespace: &Arc<str>) -> Option<Policy> {
    let before = super::errors(reader);
    let mut object = super::object(reader, root)?;
    let meta = metadata::read(reader, &mut object, Scope::NamespacedByDefault);
    let spec_field = object.get("spec");
    object.finish(reader);
    let namespace =
        meta.as_ref().and_then(|m| m.namespace.as_deref()).map_or_else(|| default_namespace.clone(), Into::into);
    let Some(spec_field) = spec_field else {
        let help = "an empty one selects every Pod of the namespace and lets nothing in: write that out as `spec: \
                    {podSelector: {}, policyTypes: [Ingress]}`";
        reader.report_with_help(root, "spec: Required value", help);
        return None;
    };
    let head = Head::new(reader, root, meta.map(|m| m.name).unwrap_or_default().into());
    let policy = read_spec(reader, &spec_field, head, &namespace, &mut Faulty::Refused);
    policy.filter(|_| super::errors(reader) == before)
}

/// Reads what it says; not to be used when that has faults.
pub(super) fn read_spec(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    head: Head,
    namespace: &Arc<str>,
    faulty: &mut Faulty<'_>,
) -> Option<Policy> {
    let mut spec = reader.members(field)?;
    let selector = spec.get("podSelector").and_then(|f| peers::selector(reader, &f)).unwrap_or_default();
    let lists = Direction::ALL.map(|direction| read_rules(reader, &mut spec, direction, namespace, faulty));
    let types = read_types(reader, &mut spec, &lists);
    spec.finish(reader);
    let [ingress, egress] = lists;
    let isolates = |direction, rules: Vec<Rule>| types.contains(&direction).then_some(rules);
    Some(Policy {
        namespace: Some(namespace.clone()),
        name: head.name,
        origin: head.origin,
        tier: Tier::Network,
        priority: 0,
        audit: head.audit,
        subject: Pods { namespaces: Namespaces::Named(namespace.clone()), pods: selector },
        ingress: isolates(Direction::Ingress, ingress),
        egress: isolates(Direction::Egress, egress),
    })
}

/// Directions that it is about.
fn read_types(reader: &mut Reader<'_>, spec: &mut Members<'_>, lists: &[Vec<Rule>; 2]) -> Vec<Direction> {
    let field = spec.get("policyTypes");
    let mut types = Vec::new();
    let items = reader.optional_list(field.as_ref());
    if let Some(field) = field.as_ref().filter(|_| items.len() > 2) {
        reader.invalid(field, "may not specify more than two policyTypes");
    }
    let given = !items.is_empty();
    for item in items {
        types.extend(reader.choice(&item, &[("Egress", Direction::Egress), ("Ingress", Direction::Ingress)]));
    }
    let has_egress_rules = !lists[Direction::Egress as usize].is_empty();
    let types: Vec<Direction> = Direction::ALL
        .into_iter()
        .filter(|direction| direction.is_isolated_by(given.then_some(types.as_slice()), has_egress_rules))
        .collect();
    for direction in Direction::ALL {
        if let Some(field) = field.as_ref().filter(|_| given && !types.contains(&direction))
            && !lists[direction as usize].is_empty()
        {
            let name = direction.name();
            let message = format!("the {} rules are never looked at: {name} is not among the types", direction.rules());
            reader.warn(field, message, format!("add `{name}` to policyTypes, or remove the rules"));
        }
    }
    types
}

fn read_rules(
    reader: &mut Reader<'_>,
    spec: &mut Members<'_>,
    direction: Direction,
    namespace: &Arc<str>,
    faulty: &mut Faulty<'_>,
) -> Vec<Rule> {
    let field = spec.get(direction.rules());
    let items = reader.optional_list(field.as_ref());
    let rules = items.iter().filter_map(|item| {
        faulty.rule(reader, item, Action::Accept, |reader| read_rule(reader, item, direction, namespace))
    });
    rules.collect()
}

fn read_rule(reader: &mut Reader<'_>, field: &Field<'_>, direction: Direction, namespace: &Arc<str>) -> Option<Rule> {
    let origin = super::origin(reader, field.node);
    let mut rule = reader.members(field)?;
    let peers_field = rule.get(direction.peers());
    let ports_field = rule.get("ports");
    let mut list = Vec::new();
    let peer_items = reader.optional_list(peers_field.as_ref());
    for item in &peer_items {
        list.extend(read_peer(reader, item, namespace));
    }
    let port_items = reader.optional_list(ports_field.as_ref());
    let mut ports = Vec::new();
    for item in &port_items {
        ports.extend(read_port(reader, item));
    }
    rule.finish(reader);
    Some(Rule {
        name: None,
        origin,
        action: Action::Accept,
        // An empty list is as good as none: everybody, everything.
        peers: if peer_items.is_empty() { Peers::Everyone } else { Peers::AnyOf(list) },
        ports: if port_items.is_empty() { Ports::All } else { Ports::AnyOf(ports) },
    })
}

fn read_peer(reader: &mut Reader<'_>, field: &Field<'_>, namespace: &Arc<str>) -> Option<Peer> {
    let mut peer = reader.members(field)?;
    let block = peer.get("ipBlock");
    let (pods, namespaces) = (peer.get("podSelector"), peer.get("namespaceSelector"));
    let before = super::errors(reader);
    peer.finish(reader);
    if let Some(block) = &block {
        if pods.is_some() || namespaces.is_some() {
            let help = "write them as two peers, each behind a dash of its own";
            reader.report_with_help(field, "Forbidden: may not specify both ipBlock and another peer", help);
        }
        return read_block(reader, block);
    }
    if pods.is_none() && namespaces.is_none() {
        // A misspelt peer is one fault, not two.
        if super::errors(reader) > before {
            return None;
        }
        let help = "an empty peer is refused by the API server: name Pods (`podSelector: {}` for all of the namespace), \
                    namespaces (`namespaceSelector: {}` for all) or an ipBlock";
        reader.report_with_help(field, "Required value: must specify a peer", help);
        return None;
    }
    let in_namespaces = match &namespaces {
        Some(f) => Namespaces::Matching(peers::selector(reader, f)?),
        None => Namespaces::Named(namespace.clone()),
    };
    let selector = match &pods {
        Some(f) => peers::selector(reader, f)?,
        None => LabelSelector::default(),
    };
    Some(Peer::Pods(Pods { namespaces: in_namespaces, pods: selector }))
}

fn read_block(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Peer> {
    let mut members = reader.members(field)?;
    let block = members.require(reader, "cidr", "");
    let except = members.get("except");
    members.finish(reader);
    let block = block.and_then(|f| peers::cidr(reader, &f));
    let mut holes = Vec::new();
    for item in reader.optional_list(except.as_ref()) {
        let Some(hole) = peers::cidr(reader, &item) else { continue };
        if block.is_some_and(|block| !block.is_larger_than(&hole)) {
            reader.invalid(&item, "must be a strict subset of `cidr`");
        }
        holes.push(hole);
    }
    Some(Peer::Block(block?, holes))
}

fn read_port(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<PortMatch> {
    let mut members = reader.members(field)?;
    let (protocol, port, end) = (members.get("protocol"), members.get("port"), members.get("endPort"));
    members.finish(reader);
    let protocol = match protocol {
        Some(f) => peers::protocol(reader, &f)?,
        None => Protocol::Tcp,
    };
    let Some(port) = port else {
        if let Some(end) = end {
            reader.invalid(&end, "may not be specified when `port` is not specified");
        }
        return Some(PortMatch::Numbers(protocol, 1..=u16::MAX));
    };
    if let Some(name) = port.node.as_str() {
        peers::port_name(reader, &port, name);
        if let Some(end) = end {
            reader.invalid(&end, "may not be specified when `port` is non-numeric");
        }
        return Some(PortMatch::Named(Some(protocol), name.into()));
    }
    let first = peers::port(reader, &port)?;
    let last = match end {
        Some(end) => {
            let last = peers::port(reader, &end)?;
            if last < first {
                reader.invalid(&end, "must be greater than or equal to `port`");
            }
            last
        }
        None => first,
    };
    Some(PortMatch::Numbers(protocol, first..=last))
}
