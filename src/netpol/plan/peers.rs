//! What rules say about identities.

use std::collections::BTreeMap;

use super::build::{Builder, NotBuilt, OrderedRule, Variants};
use super::classes::{Classes, PartId};
use super::limits::DoesNotFit;
use crate::compile::CompiledPeers;
use crate::identities::IdentitySet;
use crate::policy::Direction;

/// Port sets by the numbers of identities.
pub(super) fn plan<'c>(
    builder: &mut Builder<'c>,
    direction: Direction,
    rules: &[OrderedRule<'c>],
) -> Result<BTreeMap<u64, u64>, NotBuilt> {
    let mut classes = Classes::new(builder.numbers.all().len());
    for rule in rules {
        classes.next_rule();
        let by_name = direction == Direction::Egress && !rule.rule.named.is_empty();
        match &rule.rule.peers {
            CompiledPeers::Everyone | CompiledPeers::AnyOf { every_pod: true, .. } if by_name => {
                add_all_by_name(builder, &mut classes, rule)?;
            }
            // Said in one place for all of them.
            CompiledPeers::Everyone | CompiledPeers::AnyOf { every_pod: true, .. } => {}
            CompiledPeers::AnyOf { identities, .. } if by_name => add_by_name(builder, &mut classes, rule, identities)?,
            CompiledPeers::AnyOf { identities, .. } => {
                let Some(part) = builder.part(rule, builder.near(direction)) else { continue };
                add(builder, &mut classes, rule, identities, part)?;
            }
        }
    }
    let port_sets = builder.port_sets_of(&classes)?;
    let numbers = builder.numbers;
    let peers = classes.met().iter().map(|at| (numbers.all()[*at].number, port_sets[classes.of(*at)]));
    Ok(peers.filter(|(_, port_set)| *port_set != 0).collect())
}

fn add(
    builder: &mut Builder<'_>,
    classes: &mut Classes,
    rule: &OrderedRule<'_>,
    identities: &IdentitySet,
    part: PartId,
) -> Result<(), DoesNotFit> {
    let mut met = 0;
    for at in identities.iter().flat_map(|identity| builder.numbers.of_identity(identity)) {
        classes.add(at, part);
        met += 1;
    }
    builder.step(rule.policy, met)
}

/// What leaves the Pod to ports that each destination names.
fn add_by_name<'c>(
    builder: &mut Builder<'c>,
    classes: &mut Classes,
    rule: &OrderedRule<'c>,
    identities: &IdentitySet,
) -> Result<(), DoesNotFit> {
    let (numbers, state, mut variants) = (builder.numbers, builder.compiled.state(), Variants::default());
    let mut met = 0;
    for at in identities.iter().flat_map(|identity| numbers.of_identity(identity)) {
        if let Some(part) = variants.part(builder, rule, &state.pod(numbers.all()[at].pod).ports) {
            classes.add(at, part);
        }
        met += 1;
    }
    builder.step(rule.policy, met)
}

/// The same of a rule about all; what it says by number is said in one place.
fn add_all_by_name<'c>(
    builder: &mut Builder<'c>,
    classes: &mut Classes,
    rule: &OrderedRule<'c>,
) -> Result<(), DoesNotFit> {
    let (numbers, state, mut variants) = (builder.numbers, builder.compiled.state(), Variants::default());
    for (at, numbered) in numbers.all().iter().enumerate() {
        let ports = &state.pod(numbered.pod).ports;
        if rule.rule.named_on(ports).next().is_some()
            && let Some(part) = variants.part(builder, rule, ports)
        {
            classes.add(at, part);
        }
    }
    builder.step(rule.policy, numbers.all().len())
}
