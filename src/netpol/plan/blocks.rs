//! What rules say about addresses.
//!
//! Every block that a rule writes, and every hole of one, is a prefix, so all of them lie in each other or apart
//! ([`Family`]): a table needs no more entries than were written, and an address of a node for each that is meant.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use super::build::{Builder, NotBuilt, OrderedRule, Variants};
use super::classes::Classes;
use super::family::{Block, Family};
use super::limits::DoesNotFit;
use super::table::Prefix;
use crate::addresses::{AddressSet, Cidr, Family as AddressFamily, number};
use crate::policy::{Direction, Peer, Peers, Rule};
use crate::state::{ContainerPort, State};

/// IPv4 among the addresses of IPv6: `::ffff:0:0/96`.
const MAPPED: Block = (0xffff_0000_0000, 0xffff_ffff_ffff);

/// Named ports of whoever has an address, as a number among those of IPv6. Empty where several have it and do not
/// agree: a rule accepts nothing by name that may be another's.
type Holders<'c> = HashMap<u128, &'c [ContainerPort]>;

/// Port sets by prefixes.
pub(super) fn plan<'c>(
    builder: &mut Builder<'c>,
    direction: Direction,
    rules: &[OrderedRule<'c>],
) -> Result<BTreeMap<Prefix, u64>, NotBuilt> {
    let rules: Vec<(&OrderedRule<'c>, &'c AddressSet)> =
        rules.iter().filter_map(|rule| Some((rule, rule.rule.addresses()?))).collect();
    if rules.is_empty() {
        return Ok(BTreeMap::new());
    }
    let state = builder.compiled.state();
    let holders = match direction {
        Direction::Ingress => Holders::new(),
        Direction::Egress => holders(builder, &rules),
    };
    let mut blocks: Vec<Block> = holders.keys().map(|address| (*address, *address)).collect();
    blocks.push(MAPPED);
    for (rule, _) in &rules {
        let before = blocks.len();
        add_written(&mut blocks, rule.written, state);
        builder.step(rule.policy, blocks.len() - before)?;
    }
    let family = Family::new(blocks);
    let mut classes = Classes::new(family.len());
    for (rule, addresses) in &rules {
        classes.next_rule();
        add(builder, &mut classes, (rule, addresses), &family, &holders, direction)?;
    }
    let port_sets = builder.port_sets_of(&classes)?;
    let values: Vec<u64> = (0..family.len()).map(|at| port_sets[classes.of(at)]).collect();
    Ok(family.changes(&values, 0).into_iter().map(|(block, port_set)| (prefix(block), port_set)).collect())
}

fn add<'c>(
    builder: &mut Builder<'c>,
    classes: &mut Classes,
    (rule, addresses): (&OrderedRule<'c>, &AddressSet),
    family: &Family,
    holders: &Holders<'c>,
    direction: Direction,
) -> Result<(), DoesNotFit> {
    let mut variants = Variants::default();
    let part = builder.part(rule, builder.near(direction));
    let mut met = 0;
    for (at, point) in ranges(addresses).flat_map(|range| family.in_range(range)) {
        met += 1;
        let part = match holders.get(&point) {
            Some(ports) => variants.part(builder, rule, ports),
            None => part,
        };
        if let Some(part) = part {
            classes.add(at, part);
        }
    }
    builder.step(rule.policy, met)
}

/// Who has the addresses that rules mean which name ports.
fn holders<'c>(builder: &mut Builder<'c>, rules: &[(&OrderedRule<'c>, &AddressSet)]) -> Holders<'c> {
    let naming: Vec<_> = rules.iter().filter(|(rule, _)| !rule.rule.named.is_empty()).collect();
    let mut holders = Holders::new();
    if naming.is_empty() {
        return holders;
    }
    for (id, pod) in builder.compiled.state().pods() {
        if builder.compiled.identity(id).is_none() {
            continue;
        }
        for address in &pod.addresses {
            let means = |(rule, addresses): &(&OrderedRule<'c>, &AddressSet)| {
                addresses.contains(*address) && rule.rule.named_on(&pod.ports).next().is_some()
            };
            if naming.iter().any(|one| means(one)) {
                let ports = holders.entry(mapped(*address)).or_insert(&pod.ports);
                if **ports != pod.ports {
                    *ports = &[];
                }
            }
        }
    }
    holders
}

/// Prefixes that a rule writes, and the addresses of the nodes that it means.
fn add_written(blocks: &mut Vec<Block>, rule: &Rule, state: &State) {
    let Peers::AnyOf(peers) = &rule.peers else { return };
    for peer in peers {
        match peer {
            Peer::Block(block, holes) => blocks.extend([block].into_iter().chain(holes).map(mapped_block)),
            Peer::Nodes(selector) => {
                let meant = state.nodes.iter().filter(|node| node.labels.match_selector(selector));
                let addresses = meant.flat_map(|node| &node.addresses).map(|address| mapped(*address));
                blocks.extend(addresses.map(|address| (address, address)));
            }
            Peer::Pods(_) | Peer::Domain(_) | Peer::Unknown => {}
        }
    }
}

/// Whether a rule is about addresses, whoever has them.
pub(super) fn is_by_address(rule: &Rule) -> bool {
    let is_address = |peer: &Peer| matches!(peer, Peer::Block(..) | Peer::Nodes(_));
    matches!(&rule.peers, Peers::AnyOf(peers) if peers.iter().any(is_address))
}

fn mapped(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(_) => MAPPED.0 + number(address),
        IpAddr::V6(_) => number(address),
    }
}

fn mapped_block(block: &Cidr) -> Block {
    match block.family {
        AddressFamily::V4 => (MAPPED.0 + block.range.0, MAPPED.0 + block.range.1),
        AddressFamily::V6 => block.range,
    }
}

/// Ranges of a set as the tables write them. What is written as IPv4 there is not of IPv6.
fn ranges(addresses: &AddressSet) -> impl Iterator<Item = Block> {
    let v4 = addresses.ranges(AddressFamily::V4).iter().map(|(from, to)| (MAPPED.0 + from, MAPPED.0 + to));
    let v6 = addresses.ranges(AddressFamily::V6).iter().flat_map(|(from, to)| {
        let pieces = [(*from, (*to).min(MAPPED.0 - 1)), ((*from).max(MAPPED.1 + 1), *to)];
        pieces.into_iter().filter(|(from, to)| from <= to)
    });
    v4.chain(v6)
}

/// A block that is a prefix.
fn prefix((first, last): Block) -> Prefix {
    Prefix::of_number(first, (first ^ last).leading_zeros() as u8)
}
